// SPDX-License-Identifier: MIT
//
// QEMU: Debian's source with the Figment device linked in.
//
// The unpacked and configured tree stays in the cache as a workspace, so that a change of the
// device costs seconds and not minutes. What is used is a copy of the binary, keyed by everything
// that went into it; the workspace may belong to another checkout a moment later.
#include <iostream>

#include "source_copy.h"
#include "workshop.h"

namespace figment::host {

namespace {

const fs::path kPackages = "/usr/src/figment";

const Argv kConfigure = {"--target-list=x86_64-softmmu",
                         "--without-default-features",
                         "--without-default-devices",
                         "--with-devices-x86_64=figment",
                         "--disable-debug-info",
                         "--enable-tcg",
                         "--enable-kvm",
                         "--enable-virtfs",  // 9p shares
                         "--enable-attr",
                         "--disable-install-blobs",
                         // A tenth faster: what runs in it is this machine's own guest.
                         "--disable-stack-protector",
                         "--extra-cflags=-O3 -fzero-call-used-regs=skip",
                         "--enable-trace-backends=log"};

// Lines in QEMU's own files that make the device known; its folder is hw/figment.
constexpr Hook kHooks[] = {
    {"hw/meson.build", "subdir('dma')", "subdir('figment')"},
    {"hw/Kconfig", "source dma/Kconfig", "source figment/Kconfig"},
    {"meson.build", "    'hw/dma',", "    'hw/figment',"},
};

const fs::path kDevices = "images/qemu/devices.mak";
// Applied after Debian's, in this order.
const fs::path kPatches[] = {"images/qemu/hermetic-icount.patch", "images/qemu/memory-map.patch"};

// The device's sources and the two contracts that they include.
SourceFiles device_files(const fs::path& checkout) {
  SourceFiles files;
  for (const auto& file : fs::directory_iterator(checkout / "qemu-device/qemu")) {
    if (file.is_regular_file()) files.emplace_back(file.path(), file.path().filename());
  }
  files.emplace_back(checkout / "kernel-driver/figment_hw.h", "figment_hw.h");
  files.emplace_back(checkout / "qemu-device/model/include/figment/figment_model.h",
                     "figment/figment_model.h");
  return files;
}

}  // namespace

// What the workspace is made of; the device's files come and go in it.
Inputs Workshop::qemu_workspace_inputs() const {
  Inputs inputs;
  inputs.add("build root", places_.build_root_id);
  inputs.add("configure", quoted(kConfigure));
  inputs.add_path(kDevices, places_.checkout / kDevices);
  for (const fs::path& patch : kPatches) inputs.add_path(patch, places_.checkout / patch);
  for (const Hook& hook : kHooks) inputs.add("hook", std::string{hook.file} + hook.after + hook.line);
  return inputs;
}

Inputs Workshop::qemu_inputs() const {
  Inputs inputs = qemu_workspace_inputs();
  for (const auto& [from, name] : device_files(places_.checkout)) {
    inputs.add_path(fs::relative(from, places_.checkout), from);
  }
  return inputs;
}

fs::path Workshop::qemu() {
  const fs::path entry = cache_.get(
      "qemu", qemu_inputs(),
      [&](const fs::path& into) {
        Task task(*this, "qemu");
        const fs::path workspace = cache_.workspace_path("qemu", qemu_workspace_inputs().key());
        fs::create_directories(workspace);
        const fs::path source = workspace / "source";
        const fs::path build = workspace / "build";
        if (!fs::exists(source)) {
          fs::path description;
          for (const auto& file : fs::directory_iterator(kPackages)) {
            if (file.path().extension() == ".dsc") description = file.path();
          }
          const fs::path partial = workspace / "source.partial";
          fs::remove_all(partial);
          // Debian's patches are applied too.
          task.run({"dpkg-source", "--no-check", "-x", description, partial});
          for (const fs::path& patch : kPatches) apply_patch(places_.checkout / patch, partial);
          for (const Hook& hook : kHooks) apply(hook, partial);
          fs::copy_file(places_.checkout / kDevices,
                        partial / "configs/devices/x86_64-softmmu/figment.mak");
          fs::rename(partial, source);
        }
        refresh_sources(device_files(places_.checkout), source / "hw/figment");
        if (!fs::exists(build / "configured")) {
          fs::remove_all(build);
          fs::create_directories(build);
          Argv configure = kConfigure;
          configure.insert(configure.begin(), source / "configure");
          task.run(configure, {.directory = build});
          write_file(build / "configured", "");
        }
        task.run({"ninja", "-C", build, "qemu-system-x86_64"});
        fs::copy_file(build / "qemu-system-x86_64", into / "qemu-system-x86_64");
      },
      [] { std::cerr << "figment: qemu: waiting for another run that makes it\n"; });
  return entry / "qemu-system-x86_64";
}

}  // namespace figment::host
