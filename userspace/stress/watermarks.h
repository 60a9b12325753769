// SPDX-License-Identifier: MIT
//
// What the kernel keeps free: when there is less than the low watermark, kswapd looks for memory
// until there is as much as the high one.
#pragma once

#include <cstdint>

namespace figment::stress {

/// Since the kernel was started.
[[nodiscard]] std::uint64_t pages_kswapd_has_scanned();

class ScopedWatermarks {
 public:
  /// Lacks: they cannot be set, or so little is free that those who allocate would have to wait.
  ScopedWatermarks();
  ScopedWatermarks(const ScopedWatermarks&) = delete;
  ScopedWatermarks& operator=(const ScopedWatermarks&) = delete;
  /// As they were.
  ~ScopedWatermarks();

  /// Sets the low one just below what is free now, and the high one far above; takes memory until
  /// less than the low one is free, and gives it back after a while. So kswapd finds enough to do,
  /// and nobody else has to wait.
  void cross() const;

 private:
  void restore() const;

  std::uint64_t min_free_kib_;
  std::uint64_t scale_factor_;
};

}  // namespace figment::stress
