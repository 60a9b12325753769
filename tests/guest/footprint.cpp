// SPDX-License-Identifier: MIT
#include "footprint.h"

#include <fstream>
#include <utility>

#include "debugfs_counts.h"
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
  footprint.vms = lines_with(debugfs(device, "vms"), "strategy");
  footprint.queues = lines_with(debugfs(device, "queues"), " ") - 1;  // the heading
  footprint.free_vram = DebugfsCounts(device, "buffers")["vram_free"];
  return footprint;
}

Footprint Footprint::at_rest() {
  Footprint now = take();
  // Also what belongs to a device that has gone, and so is in no list.
  std::ignore = stress::poll_until(
      [&] {
        const Footprint before = std::exchange(now, take());
        return now.vms == 0 && now.queues == 0 && now == before;
      },
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
