// SPDX-License-Identifier: MIT
//
// FixedBuffers is memory of this process that an io_uring has pinned, and moves between it and
// files, by the pages that were pinned: IORING_REGISTER_BUFFERS, READ_FIXED and WRITE_FIXED.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "figment/buffer.h"
#include "figment/handle.h"

namespace figment::stress {

class FixedBuffers {
 public:
  enum class Move { from_file, to_file };

  struct Request {
    Move move = Move::from_file;
    int file = -1;
    std::uint64_t offset = 0;  // in the file
    std::span<std::byte> memory;
  };

  /// Pins. Lacks: this kernel has no io_uring.
  explicit FixedBuffers(std::span<std::byte> memory);

  void add(const Request& request);
  /// Until all of them are done, and well.
  void finish();

 private:
  template <typename T>
  [[nodiscard]] T& at(std::uint32_t offset) const;

  UniqueFd ring_;
  Mapping rings_;
  Mapping entries_;
  std::uint32_t depth_ = 0;
  std::uint32_t sq_tail_ = 0, sq_array_ = 0;            // offsets in rings_
  std::uint32_t cq_head_ = 0, cq_tail_ = 0, cqes_ = 0;  // the same
  std::uint32_t mask_ = 0, cq_mask_ = 0;
  std::uint32_t pending_ = 0;
};

}  // namespace figment::stress
