// SPDX-License-Identifier: MIT
#include "igt_log.h"
#include "other_root.h"
#include "suite_tests.h"

namespace figment::host {

namespace {

constexpr unsigned kLimitSeconds = 120;  // of one test

std::string run_test(const ListedTest& test, const Expectations& expected) {
  Argv command = {"/usr/libexec/igt-gpu-tools/" + test.name};
  const std::string selection = igt_selection(expected.left_out_of(test.name));
  if (!selection.empty()) command.insert(command.end(), {"--run-subtest", selection});
  return quoted(in_other_root(with_limit(kLimitSeconds, command)));
}

}  // namespace

Suite igt_suite(Workshop& workshop) {
  return {.name = "igt",
          .prefix = "igt.Test.",
          .needs =
              [&workshop] {
                return GuestNeeds{.command = {},
                                  .shares = {},
                                  .null_nvme = false,
                                  .disks = {workshop.igt_root()},
                                  .directory = "/root",
                                  .test_hmm = false};
              },
          .setup = mount_other_root(),
          .command = run_test,
          .parse = parse_igt};
}

}  // namespace figment::host
