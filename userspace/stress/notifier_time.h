// SPDX-License-Identifier: MIT
//
// How long the driver's mmu notifiers took that one thread ran, by its tracepoint
// figment_notifier_done. Tracing costs time itself: what is traced is not to be timed as well.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace figment::stress {

struct NotifierTimes {
  std::uint64_t count = 0;
  std::uint64_t total_ns = 0;   // of all
  std::uint64_t waited_ns = 0;  // of that, for the device or for jobs
};

/// Sums over the lines of a trace; lines of other events do not count.
[[nodiscard]] NotifierTimes parse_notifier_times(std::string_view text);

class NotifierTimer {
 public:
  /// Whether this kernel and this driver tell.
  [[nodiscard]] static bool is_there();
  /// While it lives, notifiers of all threads cost more. std::system_error: it does not work.
  explicit NotifierTimer(pid_t thread);

  NotifierTimer(const NotifierTimer&) = delete;
  NotifierTimer& operator=(const NotifierTimer&) = delete;
  ~NotifierTimer();

  void begin();
  [[nodiscard]] NotifierTimes end();

 private:
  void write(const char* file, std::string_view text) const;

  std::filesystem::path folder_;  // of an instance of tracefs of its own
};

}  // namespace figment::stress
