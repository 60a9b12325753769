// SPDX-License-Identifier: MIT
//
// Kernels that we do not compile: Debian's own ("stock"), and build trees of the user.
// kernel_source.cpp has the others.
//
// The image that is booted is the ELF file with a PVH entry where there is one: its decompression
// is done here once, and not by the emulated processor at each boot.
#include <sys/utsname.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <format>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "workshop.h"

namespace figment::host {

namespace {

// Where the build root keeps what it fetched.
const fs::path kPackages = "/usr/src/figment";

std::uint32_t le32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i) {
    value |= std::uint32_t{static_cast<unsigned char>(bytes.at(at + i))} << (8 * i);
  }
  return value;
}

// The compressed kernel inside a bzImage, by the boot protocol's header (Linux,
// Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length). Its last four
// bytes are the size of the kernel, not part of the stream.
std::string payload_of(const std::string& image) {
  if (image.size() < 0x250 || image.substr(0x202, 4) != "HdrS") {
    throw Failure("the kernel image is no bzImage");
  }
  const std::size_t setup_sectors = std::max<std::size_t>(1, static_cast<unsigned char>(image[0x1f1]));
  const std::size_t offset = (setup_sectors + 1) * 512 + le32(image, 0x248);
  const std::size_t length = le32(image, 0x24c);
  if (length < 8 || offset + length > image.size()) throw Failure("the kernel image is cut off");
  return image.substr(offset, length - 4);
}

bool has_option(const std::string& config, const std::string& name) {
  return config.contains("\n" + name + "=y\n") || config.contains("\n" + name + "=m\n");
}

// Which modules a tree has built, and when.
std::string module_stamps(const fs::path& tree) {
  std::istringstream names{read_file(tree / "modules.order")};
  std::string stamps;
  for (std::string name; names >> name;) {
    stamps += name + " " + file_stamp((tree / name).replace_extension(".ko")) + "\n";
  }
  return stamps;
}

std::string module_name(std::string_view path) {
  std::string name{path.substr(path.rfind('/') + 1)};
  name = name.substr(0, name.find(".ko"));
  std::ranges::replace(name, '-', '_');
  return name;
}

}  // namespace

std::vector<std::string> load_order(std::string_view dependencies, std::string_view builtin,
                                    const std::vector<std::string>& names) {
  std::map<std::string, std::string, std::less<>> paths;  // name -> path
  std::map<std::string, std::vector<std::string>, std::less<>> needs;
  std::istringstream lines{std::string{dependencies}};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    const std::string name = module_name(std::string_view{line}.substr(0, colon));
    paths[name] = line.substr(0, colon);
    std::istringstream words{line.substr(colon + 1)};
    for (std::string word; words >> word;) needs[name].push_back(module_name(word));
  }
  std::set<std::string, std::less<>> there;
  std::istringstream builtin_lines{std::string{builtin}};
  for (std::string line; builtin_lines >> line;) there.insert(module_name(line));

  std::vector<std::string> order;
  std::set<std::string, std::less<>> done;
  const auto visit = [&](const auto& self, const std::string& name) -> void {
    if (!done.insert(name).second || there.contains(name)) return;
    const auto path = paths.find(name);
    if (path == paths.end()) throw Failure("the kernel has no module " + name);
    for (const std::string& need : needs[name]) self(self, need);
    order.push_back(path->second);
  };
  for (const std::string& name : names) visit(visit, module_name(name));
  return order;
}

void unpack_module(const fs::path& from, const fs::path& to) {
  fs::create_directories(to.parent_path());
  const std::string suffix = from.extension();
  if (suffix == ".ko") {
    fs::copy_file(from, to, fs::copy_options::overwrite_existing);
    return;
  }
  const Argv tool = suffix == ".xz"    ? Argv{"xz", "-dc"}
                    : suffix == ".zst" ? Argv{"zstd", "-dcq"}
                                       : Argv{"gzip", "-dc"};
  Argv argv = tool;
  argv.push_back(from);
  const Output output = capture(argv);
  if (output.status != 0) throw Failure("cannot unpack " + from.string());
  write_file(to, output.text);
}

Inputs Workshop::stock_kernel_inputs() const {
  Inputs inputs;
  inputs.add("build root", places_.build_root_id);
  inputs.add("recipe", "unpack, vmlinux, depmod, erofs");
  return inputs;
}

Kernel Workshop::kernel(const std::string& name) {
  if (is_built_kernel(name)) return built_kernel(name);
  if (name != "stock") return kernel_from_tree(name);
  const Inputs inputs = stock_kernel_inputs();
  std::optional<Task> task;
  const fs::path entry = cache_.get(
      "kernel", inputs,
      [&](const fs::path& into) {
        task.emplace(*this, "kernel");
        const fs::path tree = into / "tree";
        for (const auto& file : fs::directory_iterator(kPackages)) {
          if (file.path().extension() == ".deb") {
            task->run({"dpkg-deb", "-x", file.path(), tree});
          }
        }
        fs::path modules;
        for (const auto& folder : fs::directory_iterator(tree / "usr/lib/modules")) {
          modules = folder.path();
        }
        if (!fs::exists(modules / "vmlinuz")) throw Failure("Debian's kernel package has no vmlinuz");
        write_file(into / "release", modules.filename().string() + "\n");
        write_file(into / "vmlinux.zst", payload_of(read_file(modules / "vmlinuz")));
        task->run({"zstd", "-dq", "--rm", into / "vmlinux.zst", "-o", into / "vmlinux"});
        fs::remove(modules / "vmlinuz");
        task->run({"depmod", "-b", tree / "usr", modules.filename()});
        fs::rename(tree / "usr/lib/modules", into / "modules");
        fs::remove_all(tree);
        task->run({"mkfs.erofs", "--quiet", into / "modules.erofs", into / "modules"});
      },
      [&] { std::cerr << "figment: kernel: waiting for another run that makes it\n"; });
  const std::string release = fs::exists(entry) ? first_line(entry / "release") : "unknown";
  return {.name = name,
          .id = "stock-" + inputs.key(),
          .release = release,
          .image = entry / "vmlinux",
          .modules = entry / "modules" / release,
          .modules_image = entry / "modules.erofs",
          .build = "/usr/lib/modules/" + release + "/build",
          .symbols = {}};
}

// A build tree is used as it is: what its owner built last is what boots. Modules are installed
// beside our own products when the tree has newer ones.
Kernel Workshop::kernel_from_tree(const fs::path& tree) {
  const fs::path release_file = tree / "include/config/kernel.release";
  if (!fs::exists(release_file)) {
    throw Failure(std::format("--kernel {}: no kernel was built there (no {})", tree.string(),
                              "include/config/kernel.release"));
  }
  const std::string config = "\n" + read_file(tree / ".config");
  std::string missing;
  for (const char* option :
       {"CONFIG_BLK_DEV_INITRD", "CONFIG_PCI_MSI", "CONFIG_SERIAL_8250_CONSOLE",
        "CONFIG_VIRTIO_PCI", "CONFIG_VIRTIO_CONSOLE", "CONFIG_VIRTIO_BLK", "CONFIG_NET_9P_VIRTIO",
        "CONFIG_9P_FS", "CONFIG_EROFS_FS", "CONFIG_OVERLAY_FS", "CONFIG_TMPFS", "CONFIG_DEVTMPFS",
        "CONFIG_MODULES", "CONFIG_UNIX98_PTYS"}) {
    if (!has_option(config, option)) missing += std::string{missing.empty() ? "" : ", "} + option;
  }
  if (!missing.empty()) {
    throw Failure(std::format("--kernel {}: a guest needs what its .config has not: {}",
                              tree.string(), missing));
  }
  const fs::path folder = fs::canonical(tree);
  const bool pvh = has_option(config, "CONFIG_PVH") && fs::exists(folder / "vmlinux");
  Kernel kernel{.name = folder,
                .id = {},
                .release = first_line(release_file),
                .image = pvh ? folder / "vmlinux" : folder / "arch/x86/boot/bzImage",
                .modules = {},
                .modules_image = {},
                .build = folder,
                .symbols = folder};
  if (!fs::exists(kernel.image)) {
    throw Failure(std::format("--kernel {}: neither vmlinux (with CONFIG_PVH) nor bzImage is there",
                              tree.string()));
  }
  Inputs inputs;
  inputs.add("folder", folder.string());
  inputs.add("release", kernel.release);
  inputs.add("image", file_stamp(kernel.image));
  inputs.add("modules", module_stamps(folder));
  // One folder for each tree, so that a rebuilt kernel replaces what came from it before.
  kernel.id = "tree-" + digest(folder.string()).substr(0, 16);
  const fs::path into = places_.build / "kernels" / kernel.id;
  kernel.modules = into / "lib/modules" / kernel.release;
  kernel.modules_image = into / "modules.erofs";
  if (make_nothing_) return kernel;
  const Lock lock(places_.build / "kernels.lock", {});
  if (!is_current(kernel.modules_image, inputs)) {
    Task task(*this, "kernel");
    fs::remove_all(into);
    fs::create_directories(into);
    task.run({"make", "-C", folder, "modules_install", "INSTALL_MOD_PATH=" + into.string(),
              "INSTALL_MOD_STRIP=1", "DEPMOD=depmod"});
    fs::remove(kernel.modules / "build");
    task.run({"mkfs.erofs", "--quiet", kernel.modules_image, into / "lib/modules"});
    set_current(kernel.modules_image, inputs);
  }
  return kernel;
}

}  // namespace figment::host
