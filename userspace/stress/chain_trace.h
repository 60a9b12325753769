// SPDX-License-Identifier: MIT
//
// What tracepoints tell about one fork() and several GPUs: when the notifier of each device was
// called and when the pages were the kernel's; which fences it waited for; and what the jobs of
// those fences waited for in their turn. From figment_notifier, figment_notifier_done, and the
// kernel's own dma_fence and gpu_scheduler events.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace_instance.h"

namespace figment::stress {

/// All times in microseconds of CLOCK_MONOTONIC.
struct FenceId {
  std::uint64_t context = 0;
  std::uint64_t number = 0;

  friend constexpr auto operator<=>(FenceId, FenceId) = default;
};

struct FenceWait {
  FenceId fence;
  double begin_us = 0;
  double end_us = 0;
};

/// The notifiers of one device, from the first call to the last end.
struct DeviceNotifier {
  std::string device;
  unsigned calls = 0;
  double begin_us = 0;
  double end_us = 0;
  double total_us = 0;   // as the driver counts: without the time between its passes
  double waited_us = 0;  // of that, asleep
  std::vector<FenceWait> waits;
};

struct TracedJob {
  std::string device;
  std::vector<FenceId> waits_for;
  double queued_us = 0;
  double signalled_us = 0;  // 0: not in this trace
};

struct ChainTrace {
  std::vector<DeviceNotifier> notifiers;  // in the order in which they were called
  std::map<FenceId, TracedJob> jobs;

  /// From the first call to the last end.
  [[nodiscard]] double begin_us() const;
  [[nodiscard]] double end_us() const;
};

/// Of notifiers that `thread` ran for bytes of [start, end). std::runtime_error: a line of one of
/// these events lacks what is needed, or a notifier did not end.
[[nodiscard]] ChainTrace parse_chain_trace(std::string_view text, pid_t thread, std::uint64_t start,
                                           std::uint64_t end);

/// How often a notifier was called for bytes of [start, end), while jobs of its device were in
/// flight, by threads whose names begin with `task`.
[[nodiscard]] std::uint64_t count_busy_calls(std::string_view text, std::uint64_t start,
                                             std::uint64_t end, std::string_view task = {});

/// The same as lines for people. `buses`: of GPU 0, 1, .. as the trace names them; a device that is
/// not among them keeps its name. `thread` forked.
[[nodiscard]] std::vector<std::string> chain_story(const ChainTrace& trace, pid_t thread,
                                                   std::span<const std::string> buses);

/// Listens: to notifiers only, of one thread, or to everything that a story needs.
class ChainTracer {
 public:
  enum class Mode { notifiers, busy_calls, story };
  ChainTracer(Mode mode, pid_t thread);

  void begin();
  /// What came since begin(). std::runtime_error: the buffer was too small.
  [[nodiscard]] std::string end();

 private:
  TraceInstance trace_;
};

}  // namespace figment::stress
