// SPDX-License-Identifier: MIT
//
// Swap for the events that need it: a zram device, for as long as the object lives. And other zram
// devices, for what wants a block device.
#pragma once

#include <string>

namespace figment::stress {

/// Whether anything can be swapped out at all.
[[nodiscard]] bool has_swap();

class ScopedSwap {
 public:
  /// Does nothing when there is swap already, or no zram; then has_swap() tells.
  ScopedSwap();
  ScopedSwap(const ScopedSwap&) = delete;
  ScopedSwap& operator=(const ScopedSwap&) = delete;
  ~ScopedSwap();

 private:
  std::string device_;  // that is swapped to because of this object; or nothing
};

/// A block device of zeros that nobody else uses, for as long as the object lives.
class ScratchDisk {
 public:
  /// Lacks: there is no zram.
  explicit ScratchDisk(unsigned long long bytes);
  ScratchDisk(const ScratchDisk&) = delete;
  ScratchDisk& operator=(const ScratchDisk&) = delete;
  ~ScratchDisk();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Takes all swap away, for a moment: what is swapped out comes back. Lacks: there is none.
void cycle_swap();

}  // namespace figment::stress
