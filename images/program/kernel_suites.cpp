// SPDX-License-Identifier: MIT
//
// What the kernel brings along to test itself, and what the driver builds on.
#include <format>

#include "ktap.h"
#include "suite_tests.h"

namespace figment::host {

namespace {

GuestNeeds plain_guest() {
  return {.command = {}, .shares = {}, .null_nvme = false, .directory = "/tmp", .test_hmm = false};
}

// A module runs its suites when it is loaded, those that the filter of KUnit lets through, and says
// so in the kernel's log. Arguments are such filters ("suite.case", with wildcards), a load for
// each. `file`: of one that is not among those of the kernel.
std::string run_module(const ListedTest& test, const fs::path& file) {
  std::vector<std::string> filters = test.arguments;
  if (filters.empty()) filters.emplace_back("*.*");
  const std::string load = file.empty() ? "modprobe " + test.name : "insmod " + file.string();
  std::string script = "set -e; modprobe kunit; dmesg --clear";
  for (const std::string& filter : filters) {
    script += std::format("\nprintf %s {} >/sys/module/kunit/parameters/filter_glob; {}; rmmod {}",
                          quoted({filter}), load, test.name);
  }
  return script + "\ndmesg";
}

}  // namespace

Suite kunit_suite(Workshop& workshop, const std::string& kernel) {
  return {.name = "kunit",
          .prefix = "kunit.Suite.",
          .needs = plain_guest,
          .setup = {},
          .command =
              [&workshop, kernel](const ListedTest& test, const Expectations&) {
                return run_module(test,
                                  workshop.source_module(workshop.kernel(kernel), test.name));
              },
          .parse = parse_ktap};
}

}  // namespace figment::host
