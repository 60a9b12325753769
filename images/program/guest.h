// SPDX-License-Identifier: MIT
//
// A guest is a value: what the machine is, before anything runs. qemu_argv() turns it into QEMU's
// command line; it starts nothing and looks at nothing.
#ifndef FIGMENT_PROGRAM_GUEST_H
#define FIGMENT_PROGRAM_GUEST_H

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace figment::host {

// A folder of the host in the guest, over 9p.
struct Share {
  std::filesystem::path folder;
  std::string mount;  // absolute, without blanks
  bool writable = true;
  bool operator==(const Share&) const = default;
};

// Properties of the GPU, in the order given; checked by parse_gpu().
using GpuProperties = std::vector<std::pair<std::string, std::string>>;

// A rule by which GPU number `gpu` misbehaves from the start; docs/injection.md.
struct Injection {
  unsigned gpu = 0;
  std::string rule;
  bool operator==(const Injection&) const = default;
};

// A file that the guest has as memory: an nvdimm. Whole pages of 2 MiB.
struct MemoryImage {
  std::filesystem::path file;
  std::uint64_t bytes = 2 << 20;
  bool operator==(const MemoryImage&) const = default;
};

// A machine that is a function of its inputs and of a seed; docs/determinism.md. Nothing comes in
// from outside while it runs: its disks are memory, its agent speaks through a port that is only
// written to, and finds its orders in the first image.
struct Deterministic {
  std::uint64_t seed = 0;
  std::vector<MemoryImage> images;  // orders, then what Guest::disks are to other machines
  // Between two ends of turns of the CPUs; max 0: turns end at timers only.
  std::uint64_t turn_min_ns = 0;
  std::uint64_t turn_max_ns = 0;
  std::uint64_t limit_ns = 0;       // virtual time after which it is ended; 0: none
  std::optional<std::uint64_t> stop_ns;  // virtual time at which it stops, for a debugger
  std::string gdb;                  // address for QEMU's -gdb; then it waits for a debugger
  // To save: RAM is in the file `memory`, the machine pauses at the mark and QMP is on
  // `monitor_fd`. To restore: RAM begins as a private copy of `memory`, all else as in `state`.
  bool save = false;
  std::filesystem::path memory;
  std::filesystem::path state;
  int monitor_fd = -1;  // a connected socket, for before it runs
};

struct Guest {
  std::filesystem::path qemu;
  std::vector<std::filesystem::path> firmware;  // -L folders
  std::filesystem::path kernel;                 // ELF with a PVH entry, or bzImage
  std::filesystem::path initramfs;
  // Read-only images: root, modules, tools; /dev/vda and on.
  std::vector<std::filesystem::path> disks;
  std::vector<Share> shares;  // mount tags share0, share1, ...
  std::string append;         // to the kernel's command line
  unsigned cpus = 2;
  std::uint64_t memory_mib = 2048;
  unsigned nodes = 1;  // of memory, which share it; not of a deterministic machine
  unsigned gpus = 1;
  GpuProperties gpu;              // of each
  std::vector<Injection> inject;  // with any, the machine waits for its monitor to arm them
  std::filesystem::path model;    // libfigment-model.so, unless `gpu` names one
  bool iommu = false;             // between PCI devices and memory, virtio left out
  bool null_nvme = false;         // an NVMe disk that is not there, to compare with
  bool kvm = false;
  std::optional<Deterministic> deterministic;
  std::filesystem::path trace;    // of the GPU's decisions; GPU n > 0 has .n behind it; empty: none
  std::filesystem::path console;  // log of the serial port
  int agent_fd = -1;              // our end's peer of the agent's port; -1 in a dry run
  // A listening socket for monitors, while it runs; -1 in a dry run. Not of a deterministic
  // machine.
  int monitor_fd = -1;
};

std::vector<std::string> qemu_argv(const Guest& guest);

// QEMU's name of a GPU, from 0.
std::string gpu_id(unsigned gpu);

}  // namespace figment::host

#endif
