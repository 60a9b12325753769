// SPDX-License-Identifier: MIT
//
// What changes with the sources reaches the guest in two small archives: the initramfs, with the
// agent, and the image of the tools, with the driver, what the driver needs, and all programs. Both
// are made anew in well under a second.
#include <algorithm>
#include <format>
#include <set>

#include "workshop.h"

namespace figment::host {

namespace {

// What the agent needs to get to the root and the shares.
const std::vector<std::string> kBootModules = {"virtio_blk", "erofs", "overlay", "9p",
                                               "9pnet_virtio"};
// And on a deterministic machine. A kernel that lacks them serves the others.
const std::vector<std::string> kDeterministicBootModules = {"nfit", "nd_pmem", "erofs", "overlay"};

std::string optional_file(const fs::path& path) { return fs::exists(path) ? read_file(path) : ""; }

std::vector<std::string> order_for(const Kernel& kernel, const std::vector<std::string>& names) {
  return load_order(read_file(kernel.modules / "modules.dep"),
                    optional_file(kernel.modules / "modules.builtin"), names);
}

std::string plain_name(const std::string& path) {
  const std::string name = fs::path(path).filename();
  return name.substr(0, name.find(".ko")) + ".ko";
}

}  // namespace

std::string cpio_archive(const std::vector<ArchiveFile>& files) {
  std::string archive;
  const auto pad = [&archive] { archive.resize((archive.size() + 3) / 4 * 4, '\0'); };
  unsigned inode = 0;
  const auto member = [&](const std::string& path, unsigned mode, std::string_view content) {
    archive += std::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}"
                           "{:08x}{:08x}",
                           ++inode, mode, 0, 0, 1, 0, content.size(), 0, 0, 0, 0, path.size() + 1, 0);
    archive += path;
    archive += '\0';
    pad();
    archive += content;
    pad();
  };
  std::vector<std::string> folders;
  for (const ArchiveFile& file : files) {
    for (std::size_t at = file.path.find('/'); at != file.path.npos; at = file.path.find('/', at + 1)) {
      const std::string folder = file.path.substr(0, at);
      if (std::ranges::find(folders, folder) != folders.end()) continue;
      folders.push_back(folder);
      member(folder, 0040755, "");
    }
    member(file.path, 0100000 | file.mode, file.content);
  }
  inode = 0;
  member("TRAILER!!!", 0, "");
  return archive;
}

bool can_be_deterministic(const Kernel& kernel) {
  try {
    order_for(kernel, kDeterministicBootModules);
    return true;
  } catch (const Failure&) {
    return false;
  }
}

fs::path Workshop::initramfs_file(const Kernel& kernel) const {
  return places_.build / "images" / kernel.id / "initramfs";
}

Inputs Workshop::initramfs_inputs(const Kernel& kernel) const {
  Inputs inputs;
  inputs.add("kernel", kernel.id + file_stamp(kernel.modules_image));
  inputs.add("agent", file_stamp(agent()));
  for (const std::string& name : kBootModules) inputs.add("module", name);
  for (const std::string& name : kDeterministicBootModules) inputs.add("deterministic module", name);
  return inputs;
}

fs::path Workshop::initramfs(const Kernel& kernel) {
  const fs::path file = initramfs_file(kernel);
  if (make_nothing_) return file;
  const Inputs inputs = initramfs_inputs(kernel);
  fs::create_directories(file.parent_path());
  const Lock lock(places_.build / "images.lock", {});
  if (is_current(file, inputs)) return file;
  Task task(*this, "initramfs");
  const fs::path stage = file.parent_path() / "boot-modules";
  fs::remove_all(stage);
  std::vector<ArchiveFile> files{{"init", read_file(agent()), 0755}};
  std::set<std::string> packed;
  const auto add_list = [&](const std::string& list, const std::vector<std::string>& paths) {
    std::string order;
    for (const std::string& path : paths) {
      const std::string name = plain_name(path);
      order += name + "\n";
      if (!packed.insert(name).second) continue;
      unpack_module(kernel.modules / path, stage / name);
      files.push_back({"modules/" + name, read_file(stage / name)});
    }
    files.push_back({"modules/" + list, order});
  };
  add_list("order", order_for(kernel, kBootModules));
  if (can_be_deterministic(kernel)) {
    add_list("order.deterministic", order_for(kernel, kDeterministicBootModules));
  }
  write_file(file, cpio_archive(files));
  set_current(file, inputs);
  return file;
}

fs::path Workshop::tools_file(const Kernel& kernel) const {
  return places_.build / "images" / product_id(kernel) / "tools.erofs";
}

Inputs Workshop::tools_inputs(const Kernel& kernel) const {
  Inputs inputs;
  inputs.add("kernel", kernel.id + file_stamp(kernel.modules_image));
  inputs.add("figment.ko", file_stamp(driver_file(kernel)));
  for (const fs::path& program : guest_programs()) {
    inputs.add(program.filename(), program.string() + file_stamp(program));
  }
  return inputs;
}

Tools Workshop::tools(const Kernel& kernel) {
  const fs::path file = tools_file(kernel);
  if (make_nothing_) return {.image = file, .driver_modules = {}, .nvme_modules = {}};
  const Driver built = driver(kernel);
  const std::vector<fs::path> programs = guest_programs();
  const auto in_guest = [](const std::string& name) { return "/opt/figment/modules/" + name; };
  const std::vector<std::string> needs = order_for(kernel, built.needs);
  const std::vector<std::string> nvme = order_for(kernel, {"nvme"});
  Tools tools{.image = file, .driver_modules = {}, .nvme_modules = {}};
  for (const auto& path : needs) tools.driver_modules.push_back(in_guest(plain_name(path)));
  for (const auto& path : nvme) tools.nvme_modules.push_back(in_guest(plain_name(path)));
  tools.driver_modules.push_back(in_guest("figment.ko"));

  const Inputs inputs = tools_inputs(kernel);
  fs::create_directories(file.parent_path());
  const Lock lock(places_.build / "images.lock", {});
  if (is_current(file, inputs)) return tools;
  Task task(*this, "tools");
  const fs::path stage = file.parent_path() / "tools";
  fs::remove_all(stage);
  fs::create_directories(stage / "bin");
  fs::create_directories(stage / "modules");
  for (const fs::path& program : programs) {
    fs::copy_file(program, stage / "bin" / program.filename());
  }
  for (const auto& list : {needs, nvme}) {
    for (const std::string& path : list) {
      unpack_module(kernel.modules / path, stage / "modules" / plain_name(path));
    }
  }
  fs::copy_file(built.module, stage / "modules/figment.ko");
  // A guest may still have the old image open: replace it, never change it.
  const fs::path partial = file.string() + ".partial";
  fs::remove(partial);
  task.run({"mkfs.erofs", "--quiet", partial, stage});
  fs::rename(partial, file);
  set_current(file, inputs);
  return tools;
}

}  // namespace figment::host
