// SPDX-License-Identifier: MIT
//
// test: every test there is, or those that match a pattern. One line per verdict; what a failing
// test printed follows its line; every skip says why. The last line is "N passed, N failed,
// N skipped" and nothing else.
#include <format>
#include <iostream>

#include "test_sources.h"

namespace figment::host {

namespace {

class Tally {
 public:
  void add(const TestResult& result) {
    switch (result.outcome) {
      case Outcome::passed:
        ++passed_;
        std::cout << std::format("pass  {}  {} ms\n", result.name, result.milliseconds);
        break;
      case Outcome::skipped:
        ++skipped_;
        std::cout << std::format("skip  {}: {}\n", result.name, result.detail);
        break;
      case Outcome::failed:
        failed_.push_back(result.name);
        std::cout << std::format("FAIL  {}\n", result.name);
        print_indented(result.detail);
        break;
    }
    std::cout << std::flush;
  }

  // Exit status of the command.
  int finish() const {
    if (!failed_.empty()) std::cout << "\n";
    for (const std::string& name : failed_) {
      std::cout << std::format("failed: {}; again: ./figment test '{}'\n", name, name);
    }
    std::cout << std::format("{} passed, {} failed, {} skipped\n", passed_, failed_.size(), skipped_);
    return failed_.empty() ? 0 : 1;
  }

 private:
  static void print_indented(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      std::cout << "      | " << text.substr(at, end - at) << "\n";
      at = end + 1;
    }
  }

  unsigned passed_ = 0;
  unsigned skipped_ = 0;
  std::vector<std::string> failed_;
};

}  // namespace

int test_command(const Options& options) {
  Workshop workshop(Places::from_environment());
  const auto sources = test_sources(workshop, options.vm, options.arguments);
  Tally tally;
  bool any = false;
  for (const auto& source : sources) {
    std::vector<std::string> selected;
    for (std::string& name : source->names()) {
      if (is_selected(name, options.arguments)) selected.push_back(std::move(name));
    }
    if (selected.empty()) continue;
    any = true;
    if (options.list) {
      for (const std::string& name : selected) std::cout << name << "\n";
    } else {
      source->run(selected, [&](const TestResult& result) { tally.add(result); });
    }
  }
  if (!any) throw UsageError("test: no test has a name like that; ./figment test --list has them all");
  return options.list ? 0 : tally.finish();
}

}  // namespace figment::host
