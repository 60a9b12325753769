// SPDX-License-Identifier: MIT
//
// The two traces that a timeline is made of, read: what figment-record has written in the guest,
// and what a GPU has written about itself. Pure: text in, events out.
#ifndef FIGMENT_PROGRAM_RECORDING_H
#define FIGMENT_PROGRAM_RECORDING_H

#include <istream>
#include <vector>

#include "traced_event.h"

namespace figment::host {

// In the context of a thread of the guest; an interrupt is in that of whom it interrupts.
struct GuestEvent : TracedEvent {
  std::string comm;
  std::uint32_t thread = 0;
  std::uint32_t process = 0;  // 0: not known
};

struct Recording {
  std::vector<std::string> gpus;   // PCI addresses, in the order of the GPUs' traces
  std::vector<GuestEvent> events;  // in the order of time, no two at the same
  std::uint64_t lost = 0;          // events that the kernel had no room for
  bool whole = false;              // it was ended by figment-record
  std::string no_forks;            // why the times of fork() are not there, or empty
};

// Throws Failure for what is no recording. One that breaks off, as of a guest that died, is read up
// to there.
Recording parse_recording(std::string_view text);

// Without what the GPU does at each access to memory: there are many, and a fault or an
// invalidation says what matters. The last line may be cut.
std::vector<TracedEvent> parse_gpu_trace(std::istream& text);

}  // namespace figment::host

#endif
