// SPDX-License-Identifier: MIT
//
// The host program behind ./figment. Exit status: the command's own; 2 for a wrong command line;
// 3 when the guest died or its log holds a kernel report; 124 for a timeout; 1 for what could not
// be made or run.
#include <csignal>
#include <iostream>

#include "commands.h"

namespace {

using namespace figment::host;

int dispatch(const Options& options) {
  switch (options.command) {
    case CommandName::demo:
      return demo_command(options);
    case CommandName::matrix:
      return matrix_command(options);
    case CommandName::test:
      return test_command(options);
    case CommandName::run:
    case CommandName::shell:
      return run_command(options);
    case CommandName::explore:
      return explore_command(options);
    case CommandName::bench:
      return bench_command(options);
    case CommandName::fuzz:
      return fuzz_command(options);
    case CommandName::coverage:
      return coverage_command(options);
    case CommandName::build:
      return build_command(options);
    case CommandName::timeline:
      return timeline_command(options);
    case CommandName::doctor:
      return doctor_command(options);
    case CommandName::inject:
      return inject_command(options);
  }
  return 1;
}

int guarded_main(int argc, char** argv) {
  try {
    const auto [options, help] = parse_options(std::span<const char* const>(argv + 1, argv + argc));
    if (!options) {
      std::cout << help;
      return 0;
    }
    return dispatch(*options);
  } catch (const UsageError& error) {
    std::cerr << "figment: " << error.what() << "\n";
    return 2;
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    std::cerr << "figment: " << error.what() << "\n";
    return 1;
  }
}

// Ends as a program ends that knows nothing of signals, so that the caller sees what happened.
[[noreturn]] void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::raise(signal);
  std::_Exit(128 + signal);
}

}  // namespace

int main(int argc, char** argv) {
  take_signals();
  int status = 1;
  std::optional<int> signal;
  try {
    status = guarded_main(argc, argv);
  } catch (const Interrupted& interrupted) {
    signal = interrupted.signal;
  }
  end_all_children();
  std::cout.flush();
  if (signal) end_by(*signal);
  return status;
}
