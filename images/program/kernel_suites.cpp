// SPDX-License-Identifier: MIT
//
// What the kernel brings along to test itself, and what the driver builds on: unit tests that are
// modules, and programs.
#include <algorithm>
#include <format>

#include "ktap.h"
#include "suite_tests.h"

namespace figment::host {

namespace {

constexpr unsigned kLimitSeconds = 300;  // of one test, on a machine that has much else to do

// The second devices: of hmm-tests, and the one that imports what a heap has allocated. And swap,
// into which cow moves pages.
constexpr const char* kSelftestSetup =
    "modprobe test_hmm; modprobe vgem\n"
    "modprobe zram; echo 256M >/sys/block/zram0/disksize; mkswap /dev/zram0; swapon /dev/zram0\n";

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
                return run_module(test, workshop.source_module(workshop.kernel(kernel), test.name));
              },
          .parse = parse_ktap};
}

Suite selftest_suite(Workshop& workshop) {
  const auto folder = [&workshop] { return workshop.selftests(); };
  return {
      .name = "selftests",
      .prefix = "selftests.",
      .needs =
          [folder] {
            GuestNeeds needs = plain_guest();
            needs.shares = {{.folder = folder(), .mount = folder(), .writable = false}};
            return needs;
          },
      .setup = kSelftestSetup,
      .command =
          [folder](const ListedTest& test, const Expectations& expected) {
            const auto colon = test.name.find(':');
            Argv command = {folder() / test.name.substr(0, colon) / test.name.substr(colon + 1)};
            std::ranges::copy(test.arguments, std::back_inserter(command));
            // kselftest_harness.h takes names of cases, for all fixtures and variants of them.
            for (const std::string& pattern : expected.left_out_of(test.name)) {
              command.insert(command.end(), {"-T", pattern.substr(pattern.rfind('.') + 1)});
            }
            return quoted(with_limit(kLimitSeconds, command));
          },
      .parse = parse_ktap,
      .busy = true};
}

}  // namespace figment::host
