// SPDX-License-Identifier: MIT
#include "guest.h"

#include <algorithm>

#include "protocol.h"

namespace figment::host {

namespace {

// Everything that can be emulated. Not five-level page tables: a kernel that has them walks one level
// more. And no fast string moves, or the kernel copies pages by `rep movsb`, which the emulator does
// byte by byte: slow, and a page that a device writes to meanwhile is copied with words of which one
// half is old.
constexpr const char* kEmulatedCpu = "max,la57=off,erms=off,fsrm=off";

using Words = std::vector<std::string>;

// In QEMU's option lists a comma ends a value; a doubled one is a comma.
std::string escaped(const std::string& value) {
  std::string out;
  for (const char c : value) out.append(c == ',' ? 2 : 1, c);
  return out;
}

// Rules from the start are armed before the guest does anything.
bool waits_for_rules(const Guest& guest) {
  return !guest.inject.empty();
}

void append(Words& to, Words words) { std::ranges::move(words, std::back_inserter(to)); }

// Of a deterministic machine. 2^2 ns of virtual time for an instruction is near what emulation
// takes on today's processors, so that timeouts of the guest mean about what they say. `sleep=off`:
// an idle machine goes to its next timer at once. `tb-size`: by default the host's memory decides when
// translated code is thrown away.
Words deterministic_machine_args(const Guest& guest) {
  const Deterministic& machine = *guest.deterministic;
  const std::uint64_t mib = 1 << 20;
  std::uint64_t all = guest.memory_mib * mib;
  for (const MemoryImage& image : machine.images) all += image.bytes;
  Words args{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine",
             std::string{"q35,nvdimm=on"} + (machine.memory.empty() ? "" : ",memory-backend=ram"),
             "-accel", "tcg,thread=single,tb-size=512", "-cpu", kEmulatedCpu, "-smp",
             std::to_string(guest.cpus), "-m",
             "size=" + std::to_string(guest.memory_mib) + "M,slots=" +
                 std::to_string(machine.images.size()) + ",maxmem=" +
                 std::to_string((all + mib - 1) / mib) + "M",
             "-icount", "shift=2,sleep=off", "-rtc", "base=2026-01-01T00:00:00,clock=vm",
             "-seed", std::to_string(machine.seed)};
  if (!machine.memory.empty()) {
    append(args, {"-object", "memory-backend-file,id=ram,mem-path=" + escaped(machine.memory) +
                                 ",size=" + std::to_string(guest.memory_mib) + "M," +
                                 (machine.save ? "share=on" : "share=off,readonly=on,rom=off")});
  }
  // Its monitor is told what to restore.
  if (!machine.state.empty()) append(args, {"-incoming", "defer"});
  if (machine.monitor_fd >= 0) {
    append(args, {"-chardev", "socket,id=monitor,fd=" + std::to_string(machine.monitor_fd),
                  "-mon", "chardev=monitor,mode=control"});
  }
  std::string conductor = "figment-conductor,id=conductor,seed=" + std::to_string(machine.seed);
  const auto property = [&](const char* name, std::uint64_t value) {
    if (value) conductor += std::string{","} + name + "=" + std::to_string(value);
  };
  property("turn-min-ns", machine.turn_min_ns);
  property("turn-max-ns", machine.turn_max_ns);
  property("limit-ns", machine.limit_ns);
  property("stop-ns", machine.stop_ns.value_or(0));
  if (machine.save) conductor += ",pause-at-mark=on";
  append(args, {"-device", conductor});
  if (waits_for_rules(guest) || !machine.gdb.empty()) args.push_back("-S");
  if (!machine.gdb.empty()) append(args, {"-gdb", machine.gdb});
  return args;
}

Words machine_args(const Guest& guest) {
  if (guest.deterministic) return deterministic_machine_args(guest);
  // When the guest turns the IOMMU on, the map of memory changes under the other processor, and QEMU
  // 10.0 does not survive that every time (iotlb_to_section). In turns they are safe.
  const char* emulated = guest.iommu ? "tcg,thread=single" : "tcg,thread=multi";
  Words args{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
             // KVM needs the host's CPU; la57 only makes page tables deeper than we need.
             "-machine", "q35", "-accel", guest.kvm ? "kvm" : emulated, "-cpu",
             guest.kvm ? "host" : kEmulatedCpu, "-smp", std::to_string(guest.cpus), "-m",
             std::to_string(guest.memory_mib) + "M"};
  const std::string fd = guest.monitor_fd < 0 ? "MONITOR" : std::to_string(guest.monitor_fd);
  append(args, {"-chardev", "socket,id=monitor,server=on,wait=off,fd=" + fd, "-mon",
                "chardev=monitor,mode=control"});
  if (waits_for_rules(guest)) args.push_back("-S");
  return args;
}

// Each has its part of memory, and the first one all processors: they are in one package, and a
// package that is in two nodes is a report of the kernel.
Words node_args(const Guest& guest) {
  if (guest.nodes == 1) return {};
  Words args;
  for (unsigned node = 0; node < guest.nodes; ++node) {
    const std::string id = "node" + std::to_string(node);
    std::uint64_t mib = guest.memory_mib / guest.nodes;
    if (node == 0) mib += guest.memory_mib % guest.nodes;
    std::string words = "node,nodeid=" + std::to_string(node) + ",memdev=" + id;
    if (node == 0) words += ",cpus=0-" + std::to_string(guest.cpus - 1);
    append(args, {"-object", "memory-backend-ram,id=" + id + ",size=" + std::to_string(mib) + "M",
                  "-numa", words});
  }
  return args;
}

Words kernel_args(const Guest& guest) {
  // panic=-1 and -no-reboot: a dead guest is an ended QEMU, never a hang.
  std::string line = "console=ttyS0 panic=-1";
  if (!guest.kvm) line += " rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60";
  // Strict: an address is gone when its mapping is, not some time later.
  if (guest.iommu) line += " intel_iommu=on iommu.strict=1 iommu.passthrough=0";
  if (guest.deterministic) {
    line += " " + std::string{guest::kImagesKey} + std::to_string(guest.deterministic->images.size());
  }
  if (!guest.append.empty()) line += " " + guest.append;
  return {"-kernel", guest.kernel, "-initrd", guest.initramfs, "-append", line};
}

// Has to come before what is behind it. Interrupts take the way that they always take.
Words iommu_args(const Guest& guest) {
  if (!guest.iommu) return {};
  return {"-device", "intel-iommu,intremap=off,aw-bits=48"};
}

Words agent_args(const Guest& guest) {
  const std::string fd = guest.agent_fd < 0 ? "AGENT" : std::to_string(guest.agent_fd);
  Words args{"-chardev", "file,id=console,path=" + escaped(guest.console),
             "-serial", "chardev:console",
             "-chardev", "socket,id=agent,fd=" + fd};
  if (guest.deterministic) {
    append(args, {"-device",
                  "isa-debugcon,chardev=agent,iobase=" + std::to_string(guest::kSpeakPort)});
  } else {
    append(args, {"-device", "virtio-serial-pci", "-device",
                  "virtserialport,chardev=agent,name=" + std::string{guest::kPortName}});
  }
  return args;
}

// The images of a deterministic machine: read-only, and shared, so that they are not saved with it.
Words image_args(const Deterministic& machine) {
  Words args;
  for (std::size_t i = 0; i < machine.images.size(); ++i) {
    const std::string id = "image" + std::to_string(i);
    append(args, {"-object", "memory-backend-file,id=" + id + ",share=on,readonly=on,mem-path=" +
                                 escaped(machine.images[i].file) +
                                 ",size=" + std::to_string(machine.images[i].bytes),
                  "-device", "nvdimm,id=nvdimm" + std::to_string(i) + ",memdev=" + id +
                                 ",unarmed=on"});
  }
  return args;
}

Words disk_args(const Guest& guest) {
  if (guest.deterministic) return image_args(*guest.deterministic);
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
  // They are images there.
  if (guest.deterministic) return {};
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
  // Whoever does not choose gets the GPU that can do most: every strategy is on offer.
  const GpuProperties defaults = {
      {"model", guest.model}, {"preempt", "instruction"}, {"faults", "on"}, {"inject", "on"}};
  std::string device;
  for (const auto& [name, value] : defaults) {
    if (std::ranges::contains(guest.gpu, name, &GpuProperties::value_type::first)) continue;
    device += "," + name + "=" + escaped(value);
  }
  for (const auto& [name, value] : guest.gpu) device += "," + name + "=" + escaped(value);
  Words args;
  for (unsigned i = 0; i < guest.gpus; ++i) {
    std::string trace;
    if (!guest.trace.empty()) {
      trace = ",trace=" + escaped(guest.trace) + (i ? "." + std::to_string(i) : "");
    }
    append(args, {"-device", "figment,id=" + gpu_id(i) + device + trace});
  }
  return args;
}

}  // namespace

std::string gpu_id(unsigned gpu) {
  return "gpu" + std::to_string(gpu);
}

Words qemu_argv(const Guest& guest) {
  Words argv{guest.qemu};
  for (const auto& folder : guest.firmware) append(argv, {"-L", folder});
  for (const auto part : {machine_args, node_args, kernel_args, iommu_args, agent_args, disk_args,
                          share_args, gpu_args}) {
    append(argv, part(guest));
  }
  return argv;
}

}  // namespace figment::host
