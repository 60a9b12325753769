// SPDX-License-Identifier: MIT
//
// The guest root: a small Debian tree as one read-only erofs image, not compressed, because the
// host's page cache is cheaper than an emulated processor that unpacks.
#include <iostream>

#include "workshop.h"

namespace figment::host {

namespace {

// The packages of the list, one a line, with comments.
std::string package_names(const fs::path& list) {
  const std::string text = read_file(list);
  std::string names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    line = line.substr(0, line.find('#'));
    line.erase(line.find_last_not_of(" \t") + 1);
    if (!line.empty()) names += (names.empty() ? "" : ",") + line;
  }
  return names;
}

Argv tree_command(const std::string& packages, const fs::path& into) {
  return {"mmdebstrap",
          "--mode=root",
          "--variant=essential",
          "--include=" + packages,
          "--aptopt=Acquire::Check-Valid-Until \"false\"",
          "--aptopt=Acquire::Retries \"3\"",
          "--aptopt=APT::Install-Recommends \"false\"",
          "--aptopt=APT::Sandbox::User \"root\"",
          "--dpkgopt=path-exclude=/usr/share/doc/*",
          "--dpkgopt=path-exclude=/usr/share/man/*",
          "--dpkgopt=path-exclude=/usr/share/info/*",
          "--dpkgopt=path-exclude=/usr/share/locale/*",
          // Mount points that an image which nobody can write must have.
          "--customize-hook=mkdir -p \"$1/usr/lib/modules\" \"$1/opt/figment\"",
          "trixie",
          into};
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
