// SPDX-License-Identifier: MIT
//
// ./figment as a user meets it: started as a program, judged by what comes out. For the scenario
// tests, which `./figment test` runs inside the build root; the command knows that it is there.
#ifndef FIGMENT_TESTS_SCENARIO_H
#define FIGMENT_TESTS_SCENARIO_H

#include <string>
#include <vector>

#include "process.h"
#include "temporary_folder.h"

namespace figment::host {

// ./figment of this checkout.
fs::path figment_command();

struct Finished {
  int status = 0;  // 128 + signal, when it ended by one
  std::string out;
  std::string err;
};

// One ./figment, with stdin from `input` and its outputs in files.
class Figment {
 public:
  explicit Figment(const Argv& arguments, std::string_view input = {},
                   const std::vector<std::string>& environment = {});

  pid_t pid() const { return child_->pid(); }
  std::string out() const { return read_file(folder_.path() / "out"); }
  std::string err() const { return read_file(folder_.path() / "err"); }

  // Waits for its end: minutes, if need be, because a loaded machine is slow. Kills it and throws
  // after that.
  Finished finish();

 private:
  TemporaryFolder folder_;
  std::optional<Child> child_;
};

inline Finished run_figment(const Argv& arguments, std::string_view input = {},
                            const std::vector<std::string>& environment = {}) {
  return Figment(arguments, input, environment).finish();
}

// Looks every few milliseconds until `condition` holds; false after minutes.
bool eventually(const std::function<bool()>& condition);

// Processes whose command line has `text` in it.
std::vector<pid_t> processes_with(const std::string& text);

}  // namespace figment::host

#endif
