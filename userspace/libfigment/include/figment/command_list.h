// SPDX-License-Identifier: MIT
//
// CommandList encodes packets, as kernel-driver/figment_hw.h lays them out, into
// a list of 64-bit words. It encodes what it is told: a misaligned or overflowing
// address is the device's to refuse, and tests want to see it do so. Only what has
// no encoding at all (an element of three bytes) is std::invalid_argument.
//
//   CommandList list;
//   list.fill({.at = GpuVa{0x1000}, .bytes = 4096, .value = 7})
//       .release({.at = GpuVa{0x8000}, .value = 1});
//   list.write_to(mapping.bytes());
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "figment/types.h"
#include "figment_hw.h"

namespace figment {

enum class Width { bits32, bits64 };
enum class AtomicKind : std::uint32_t {
  add = FIGMENT_ATOMIC_ADD,
  cas = FIGMENT_ATOMIC_CAS,
  xchg = FIGMENT_ATOMIC_XCHG,
};
enum class Compare : std::uint32_t {
  eq = FIGMENT_WAIT_EQ,
  ne = FIGMENT_WAIT_NE,
  lt = FIGMENT_WAIT_LT,
  le = FIGMENT_WAIT_LE,
  gt = FIGMENT_WAIT_GT,
  ge = FIGMENT_WAIT_GE,
};

class CommandList {
 public:
  struct Indirect {
    GpuVa at;
    std::uint64_t bytes = 0;
    std::uint32_t flags = 0;
  };
  struct Fill {
    GpuVa at;
    std::uint64_t bytes = 0;
    std::uint64_t value = 0;
    unsigned element_bytes = 8;  // 1, 2, 4 or 8
    bool increment = false;      // element n is value + n
  };
  struct Copy {
    GpuVa to;
    GpuVa from;
    std::uint64_t bytes = 0;
  };
  struct Atomic {
    AtomicKind kind = AtomicKind::add;
    GpuVa at;
    std::uint64_t operand = 0;
    std::uint64_t compare = 0;  // cas only
    Width width = Width::bits64;
    std::optional<GpuVa> result;  // where the old value goes
  };
  struct Wait {
    GpuVa at;
    Compare compare = Compare::eq;
    std::uint64_t reference = 0;
    std::uint64_t mask = ~std::uint64_t{0};
    Width width = Width::bits64;
  };
  struct Release {
    std::optional<GpuVa> at;  // none: nothing is written
    std::uint64_t value = 0;
    Width width = Width::bits64;
    bool event = false;
  };
  struct Chase {
    GpuVa from;
    std::uint64_t count = 0;
    GpuVa result;  // zero: nowhere
  };

  CommandList& nop(std::uint16_t qwords = 1);
  CommandList& indirect(const Indirect& packet);
  CommandList& fill(const Fill& packet);
  CommandList& copy(const Copy& packet);
  CommandList& atomic(const Atomic& packet);
  CommandList& wait(const Wait& packet);
  CommandList& release(const Release& packet);
  CommandList& timestamp(GpuVa at);
  CommandList& spin(std::chrono::nanoseconds busy);
  CommandList& chase(const Chase& packet);
  /// Words as they are, for what no well-formed packet can say.
  CommandList& raw(std::span<const std::uint64_t> words);

  [[nodiscard]] std::span<const std::uint64_t> words() const { return words_; }
  [[nodiscard]] std::uint64_t bytes() const { return words_.size() * sizeof(std::uint64_t); }
  void clear() { words_.clear(); }
  /// Copies the words to the start of `to`. std::length_error: they do not fit.
  void write_to(std::span<std::byte> to) const;

 private:
  template <typename Packet>
  CommandList& append(const Packet& packet);

  std::vector<std::uint64_t> words_;
};

}  // namespace figment
