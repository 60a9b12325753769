// SPDX-License-Identifier: MIT
//
// test: every test there is, or those that match a pattern. One line per verdict; what a failing
// test printed follows its line; every skip says why. The last line is "N passed, N failed,
// N skipped" and nothing else.
#include <algorithm>
#include <format>
#include <iostream>

#include "test_lanes.h"

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

bool boots_guests(const Selection& selection) {
  return std::ranges::any_of(selection.names, [](const std::string& name) {
    return name.starts_with("host.") || name.starts_with("guest.") || name.starts_with("demo.");
  });
}

}  // namespace

int test_command(const Options& options) {
  Workshop workshop(Places::from_environment());
  const auto sources = test_sources(workshop, options.vm, options.arguments);
  std::vector<Selection> selections;
  for (const auto& source : sources) {
    Selection selection{.source = *source, .names = {}};
    for (std::string& name : source->names()) {
      if (is_selected(name, options.arguments)) selection.names.push_back(std::move(name));
    }
    if (!selection.names.empty()) selections.push_back(std::move(selection));
  }
  if (selections.empty()) {
    throw UsageError("test: no test has a name like that; ./figment test --list has them all");
  }
  if (options.list) {
    for (const Selection& selection : selections) {
      for (const std::string& name : selection.names) std::cout << name << "\n";
    }
    return 0;
  }
  // What guests are made of is built first, so that no test waits for a compiler.
  if (std::ranges::any_of(selections, boots_guests)) {
    prepare(workshop, VmOptions{}, {});
    prepare(workshop, options.vm, {});
  }
  for (const Selection& selection : selections) {
    for (const std::string& kernel : selection.source.kernels()) {
      VmOptions vm = options.vm;
      vm.kernel = kernel;
      prepare(workshop, vm, {});
    }
  }
  Tally tally;
  run_in_lanes(selections, [&](const TestResult& result) { tally.add(result); });
  return tally.finish();
}

}  // namespace figment::host
