// SPDX-License-Identifier: MIT
//
// The root of Mesa's software Vulkan driver: a Debian tree of its own, because the driver is half
// as large as the guest. As new as the guest's, so that programs of the build root run in it, but
// for Mesa: its driver knows sync files (VK_KHR_external_semaphore_fd) in the backports only.
// Beside the image are the headers of Vulkan, which the build root has not.
#include <iostream>

#include "debian_tree.h"
#include "workshop.h"

namespace figment::host {

namespace {

constexpr const char* kPackages =
    "mesa-vulkan-drivers/trixie-backports,libvulkan1,libvulkan-dev,libdrm2,libstdc++6";
constexpr const char* kLibraries = "usr/lib/x86_64-linux-gnu";
constexpr const char* kManifests = "usr/share/vulkan/icd.d";
// Changes when what is taken out of the tree does.
constexpr const char* kTakenOut = "drivers of other devices, layers, the headers, Python";

Argv tree_command(const fs::path& into) {
  return debian_tree_command("trixie", kPackages, {"usr/lib/modules"}, into);
}

template <typename Condition>
void remove_from(const fs::path& folder, Condition is_unwanted) {
  std::vector<fs::path> unwanted;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (is_unwanted(file.path().filename().string())) unwanted.push_back(file.path());
  }
  for (const fs::path& file : unwanted) fs::remove_all(file);
}

// What the tests do without is most of it.
void make_small(const fs::path& tree) {
  remove_from(tree / kLibraries, [](const std::string& name) {
    return (name.starts_with("libvulkan_") && name != "libvulkan_lvp.so") ||
           name.starts_with("libVkLayer_");
  });
  remove_from(tree / kManifests, [](const std::string& name) { return name != "lvp_icd.json"; });
  remove_from(tree / "usr/share/vulkan", [](const std::string& name) { return name != "icd.d"; });
  // The headers' package has scripts with it.
  for (const char* folder : {"usr/bin", "usr/lib", "usr/share"}) {
    remove_from(tree / folder, [](const std::string& name) { return name.starts_with("python3"); });
  }
  fs::remove_all(tree / "usr/include");
}

}  // namespace

Inputs Workshop::mesa_root_inputs() const {
  Inputs inputs;
  inputs.add("build root", places_.build_root_id);
  inputs.add("recipe", quoted(tree_command("")) + "; without " + kTakenOut + "; mkfs.erofs");
  return inputs;
}

MesaRoot Workshop::mesa_root() {
  const fs::path entry = cache_.get(
      "mesa-root", mesa_root_inputs(),
      [&](const fs::path& into) {
        Task task(*this, "mesa-root");
        const fs::path tree = into / "tree";
        Argv command = tree_command(tree);
        // The archive is the one that the build root came from.
        command.push_back("/etc/apt/sources.list");
        task.run(command);
        // Copies are new, so that ninja sees that other headers are others.
        fs::create_directories(into / "include");
        for (const char* folder : {"vulkan", "vk_video"}) {
          fs::copy(tree / "usr/include" / folder, into / "include" / folder);
        }
        make_small(tree);
        task.run({"mkfs.erofs", "--quiet", into / "root.erofs", tree});
        fs::remove_all(tree);
      },
      [] { std::cerr << "figment: mesa-root: waiting for another run that makes it\n"; });
  return {.image = entry / "root.erofs", .headers = entry / "include"};
}

fs::path Workshop::mesa_tests() {
  const fs::path program = meson_product("figment-mesa-tests");
  if (make_nothing_) return program;
  // Where tests/mesa/meson.build has it.
  const fs::path link = meson_folder() / "vulkan-headers";
  const fs::path headers = mesa_root().headers;
  {
    const Lock lock(places_.build / ".lock", {});
    if (!fs::is_symlink(link) || fs::read_symlink(link) != headers) {
      fs::remove(link);
      fs::create_directory_symlink(headers, link);
    }
  }
  programs({program.lexically_relative(meson_folder())});
  return program;
}

}  // namespace figment::host
