// SPDX-License-Identifier: MIT
//
// A peer of a job: a 4 KiB read past the page cache, from a device that QEMU itself brings.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "figment/buffer.h"
#include "figment/handle.h"

namespace figment::bench {

class DiskRead {
 public:
  /// `why_not` says why there is nothing to read; then it must not be called.
  DiskRead(const std::string& disk, std::string& why_not);
  /// At a pseudo-random place. std::system_error: it cannot be read.
  void operator()();

 private:
  std::string disk_;
  UniqueFd fd_;
  std::uint64_t bytes_ = 0;
  Mapping block_ = anonymous_memory(kPageBytes);
  std::mt19937_64 random_{1};
};

}  // namespace figment::bench
