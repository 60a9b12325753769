// SPDX-License-Identifier: MIT
//
// Child processes: started with a clear set of descriptors, ended with certainty.
//
// Every child leads a process group and dies with this program (PR_SET_PDEATHSIG); this program is
// the subreaper of its descendants, so that `end_all_children` finds also what a child left behind.
// SIGINT, SIGTERM and SIGHUP are blocked from the start and read from one descriptor; `Interrupted`
// carries them to `main`, and every owner on the way ends what it owns.
#ifndef FIGMENT_PROGRAM_PROCESS_H
#define FIGMENT_PROGRAM_PROCESS_H

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace figment::host {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Argv = std::vector<std::string>;

// A signal asked this program to end.
struct Interrupted : std::exception {
  explicit Interrupted(int number) : signal(number) {}
  const char* what() const noexcept override { return "interrupted"; }
  int signal;
};

// A failure that the user is told in its own words; nothing is wrong with this program.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A descriptor that is closed by its owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Blocks the signals above and becomes the subreaper. Call once, before any thread or child.
void take_signals();

// The descriptor that is readable when one of them has come.
int signal_fd();

// Throws Interrupted when one of them has come; does not wait.
void check_signals();

// Ends every descendant that is left, by SIGKILL, and waits for it.
void end_all_children();

struct ChildOptions {
  fs::path directory;                     // empty: the current one
  std::vector<std::string> environment;   // NAME=VALUE, added to this program's
  int input = -1;                         // -1: /dev/null
  int output = -1;                        // -1: inherited
  int error = -1;                         // -1: inherited
  std::vector<int> keep;                  // descriptors that stay open, under their numbers
};

// A running child. Its destructor kills the whole group and waits.
class Child {
 public:
  // Throws Failure when the program cannot be started.
  Child(const Argv& argv, const ChildOptions& options);
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)),
        status_(other.status_) {}
  Child& operator=(Child&&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  // Readable when the child has ended.
  int pidfd() const { return pidfd_.get(); }
  void signal(int number);
  // 0..255, or 128 + signal; nothing while it runs.
  std::optional<int> poll();
  // Waits until the deadline; throws Interrupted.
  std::optional<int> wait(Clock::time_point deadline = Clock::time_point::max());

 private:
  pid_t pid_ = -1;
  Fd pidfd_;
  std::optional<int> status_;
};

// Waits for `fd` (or nothing, when -1) to be readable. False at the deadline; throws Interrupted.
bool wait_readable(int fd, Clock::time_point deadline);

struct Output {
  int status = 0;
  std::string text;
};

// Runs to the end and gives what it wrote to stdout (and to stderr, with `errors_too`).
Output capture(const Argv& argv, ChildOptions options = {}, bool errors_too = false);

// Runs to the end with stdout and stderr appended to the file `log`. `tick` is called about every
// 200 ms.
int run_logged(const Argv& argv, ChildOptions options, const fs::path& log,
               const std::function<void()>& tick);

// One line for people, quoted so that a shell reads it back.
std::string quoted(const Argv& argv);

// Whole small files. read_file throws Failure; write_file replaces atomically.
std::string read_file(const fs::path& path);
void write_file(const fs::path& path, std::string_view text);

}  // namespace figment::host

#endif
