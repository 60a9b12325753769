// SPDX-License-Identifier: MIT
#include "other_root.h"

#include <format>

namespace figment::host {

std::string mount_other_root() {
  std::string script =
      std::format("mount -t erofs -o ro /dev/vdd {}\n", kOtherRoot) +
      std::format("mount --bind /usr/lib/modules {}/usr/lib/modules\n", kOtherRoot);
  for (const char* folder : {"dev", "proc", "sys"}) {
    script += std::format("mount --rbind /{0} {1}/{0}\n", folder, kOtherRoot);
  }
  return script + std::format("mount -t tmpfs none {}/tmp\n", kOtherRoot);
}

Argv in_other_root(Argv command) {
  command.insert(command.begin(), {"chroot", kOtherRoot});
  return command;
}

}  // namespace figment::host
