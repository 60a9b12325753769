// SPDX-License-Identifier: MIT
#include "process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <stdexcept>

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

/// The status as waitpid() gives it; nothing: the child had to be killed.
std::optional<int> wait_status(pid_t child, Deadline deadline) {
  int status = 0;
  pid_t reaped = 0;
  const bool ended = poll_until(
      [&] {
        reaped = ::waitpid(child, &status, WNOHANG);
        return reaped != 0 && !(reaped < 0 && errno == EINTR);
      },
      deadline);
  if (!ended) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return std::nullopt;
  }
  if (reaped < 0) throw std::logic_error("waited for a process that is no child");
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
