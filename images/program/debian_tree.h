// SPDX-License-Identifier: MIT
//
// A small Debian tree: what images are made of.
#ifndef FIGMENT_PROGRAM_DEBIAN_TREE_H
#define FIGMENT_PROGRAM_DEBIAN_TREE_H

#include "process.h"

namespace figment::host {

// The packages of a list, one a line with comments, as mmdebstrap wants them.
std::string package_names(const fs::path& list);

// What makes a tree of Debian's essential packages and of `packages`. `empty_folders` are mount
// points, which an image that nobody can write must have. Behind it: where packages come from.
Argv debian_tree_command(const std::string& suite, const std::string& packages,
                         const std::vector<std::string>& empty_folders, const fs::path& into);

}  // namespace figment::host

#endif
