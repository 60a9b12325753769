// SPDX-License-Identifier: MIT
#include "worker.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace figment::host {

namespace {

// The exit status of the process.
int run(const std::function<void(const SendLine&)>& work, const Fd& writer) {
  try {
    work([&writer](std::string_view line) {
      const std::string whole = std::string{line} + "\n";
      for (std::string_view rest = whole; !rest.empty();) {
        const ssize_t n = write(writer.get(), rest.data(), rest.size());
        if (n < 0 && errno != EINTR) {
          throw std::system_error(errno, std::generic_category(), "write");
        }
        if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
      }
    });
    return 0;
  } catch (const Interrupted&) {
    return 1;
  } catch (const std::exception& error) {
    const std::string line = std::string{"figment: "} + error.what() + "\n";
    return write(STDERR_FILENO, line.data(), line.size()) < 0 ? 2 : 1;
  }
}

}  // namespace

Worker::Worker(std::string name, const std::function<void(const SendLine&)>& work)
    : name_(std::move(name)) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  lines_ = Fd(ends[0]);
  const Fd writer(ends[1]);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (getppid() != parent) _exit(1);
  _exit(run(work, writer));
}

Worker::Worker(Worker&& other) noexcept
    : name_(std::move(other.name_)),
      pid_(std::exchange(other.pid_, -1)),
      lines_(std::move(other.lines_)),
      open_(other.open_),
      pending_(std::move(other.pending_)) {}

Worker::~Worker() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::vector<std::string> Worker::take() {
  std::array<char, 65536> buffer;
  const ssize_t n = read(lines_.get(), buffer.data(), buffer.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return {};
  if (n <= 0) finish();
  if (n > 0) pending_.append(buffer.data(), static_cast<std::size_t>(n));
  std::vector<std::string> lines;
  for (std::size_t end; (end = pending_.find('\n')) != pending_.npos; pending_.erase(0, end + 1)) {
    lines.push_back(pending_.substr(0, end));
  }
  return lines;
}

void Worker::finish() {
  open_ = false;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    check_signals();
    throw Failure(name_ + " did not end well");
  }
}

}  // namespace figment::host
