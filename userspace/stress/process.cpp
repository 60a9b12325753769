// SPDX-License-Identifier: MIT
#include "process.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <format>
#include <stdexcept>

#include "figment/handle.h"

namespace figment::stress {

void die_with_parent() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

bool has_ended(pid_t child) {
  siginfo_t info = {};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == child;
}

namespace {

/// As poll() takes it: at least one, at most a minute.
int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 1, 60'000));
}

/// The status as waitpid() gives it; nothing: the child had to be killed.
std::optional<int> wait_status(pid_t child, Deadline deadline) {
  // A descriptor that becomes readable with the end of the child: no polling, which
  // would take time from those that are measured.
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!pidfd) throw std::logic_error("waited for a process that is no child");
  pollfd end = {.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  while (::poll(&end, 1, milliseconds_until(deadline)) <= 0) {
    if (Clock::now() < deadline) continue;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return std::nullopt;
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) {
    throw std::logic_error("waited for a process that is no child");
  }
  return status;
}

}  // namespace

std::optional<int> exit_status(pid_t child, Deadline deadline) {
  const auto status = wait_status(child, deadline);
  return status && WIFEXITED(*status) ? std::optional(WEXITSTATUS(*status)) : std::nullopt;
}

std::optional<std::string> reap(pid_t child, Deadline deadline) {
  const auto status = wait_status(child, deadline);
  if (!status) return "did not end and was killed";
  if (WIFSIGNALED(*status)) {
    return std::format("died of signal {} ({})", WTERMSIG(*status), ::strsignal(WTERMSIG(*status)));
  }
  if (WEXITSTATUS(*status) != 0) return std::format("left with status {}", WEXITSTATUS(*status));
  return std::nullopt;
}

}  // namespace figment::stress
