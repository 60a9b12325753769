// SPDX-License-Identifier: MIT
#include "debian_tree.h"

namespace figment::host {

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

Argv debian_tree_command(const std::string& suite, const std::string& packages,
                         const std::vector<std::string>& empty_folders, const fs::path& into) {
  std::string hook = "--customize-hook=mkdir -p";
  for (const std::string& folder : empty_folders) hook += " \"$1/" + folder + "\"";
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
          hook,
          suite,
          into};
}

}  // namespace figment::host
