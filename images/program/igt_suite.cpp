// SPDX-License-Identifier: MIT
#include <format>

#include "igt_log.h"
#include "suite_tests.h"

namespace figment::host {

namespace {

constexpr const char* kMount = "/mnt";
constexpr unsigned kLimitSeconds = 120;  // of one test

// What IGT sees is a machine of its own, with the guest's devices and modules.
std::string mounts() {
  std::string script = std::format("mount -t erofs -o ro /dev/vdd {}\n", kMount) +
                       std::format("mount --bind /usr/lib/modules {}/usr/lib/modules\n", kMount);
  for (const char* folder : {"dev", "proc", "sys"}) {
    script += std::format("mount --rbind /{0} {1}/{0}\n", folder, kMount);
  }
  return script + std::format("mount -t tmpfs none {}/tmp\n", kMount);
}

std::string run_test(const ListedTest& test, const Expectations& expected) {
  Argv command = {"/usr/libexec/igt-gpu-tools/" + test.name};
  const std::string selection = igt_selection(expected.left_out_of(test.name));
  if (!selection.empty()) command.insert(command.end(), {"--run-subtest", selection});
  return std::format("chroot {} {}", kMount, quoted(with_limit(kLimitSeconds, command)));
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
          .setup = mounts(),
          .command = run_test,
          .parse = parse_igt};
}

}  // namespace figment::host
