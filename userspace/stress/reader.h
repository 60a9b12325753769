// SPDX-License-Identifier: MIT
//
// Reader has the GPU read what the CPU has written: a job that copies the CPU's words of every page
// of the stress range into a buffer, on a queue of its own. begin() lets one loose, so that an
// event can happen to the range while it is read.
#pragma once

#include <optional>
#include <span>

#include "figment/buffer.h"
#include "figment/device.h"
#include "figment/queue.h"
#include "layout.h"
#include "stamp.h"

namespace figment::stress {

class Reader {
 public:
  struct Config {
    GpuVa range;  // where the stress range is mapped
    GpuVa at;     // where the reader may map its buffer
    oracle::Layout layout;
  };

  Reader(const Device& device, Vm& vm, const Config& config);

  /// False: refused, since memory of the range is missing.
  bool begin();
  /// Waits for the job. The words, in the order of the pages; nothing when the job was refused, or
  /// has failed for want of memory. std::runtime_error: it failed otherwise, or never ended.
  [[nodiscard]] std::optional<std::span<const oracle::Word>> finish();

 private:
  [[nodiscard]] std::uint64_t word_bytes() const;

  Config config_;
  std::uint64_t list_bytes_ = 0;
  Buffer buffer_;  // the words, then the packets
  Mapping view_;
  Queue queue_;
  std::uint64_t jobs_ = 0;
  std::uint64_t errors_ = 0;
  bool running_ = false;
};

}  // namespace figment::stress
