// SPDX-License-Identifier: MIT
//
// How long the driver's mmu notifiers took, and how much of that they waited, by its tracepoint
// figment_notifier_done. Tracing costs time itself: what is traced is not to be timed as well.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "trace_instance.h"

namespace figment {

struct NotifierTimes {
  std::uint64_t count = 0;
  std::uint64_t total_ns = 0;   // of all
  std::uint64_t waited_ns = 0;  // of that, for the device or for jobs
};

/// Addresses of a process, [start, end): those that a notifier has to touch to count.
struct Touching {
  std::uint64_t start = 0;
  std::uint64_t end = ~std::uint64_t{0};
};

/// Sums over the lines of a trace; lines of other events do not count. std::runtime_error: a line
/// is of that tracepoint and lacks what is needed.
[[nodiscard]] NotifierTimes parse_notifier_times(std::string_view trace, const Touching& range = {});

class NotifierTimer {
 public:
  /// Whether this kernel and this driver tell.
  [[nodiscard]] static bool is_there();
  /// Listens to one thread, or to all; while it lives, notifiers of all cost more. `name` is that
  /// of its instance of tracefs. std::system_error: it does not work.
  explicit NotifierTimer(std::string_view name, std::optional<pid_t> thread = std::nullopt);

  /// Forgets what has been.
  void begin();
  /// Of those since begin(). std::runtime_error: the buffer was too small for all of them.
  [[nodiscard]] NotifierTimes end(const Touching& range = {});

 private:
  TraceInstance trace_;
};

}  // namespace figment
