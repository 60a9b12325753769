// SPDX-License-Identifier: MIT
#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace figment::host {

namespace {

int g_signal_fd = -1;
sigset_t g_old_mask;

int to_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int poll_timeout(Clock::time_point deadline) {
  if (deadline == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1'000'000));
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

void take_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, number);
  sigprocmask(SIG_BLOCK, &mask, &g_old_mask);
  g_signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  std::signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int signal_fd() { return g_signal_fd; }

void check_signals() {
  signalfd_siginfo info;
  if (g_signal_fd >= 0 && read(g_signal_fd, &info, sizeof info) == sizeof info) {
    throw Interrupted(static_cast<int>(info.ssi_signo));
  }
}

void end_all_children() {
  // Children of a killed child become ours, so look until there is none.
  for (;;) {
    std::ifstream list("/proc/thread-self/children");
    bool any = false;
    for (pid_t pid; list >> pid;) {
      kill(pid, SIGKILL);
      any = true;
    }
    if (!any) return;
    while (waitpid(-1, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

Child::Child(const Argv& argv, const ChildOptions& options) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  // The child tells through this pipe why it could not become the program.
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ == 0) {
    const auto give_up = [&] {
      const int error = errno;
      if (write(report[1], &error, sizeof error) < 0) _exit(126);
      _exit(127);
    };
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);  // it died before the line above
    const int input = options.input >= 0 ? options.input : open("/dev/null", O_RDONLY);
    if (dup2(input, 0) < 0) give_up();
    // Both are read before either is replaced: `output` may be 2 and `error` may be 1.
    const int output = fcntl(options.output >= 0 ? options.output : 1, F_DUPFD_CLOEXEC, 3);
    const int error = fcntl(options.error >= 0 ? options.error : 2, F_DUPFD_CLOEXEC, 3);
    if (dup2(output, 1) < 0 || dup2(error, 2) < 0) give_up();
    for (const int fd : options.keep) fcntl(fd, F_SETFD, 0);
    if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) give_up();
    for (const std::string& variable : options.environment) {
      putenv(const_cast<char*>(variable.c_str()));
    }
    sigprocmask(SIG_SETMASK, &g_old_mask, nullptr);
    std::signal(SIGPIPE, SIG_DFL);
    execvp(arguments[0], arguments.data());
    give_up();
  }
  setpgid(pid_, pid_);  // on both sides: whoever is first
  close(report[1]);
  int error = 0;
  ssize_t n;
  while ((n = read(report[0], &error, sizeof error)) < 0 && errno == EINTR) {
  }
  close(report[0]);
  if (n == sizeof error) {
    waitpid(pid_, nullptr, 0);
    throw Failure("cannot run " + argv[0] + ": " + std::strerror(error));
  }
  pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
}

Child::~Child() {
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  if (!status_) {
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

void Child::signal(int number) {
  if (!status_) kill(-pid_, number);
}

std::optional<int> Child::poll() {
  int status = 0;
  if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = to_status(status);
  return status_;
}

std::optional<int> Child::wait(Clock::time_point deadline) {
  if (!status_ && !wait_readable(pidfd(), deadline)) return std::nullopt;
  return poll();
}

bool wait_readable(int fd, Clock::time_point deadline) {
  for (;;) {
    std::array<pollfd, 2> fds{{{.fd = fd, .events = POLLIN, .revents = 0},
                               {.fd = g_signal_fd, .events = POLLIN, .revents = 0}}};
    const int n = ::poll(fds.data(), fds.size(), poll_timeout(deadline));
    if (fds[1].revents) check_signals();
    if (fds[0].revents) return true;
    if (n == 0 && Clock::now() >= deadline) return false;
  }
}

Output capture(const Argv& argv, ChildOptions options, bool errors_too) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  options.output = writer.get();
  if (errors_too) options.error = writer.get();
  Child child(argv, options);
  writer = Fd();
  Output result;
  std::array<char, 65536> buffer;
  for (;;) {
    wait_readable(reader.get(), Clock::time_point::max());
    const ssize_t n = read(reader.get(), buffer.data(), buffer.size());
    if (n <= 0) break;
    result.text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  result.status = *child.wait();
  return result;
}

int run_logged(const Argv& argv, ChildOptions options, const fs::path& log,
               const std::function<void()>& tick) {
  const Fd file(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) throw Failure("cannot write " + log.string() + ": " + std::strerror(errno));
  const std::string title = "$ " + quoted(argv) + "\n";
  if (write(file.get(), title.data(), title.size()) < 0) throw Failure("cannot write " + log.string());
  options.output = options.error = file.get();
  Child child(argv, options);
  for (;;) {
    if (const auto status = child.wait(Clock::now() + std::chrono::milliseconds(200))) return *status;
    if (tick) tick();
  }
}

std::string quoted(const Argv& argv) {
  std::string line;
  for (const std::string& argument : argv) {
    if (!line.empty()) line += ' ';
    const bool plain = !argument.empty() && std::ranges::all_of(argument, [](unsigned char c) {
      return std::isalnum(c) || std::strchr("-_=+,./:@%^", c);
    });
    if (plain) {
      line += argument;
      continue;
    }
    line += '\'';
    for (const char c : argument) c == '\'' ? line += "'\\''" : line += c;
    line += '\'';
  }
  return line;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Failure("cannot read " + path.string() + ": " + std::strerror(errno));
  return std::move(std::ostringstream() << file.rdbuf()).str();
}

void write_file(const fs::path& path, std::string_view text) {
  const fs::path partial = path.string() + ".partial";
  {
    std::ofstream file(partial, std::ios::binary);
    file << text;
    file.flush();
    if (!file) throw Failure("cannot write " + partial.string() + ": " + std::strerror(errno));
  }
  fs::rename(partial, path);
}

}  // namespace figment::host
