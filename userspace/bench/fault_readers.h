// SPDX-License-Identifier: MIT
//
// Who reads pages that are not there: the GPU, the kernel's test_hmm device, a thread beside a
// userfaultfd, and a CPU with nothing beside it. All copy whole pages of this process to memory
// of their own, and tell how long that took; what they copied is compared afterwards. What is
// compared with what, and why that is fair: docs/figures.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "figment/device.h"
#include "figment/types.h"

namespace figment::bench {

/// What is read: `pages` places of `page_bytes`, from the start of `memory`, in this order.
struct Reading {
  std::span<std::byte> memory;
  std::uint64_t page_bytes = kPageBytes;
  std::span<const std::uint64_t> order;
  /// Not page by page but all at once, in ascending order.
  bool at_once = false;
};

/// A way to read. One object serves many readings of the same size, each after begin().
class Reader {
 public:
  virtual ~Reader() = default;
  /// Gets ready for memory; touches none of it.
  virtual void begin(std::span<std::byte> memory) = 0;
  /// Seconds.
  virtual double read(const Reading& reading) = 0;
  /// Lets go of the memory.
  virtual void end() = 0;
  /// Where it reads to: page n of the memory at n times the size of a page.
  [[nodiscard]] virtual std::span<std::byte> copied() const = 0;
  /// Faults of the device that the last read() cost, if somebody counts them.
  [[nodiscard]] virtual std::optional<std::uint64_t> faults() const { return std::nullopt; }
};

/// A job of COPY packets on each of `queues` queues; the places are dealt out to them.
[[nodiscard]] std::unique_ptr<Reader> gpu_reader(const Device& device, const VmConfig& config,
                                                 unsigned queues, std::uint64_t bytes);
/// HMM_DMIRROR_READ: one call for each place, or one for all. `why_not` says what is missing; then
/// there is no reader.
[[nodiscard]] std::unique_ptr<Reader> test_hmm_reader(std::uint64_t bytes, std::string& why_not);

enum class Answer { zeropage, copy };
/// memcpy by this thread, while another one answers with UFFDIO_ZEROPAGE or UFFDIO_COPY, a place
/// at a time.
[[nodiscard]] std::unique_ptr<Reader> userfaultfd_reader(Answer answer, std::uint64_t bytes,
                                                         std::uint64_t page_bytes,
                                                         std::string& why_not);
/// memcpy by this thread.
[[nodiscard]] std::unique_ptr<Reader> cpu_reader(std::uint64_t bytes);

}  // namespace figment::bench
