// SPDX-License-Identifier: MIT
//
// Memory that no GPU has anything to do with: whoever writes there does harm. It takes the place of
// memory that has just been freed, in the physical memory or at the same address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace figment::stress {

class Bystander {
 public:
  explicit Bystander(std::uint64_t bytes);
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;
  ~Bystander();

  /// Puts it where nothing is mapped, read-only from then on or not.
  void move_to(std::byte* at, bool read_only);
  /// Words that are not as they were.
  [[nodiscard]] std::uint64_t wrong() const;

 private:
  std::span<std::byte> memory_;
};

}  // namespace figment::stress
