// SPDX-License-Identifier: MIT
//
// Records what the driver, DMA fences, schedulers and forking processes do, as the text of
// `trace_pipe` on the monotonic clock, with looks at the clocks of all GPUs in between. With the
// GPUs' own traces it becomes a timeline; docs/timeline.md has the format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "figment/handle.h"
#include "trace_instance.h"

namespace figment::record {

/// Entry and return of the function that makes every process and thread, as events of the group
/// `figment_record`, while it lives. A kernel may be without: then `why_not` says so.
class ForkProbes {
 public:
  ForkProbes();
  ForkProbes(const ForkProbes&) = delete;
  ~ForkProbes();
  [[nodiscard]] const std::string& why_not() const { return why_not_; }

 private:
  std::string why_not_;
};

class Recorder {
 public:
  /// Begins to record into the descriptor `to`, which stays the caller's. `buffer_kib`: memory of
  /// the kernel for each processor, for what happens between two looks. std::system_error, and
  /// std::runtime_error when there is no driver.
  Recorder(int to, unsigned buffer_kib);

  /// Compares the clocks and writes what has happened since the last look.
  void look();
  /// The last look; says what the command's status was. Returns how many events are lost.
  std::uint64_t end(int status);

 private:
  void say(std::string_view text) const;
  void read_clocks();

  int to_;
  std::vector<std::string> gpus_;  // their PCI addresses
  ForkProbes probes_;              // outlives the instance that has them enabled
  TraceInstance trace_{"figment-record"};
};

}  // namespace figment::record
