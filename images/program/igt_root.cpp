// SPDX-License-Identifier: MIT
//
// The root of IGT, the test suite of Linux' DRM drivers: a Debian tree of its own, because it needs
// newer libraries than the guest has. An erofs image, with the tests of tests/igt/list.
#include <iostream>
#include <set>
#include <sstream>

#include "debian_tree.h"
#include "suite.h"
#include "workshop.h"

namespace figment::host {

namespace {

constexpr const char* kSuite = "forky";
constexpr const char* kTests = "usr/libexec/igt-gpu-tools";

Argv tree_command(const fs::path& into) {
  return debian_tree_command(kSuite, "igt-gpu-tools-tests", {"usr/lib/modules"}, into);
}

// The archive that the build root came from, for the newer suite: "deb MIRROR forky main".
std::string archive_line() {
  std::istringstream lines(read_file("/etc/apt/sources.list"));
  for (std::string type, mirror; lines >> type >> mirror;) {
    if (type == "deb") return "deb " + mirror + " " + kSuite + " main";
    lines.ignore(4096, '\n');
  }
  throw Failure("/etc/apt/sources.list of the build root names no archive");
}

}  // namespace

Inputs Workshop::igt_root_inputs() const {
  Inputs inputs;
  inputs.add("build root", places_.build_root_id);
  inputs.add_path("tests/igt/list", places_.checkout / "tests/igt/list");
  inputs.add("recipe", quoted(tree_command("")) + "; mkfs.erofs");
  return inputs;
}

fs::path Workshop::igt_root() {
  const fs::path entry = cache_.get(
      "igt-root", igt_root_inputs(),
      [&](const fs::path& into) {
        Task task(*this, "igt-root");
        Argv command = tree_command(into / "tree");
        command.push_back(archive_line());
        task.run(command);
        // Those of single drivers are most of it.
        const auto list = parse_suite_list(read_file(places_.checkout / "tests/igt/list"));
        std::set<std::string> kept;
        for (const ListedTest& test : list) kept.insert(test.name);
        std::vector<fs::path> others;
        for (const auto& file : fs::directory_iterator(into / "tree" / kTests)) {
          if (!kept.contains(file.path().filename())) others.push_back(file.path());
        }
        for (const fs::path& other : others) fs::remove_all(other);
        for (const std::string& test : kept) {
          if (!fs::exists(into / "tree" / kTests / test)) {
            throw Failure("tests/igt/list: IGT has no test " + test);
          }
        }
        task.run({"mkfs.erofs", "--quiet", into / "root.erofs", into / "tree"});
        fs::remove_all(into / "tree");
      },
      [] { std::cerr << "figment: igt-root: waiting for another run that makes it\n"; });
  return entry / "root.erofs";
}

}  // namespace figment::host
