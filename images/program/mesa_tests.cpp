// SPDX-License-Identifier: MIT
#include "mesa_tests.h"

#include <format>

#include "other_root.h"

namespace figment::host {

GuestProgram tests_with_mesa(Workshop& workshop) {
  return {.target = "figment-mesa-tests", .needs = [&workshop](const std::string& filter) {
            const fs::path program = workshop.meson_product("figment-mesa-tests");
            const Argv command =
                in_other_root({"env", "VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json",
                               // There is nothing to compile, and no folder for it.
                               "MESA_SHADER_CACHE_DISABLE=true", "GTEST_COLOR=no",
                               "/tmp/" + program.filename().string(), "--gtest_filter=" + filter});
            const std::string script =
                std::format("set -e\n{}cp {} {}/tmp\nexec {}\n", mount_other_root(),
                            quoted({program}), kOtherRoot, quoted(command));
            return GuestNeeds{.command = {"sh", "-c", script},
                              .shares = {},
                              .null_nvme = false,
                              .disks = {workshop.mesa_root().image},
                              .directory = "/root",
                              .test_hmm = false};
          }};
}

}  // namespace figment::host
