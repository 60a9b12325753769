// SPDX-License-Identifier: MIT
//
// A guest is a value: what the machine is, before anything runs. qemu_argv() turns it into QEMU's
// command line; it starts nothing and looks at nothing.
#ifndef FIGMENT_PROGRAM_GUEST_H
#define FIGMENT_PROGRAM_GUEST_H

#include <cstdint>
#include <filesystem>
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
  unsigned gpus = 1;
  GpuProperties gpu;              // of each
  std::filesystem::path model;    // libfigment-model.so, unless `gpu` names one
  bool null_nvme = false;         // an NVMe disk that is not there, to compare with
  bool kvm = false;
  std::filesystem::path console;  // log of the serial port
  int agent_fd = -1;              // our end's peer of the agent's port; -1 in a dry run
};

std::vector<std::string> qemu_argv(const Guest& guest);

}  // namespace figment::host

#endif
