// SPDX-License-Identifier: MIT
#include "vram_pages.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "figment/error.h"
#include "figment/handle.h"
#include "figment/types.h"

namespace figment {

std::uint64_t pages_in_vram(std::span<const std::byte> memory) {
  std::vector<std::uint64_t> entries(memory.size() / kPageBytes);
  const UniqueFd file(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!file) fail(errno, "open /proc/self/pagemap");
  const auto at = reinterpret_cast<std::uintptr_t>(memory.data()) / kPageBytes * 8;
  const auto bytes = static_cast<ssize_t>(entries.size() * 8);
  if (::pread(file.get(), entries.data(), static_cast<std::size_t>(bytes),
              static_cast<off_t>(at)) != bytes) {
    fail(errno, "read /proc/self/pagemap");
  }
  return static_cast<std::uint64_t>(std::ranges::count_if(entries, is_in_vram));
}

Migrations Migrations::of(const Device& device) {
  const std::string path = "/sys/kernel/debug/dri/" + device.node().bus + "/pagemap";
  std::ifstream file(path);
  if (!file) fail(ENOENT, "open " + path);
  std::map<std::string, std::uint64_t> values;
  std::string key;
  for (std::uint64_t value = 0; file >> key >> value;) values[key] = value;
  return {.bytes = values.at("bytes"),
          .to_vram = values.at("pages_to_vram"),
          .to_system = values.at("pages_to_system"),
          .evictions = values.at("evictions")};
}

}  // namespace figment
