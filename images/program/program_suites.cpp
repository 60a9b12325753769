// SPDX-License-Identifier: MIT
//
// Programs of other projects, from Debian's packages in the guest's root.
#include <algorithm>

#include "program_logs.h"
#include "suite_tests.h"

namespace figment::host {

namespace {

constexpr unsigned kLimitSeconds = 300;  // of one program, on a machine that has much else to do
// Of one stressor: so long that there are jobs of every strategy beside it.
constexpr const char* kStressSeconds = "5";

// A file system that holds swap files: Debian's ext4 is one, and takes ext2.
constexpr const char* kSwapFolder =
    "modprobe zram; echo 256M >/sys/block/zram0/disksize\n"
    "mke2fs -q /dev/zram0; mount -t ext2 /dev/zram0 /mnt\n";

GuestNeeds plain_guest() {
  return {.command = {}, .shares = {}, .null_nvme = false, .directory = "/tmp", .test_hmm = false};
}

std::string run_stressor(const ListedTest& test, const Expectations&) {
  Argv command = {"stress-ng",    "--" + test.name, "1",           "--timeout",
                  kStressSeconds, "--verify",       "--temp-path", "/tmp"};
  std::ranges::copy(test.arguments, std::back_inserter(command));
  return quoted(with_limit(kLimitSeconds, command));
}

}  // namespace

Suite stress_ng_suite(const std::string& kernel) {
  const bool stock = kernel == "stock";
  return {.name = stock ? "stress-ng-stock" : "stress-ng",
          .prefix = "stressng.",
          .needs = plain_guest,
          .setup = stock ? kSwapFolder : "",
          .command = run_stressor,
          .parse = parse_stress_ng,
          .busy = true};
}

Suite libdrm_suite() {
  return {.name = "libdrm",
          .prefix = "libdrm.",
          .needs = plain_guest,
          .setup = {},
          .command =
              [](const ListedTest& test, const Expectations&) {
                return "cd /sys/bus/pci/drivers/figment\n"
                       "for pci in *:*; do echo \"figment $pci $(cat $pci/vendor) $(cat "
                       "$pci/device)\"; "
                       "done\n" +
                       quoted(with_limit(kLimitSeconds, {test.name}));
              },
          .parse = parse_drmdevice};
}

}  // namespace figment::host
