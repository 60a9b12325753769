// SPDX-License-Identifier: MIT
#include "guest.h"

#include <algorithm>

#include "protocol.h"

namespace figment::host {

namespace {

using Words = std::vector<std::string>;

// In QEMU's option lists a comma ends a value; a doubled one is a comma.
std::string escaped(const std::string& value) {
  std::string out;
  for (const char c : value) out.append(c == ',' ? 2 : 1, c);
  return out;
}

void append(Words& to, Words words) { std::ranges::move(words, std::back_inserter(to)); }

Words machine_args(const Guest& guest) {
  return {"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
          // KVM needs the host's CPU; la57 only makes page tables deeper than we need.
          "-machine", "q35", "-accel", guest.kvm ? "kvm" : "tcg,thread=multi", "-cpu",
          guest.kvm ? "host" : "max,la57=off", "-smp", std::to_string(guest.cpus), "-m",
          std::to_string(guest.memory_mib) + "M"};
}

Words kernel_args(const Guest& guest) {
  // panic=-1 and -no-reboot: a dead guest is an ended QEMU, never a hang.
  std::string line = "console=ttyS0 panic=-1";
  if (!guest.kvm) line += " rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60";
  if (!guest.append.empty()) line += " " + guest.append;
  return {"-kernel", guest.kernel, "-initrd", guest.initramfs, "-append", line};
}

Words agent_args(const Guest& guest) {
  const std::string fd = guest.agent_fd < 0 ? "AGENT" : std::to_string(guest.agent_fd);
  return {"-chardev", "file,id=console,path=" + escaped(guest.console),
          "-serial", "chardev:console",
          "-device", "virtio-serial-pci",
          "-chardev", "socket,id=agent,fd=" + fd,
          "-device", "virtserialport,chardev=agent,name=" + std::string{guest::kPortName}};
}

Words disk_args(const Guest& guest) {
  Words args;
  for (std::size_t i = 0; i < guest.disks.size(); ++i) {
    const std::string id = "disk" + std::to_string(i);
    append(args, {"-drive",
                  "if=none,id=" + id + ",format=raw,readonly=on,file=" + escaped(guest.disks[i]),
                  "-device", "virtio-blk-pci,drive=" + id});
  }
  if (guest.null_nvme) {
    append(args, {"-drive", "if=none,id=null,driver=null-co,size=1G,read-zeroes=on",
                  "-device", "nvme,drive=null,serial=null"});
  }
  return args;
}

Words share_args(const Guest& guest) {
  Words args;
  for (std::size_t i = 0; i < guest.shares.size(); ++i) {
    const Share& share = guest.shares[i];
    const std::string id = "share" + std::to_string(i);
    append(args, {"-fsdev",
                  "local,id=" + id + ",security_model=none,multidevs=remap" +
                      (share.writable ? "" : ",readonly=on") + ",path=" + escaped(share.folder),
                  "-device", "virtio-9p-pci,fsdev=" + id + ",mount_tag=" + id});
  }
  return args;
}

Words gpu_args(const Guest& guest) {
  std::string device = "figment";
  if (std::ranges::find(guest.gpu, "model", &GpuProperties::value_type::first) == guest.gpu.end()) {
    device += ",model=" + escaped(guest.model);
  }
  for (const auto& [name, value] : guest.gpu) device += "," + name + "=" + escaped(value);
  Words args;
  for (unsigned i = 0; i < guest.gpus; ++i) append(args, {"-device", device});
  return args;
}

}  // namespace

Words qemu_argv(const Guest& guest) {
  Words argv{guest.qemu};
  for (const auto& folder : guest.firmware) append(argv, {"-L", folder});
  for (const auto part : {machine_args, kernel_args, agent_args, disk_args, share_args, gpu_args}) {
    append(argv, part(guest));
  }
  return argv;
}

}  // namespace figment::host
