// SPDX-License-Identifier: MIT
#include "scenario.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace figment::host {

namespace {

constexpr std::chrono::minutes kLimit{8};

}  // namespace

fs::path figment_command() {
  const char* checkout = std::getenv("FIGMENT_CHECKOUT");
  if (!checkout) throw Failure("run the scenarios with ./figment test");
  return fs::path(checkout) / "figment";
}

Figment::Figment(const Argv& arguments, std::string_view input,
                 const std::vector<std::string>& environment) {
  write_file(folder_.path() / "in", input);
  const auto open_file = [&](const char* name, int flags) {
    return Fd(open((folder_.path() / name).c_str(), flags | O_CLOEXEC, 0600));
  };
  const Fd in = open_file("in", O_RDONLY);
  const Fd out = open_file("out", O_CREAT | O_WRONLY | O_APPEND);
  const Fd err = open_file("err", O_CREAT | O_WRONLY | O_APPEND);
  Argv argv = arguments;
  argv.insert(argv.begin(), figment_command());
  child_.emplace(argv, ChildOptions{.directory = {},
                                    .environment = environment,
                                    .input = in.get(),
                                    .output = out.get(),
                                    .error = err.get(),
                                    .keep = {}});
}

Finished Figment::finish() {
  const auto status = child_->wait(Clock::now() + kLimit);
  if (!status) throw Failure("figment did not end; it had said:\n" + err());
  return {.status = *status, .out = out(), .err = err()};
}

bool eventually(const std::function<bool()>& condition) {
  const auto limit = Clock::now() + kLimit;
  while (!condition()) {
    if (Clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::vector<pid_t> processes_with(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    try {
      if (read_file(entry.path() / "cmdline").contains(text)) found.push_back(std::stoi(name));
    } catch (const Failure&) {
      // It ended while we looked.
    }
  }
  return found;
}

}  // namespace figment::host
