// SPDX-License-Identifier: MIT
//
// figment-record: runs a command and records what the driver does meanwhile. `./figment run
// --timeline` runs this one in front of its command. Exit status: the command's own, or 128 and the
// signal that has ended it; 126 and 127 as of a shell; 1 it could not be recorded, or not all of
// it; 2 wrong usage.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <print>
#include <string>
#include <vector>

#include "figment/error.h"
#include "recorder.h"

namespace {

using namespace figment;

// Clocks of machines drift apart by a few parts in a million: in this time, by less than a look at
// both is uncertain.
constexpr int kLookMs = 20;

struct Options {
  std::string to = "figment.recording";
  unsigned buffer_mib = 8;
};

[[noreturn]] void run(char* const* command) {
  execvp(command[0], command);
  const int error = errno;
  std::println(stderr, "figment-record: cannot run {}: {}", command[0], std::strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

// Looks until the command has ended; its status as a shell has it.
int record(record::Recorder& recorder, pid_t command) {
  const UniqueFd ended(static_cast<int>(syscall(SYS_pidfd_open, command, 0)));
  if (!ended) fail(errno, "pidfd_open");
  pollfd fd{.fd = ended.get(), .events = POLLIN, .revents = 0};
  while (poll(&fd, 1, kLookMs) <= 0) recorder.look();
  int status = 0;
  while (waitpid(command, &status, 0) < 0) {
    if (errno != EINTR) fail(errno, "waitpid");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int record_command(const Options& options, char* const* command) {
  const UniqueFd to(open(options.to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!to) fail(errno, "opening " + options.to);
  record::Recorder recorder(to.get(), options.buffer_mib << 10);
  const pid_t pid = fork();
  if (pid < 0) fail(errno, "fork");
  if (pid == 0) run(command);
  // What ends the command does not end its recording.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
  const int status = record(recorder, pid);
  if (const auto lost = recorder.end(status)) {
    std::println(stderr, "figment-record: {} events are lost; a larger --buffer-mib keeps them",
                 lost);
    return status == 0 ? 1 : status;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  char** const dashes = std::find_if(argv + 1, argv + argc,
                                     [](const char* word) { return std::strcmp(word, "--") == 0; });
  CLI::App app("Runs a command and records what the driver does meanwhile.", "figment-record");
  app.usage("figment-record [OPTIONS] -- COMMAND...");
  app.add_option("--to", options.to, "file (figment.recording)")->type_name("FILE");
  app.add_option("--buffer-mib", options.buffer_mib, "memory for each processor (8)")
      ->check(CLI::Range(1u, 1024u))
      ->type_name("N");
  try {
    app.parse(static_cast<int>(dashes - argv), argv);
    if (dashes >= argv + argc - 1) throw CLI::ValidationError("no command; write it after '--'");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    return record_command(options, dashes + 1);
  } catch (const std::exception& error) {
    std::println(stderr, "figment-record: {}", error.what());
    return 1;
  }
}
