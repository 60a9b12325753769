// SPDX-License-Identifier: MIT
//
// The guest root: a small Debian tree as one read-only erofs image, not compressed, because the
// host's page cache is cheaper than an emulated processor that unpacks.
#include <iostream>

#include "debian_tree.h"
#include "workshop.h"

namespace figment::host {

namespace {

Argv tree_command(const std::string& packages, const fs::path& into) {
  return debian_tree_command("trixie", packages, {"usr/lib/modules", "opt/figment"}, into);
}

}  // namespace

Inputs Workshop::guest_root_inputs() const {
  Inputs inputs;
  inputs.add("build root", places_.build_root_id);
  inputs.add_path("images/guest/packages", places_.checkout / "images/guest/packages");
  inputs.add("recipe", quoted(tree_command("", "")));
  return inputs;
}

fs::path Workshop::guest_root() {
  const fs::path entry = cache_.get(
      "guest-root", guest_root_inputs(),
      [&](const fs::path& into) {
        Task task(*this, "guest-root");
        Argv command =
            tree_command(package_names(places_.checkout / "images/guest/packages"), into / "tree");
        // The archive is the one that the build root came from.
        command.push_back("/etc/apt/sources.list");
        task.run(command);
        task.run({"mkfs.erofs", "--quiet", into / "root.erofs", into / "tree"});
        fs::remove_all(into / "tree");
      },
      [] { std::cerr << "figment: guest-root: waiting for another run that makes it\n"; });
  return entry / "root.erofs";
}

}  // namespace figment::host
