// SPDX-License-Identifier: MIT
//
// Where memory of a process is: its own page tables tell of each page, debugfs of all migrations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "figment/device.h"

namespace figment {

/// Whether an entry of /proc/PID/pagemap, as root sees it, is of a page in VRAM of any device.
[[nodiscard]] constexpr bool is_in_vram(std::uint64_t entry) {
  // Documentation/admin-guide/mm/pagemap.rst; enum values of include/linux/swapops.h.
  constexpr std::uint64_t kPresent = 1ull << 63;
  constexpr std::uint64_t kElsewhere = 1ull << 62;
  // What is elsewhere has a type. Files of swap have the first ones; the last ones are the marker,
  // and, before it, three for pages that only a device can reach: to write, to read, and one for
  // exclusive access, whose page is in system memory.
  constexpr std::uint64_t kTypes = 32;
  const std::uint64_t type = entry & (kTypes - 1);
  return (entry & (kPresent | kElsewhere)) == kElsewhere &&
         (type == kTypes - 4 || type == kTypes - 3);
}

/// The pages of `memory` that are in VRAM, of any device. They are not touched. Needs root.
[[nodiscard]] std::uint64_t pages_in_vram(std::span<const std::byte> memory);

/// What debugfs says of a device, since its driver has been bound.
struct Migrations {
  std::uint64_t bytes = 0;  // of VRAM that memory of processes has now
  std::uint64_t to_vram = 0;
  std::uint64_t to_system = 0;
  std::uint64_t evictions = 0;

  static Migrations of(const Device& device);
};

}  // namespace figment
