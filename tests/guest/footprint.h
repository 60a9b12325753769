// SPDX-License-Identifier: MIT
//
// What the driver holds, as far as user space can see it: for tests that want to find nothing more
// after than before.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

namespace figment::guest {

struct Footprint {
  unsigned vms = 0;     // debugfs
  unsigned queues = 0;  // debugfs
  unsigned module_uses = 0;
  std::uint64_t free_vram = 0;  // bytes, debugfs

  /// Now.
  [[nodiscard]] static Footprint take();
  /// Once nobody has a VM or a queue: what an earlier test has left goes in its own time.
  [[nodiscard]] static Footprint at_rest();
  /// The same, once what goes away later (workers of the kernel) has had its time: equal to
  /// `before`, or as it still is when patience is at its end.
  [[nodiscard]] static Footprint after(const Footprint& before);

  bool operator==(const Footprint&) const = default;
};
void PrintTo(const Footprint& footprint, std::ostream* out);

}  // namespace figment::guest
