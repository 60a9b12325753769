// SPDX-License-Identifier: MIT
#include "footprint.h"

#include <fstream>
#include <system_error>
#include <vector>

#include "guest.h"
#include "process.h"

namespace figment::guest {
namespace {

unsigned lines_with(const std::string& path, const std::string& word) {
  std::ifstream file(path);
  if (!file) fail(ENOENT, "open " + path);
  unsigned count = 0;
  for (std::string line; std::getline(file, line);) count += line.contains(word);
  return count;
}

std::uint64_t count_free_vram(const Device& device) {
  std::vector<Buffer> taken;
  std::uint64_t bytes = 0;
  for (std::uint64_t size = device.info().vram_bytes; size >= kPageBytes;) {
    try {
      taken.push_back(device.buffer({.bytes = size, .placement = Placement::vram}));
      bytes += size;
    } catch (const std::system_error&) {
      size = size / 2 / kPageBytes * kPageBytes;
    }
  }
  return bytes;
}

unsigned count_module_uses() {
  std::ifstream file("/sys/module/figment/refcnt");
  unsigned uses = 0;  // built in: there is none
  file >> uses;
  return uses;
}

}  // namespace

Footprint Footprint::take() {
  Footprint footprint = {.module_uses = count_module_uses()};
  const Device device = Device::open();
  const std::string folder = "/sys/kernel/debug/dri/" + device.node().bus;
  footprint.vms = lines_with(folder + "/vms", "strategy");
  footprint.queues = lines_with(folder + "/queues", " ") - 1;  // the heading
  footprint.free_vram = count_free_vram(device);
  return footprint;
}

Footprint Footprint::at_rest() {
  Footprint now;
  std::ignore = stress::poll_until([&] { return (now = take()).vms == 0 && now.queues == 0; },
                                   figment::after(kPatience), std::chrono::milliseconds(50));
  return now;
}

Footprint Footprint::after(const Footprint& before) {
  Footprint now;
  std::ignore = stress::poll_until([&] { return (now = take()) == before; },
                                   figment::after(kPatience), std::chrono::milliseconds(50));
  return now;
}

void PrintTo(const Footprint& footprint, std::ostream* out) {
  *out << std::format("{} VMs, {} queues, {} module uses, {} bytes of VRAM free", footprint.vms,
                      footprint.queues, footprint.module_uses, footprint.free_vram);
}

}  // namespace figment::guest
