// SPDX-License-Identifier: MIT
//
// Child processes with an end: whoever forks here also says how the child ends and
// how long that may take, and a child that dies in any other way is an error.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "figment/types.h"

namespace figment::stress {

/// In a fresh child: do not outlive the parent. Uses no library state.
void die_with_parent();

/// Whether the child has ended; it stays there for reap().
[[nodiscard]] bool has_ended(pid_t child);

/// Exit status of the child; nothing when it died of a signal, or was still there at the
/// deadline and had to be killed.
[[nodiscard]] std::optional<int> exit_status(pid_t child, Deadline deadline);

/// How the child ended, when that is not exit status 0; nothing when it is. A child
/// that is still there at the deadline is killed, and that is an error, too.
[[nodiscard]] std::optional<std::string> reap(pid_t child, Deadline deadline);

/// Polls `done` until it holds; false: the deadline came first. For conditions in
/// shared memory, whose other side may be dead.
template <typename Condition>
[[nodiscard]] bool poll_until(Condition&& done, Deadline deadline,
                              std::chrono::microseconds step = std::chrono::microseconds(300)) {
  while (!done()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(step);
  }
  return true;
}

}  // namespace figment::stress
