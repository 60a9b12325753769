// SPDX-License-Identifier: MIT
//
// A timeline: what driver, kernel and GPUs did, on the clock of the guest's kernel, as trace-event
// JSON. Pure: the two kinds of traces in, text out; docs/timeline.md says what is in it.
#ifndef FIGMENT_PROGRAM_TIMELINE_H
#define FIGMENT_PROGRAM_TIMELINE_H

#include <ostream>
#include <string>
#include <vector>

#include "recording.h"

namespace figment::host {

// How well a GPU's clock is known.
struct TimelineClock {
  std::string gpu;  // its PCI address
  std::size_t looks = 0;
  std::uint64_t uncertainty_ns = 0;
  // Moments that both traces have, as cause and effect: a doorbell, an event, an invalidation.
  std::size_t pairs = 0;
  // How far an event of either side had to be moved, so that no effect comes before its cause.
  std::uint64_t moved_ns = 0;

  bool is_sound() const { return moved_ns <= uncertainty_ns; }
};

struct TimelineSummary {
  std::size_t events = 0;
  std::vector<TimelineClock> clocks;
  std::uint64_t lost = 0;  // events of the driver
  bool whole = true;       // the recording has an end

  // Lines for the user about what is not as it should be; empty when all is.
  std::string complaint() const;
};

// Traces of the GPUs in the order of Recording::gpus. Throws Failure when there are not as many,
// when a clock cannot be told, or for an event that does not fit.
TimelineSummary write_timeline(const Recording& recording,
                               const std::vector<std::vector<TracedEvent>>& gpu_traces,
                               std::ostream& out);

}  // namespace figment::host

#endif
