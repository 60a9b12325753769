// SPDX-License-Identifier: MIT
//
// A userfaultfd, and a thread that answers it: whoever misses a page of a registered range gets a
// page of zeros, or the one that the file has, and whoever may not write is allowed to. The answers
// take their time, now and then.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

#include "figment/handle.h"

namespace figment::stress {

class UserFaults {
 public:
  /// With these features. Lacks: this kernel has no userfaultfd, or not those.
  explicit UserFaults(std::uint64_t features = 0);
  UserFaults(const UserFaults&) = delete;
  UserFaults& operator=(const UserFaults&) = delete;
  /// Ends the answers; who waits for one goes on without.
  ~UserFaults();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// UFFDIO_REGISTER_MODE_*.
  void watch(std::span<std::byte> memory, std::uint64_t mode);
  void write_protect(std::span<std::byte> memory, bool on);
  void answer();

 private:
  void loop();

  UniqueFd fd_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace figment::stress
