// SPDX-License-Identifier: MIT
// The words of the model: addresses, places in memory, time, and trouble.
//
// Each kind of address is a type of its own, so that a GPU virtual address
// cannot be handed to something that wants a bus address. `last` is inclusive,
// `end` is exclusive; `_bytes`, `_ns` and `_lg2` say the unit.
//
// Three kinds of trouble have three answers. A mistake of the guest is a Fault
// (it becomes the code of a queue) or a count in GUEST_ERRORS. Trouble in the
// host is a failed create(). A bug of ours throws std::logic_error from
// FIGMENT_ASSERT; c_interface.cpp turns it into a device that no longer
// answers. No guest input may reach a FIGMENT_ASSERT.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <stdexcept>

#include "figment/figment_model.h"
#include "figment_hw.h"

namespace figment {

// The contract is little-endian and so are the hosts that this is built for;
// structures of the contract are copied as they are.
static_assert(std::endian::native == std::endian::little);

using Nanos = uint64_t;
inline constexpr Nanos kNever = FIGMENT_MODEL_NEVER;

// A point in time `delay` after `now`, at most kNever.
constexpr Nanos later(Nanos now, Nanos delay) {
  return delay > kNever - now ? kNever : now + delay;
}

inline constexpr uint64_t kPageBytes = 1ull << FIGMENT_PAGE_LG2;
inline constexpr uint64_t kVaEnd = 1ull << FIGMENT_VA_BITS;
// Bus addresses in registers have as many bits as those in page tables.
inline constexpr uint64_t kBusEnd = FIGMENT_PTE_ADDRESS + kPageBytes;

static_assert(FIGMENT_PT_LEVELS * FIGMENT_PT_ENTRIES_LG2 + FIGMENT_PAGE_LG2 == FIGMENT_VA_BITS);
static_assert(FIGMENT_PAGE_LG2 + FIGMENT_PT_ENTRIES_LG2 == FIGMENT_HUGE_PAGE_LG2);

struct GpuVa {
  uint64_t value = 0;
  constexpr auto operator<=>(const GpuVa&) const = default;
  constexpr GpuVa operator+(uint64_t bytes) const { return {value + bytes}; }
};

struct BusAddr {
  uint64_t value = 0;
  constexpr auto operator<=>(const BusAddr&) const = default;
  constexpr BusAddr operator+(uint64_t bytes) const { return {value + bytes}; }
};

struct VramOffset {
  uint64_t value = 0;
};

struct Asid {
  uint32_t value = 0;
  constexpr auto operator<=>(const Asid&) const = default;
};

// Where a byte of memory lives after translation.
class Location {
 public:
  constexpr Location() = default;
  constexpr explicit Location(BusAddr bus) : offset_(bus.value) {}
  constexpr explicit Location(VramOffset vram) : offset_(vram.value), vram_(true) {}

  constexpr bool in_vram() const { return vram_; }
  constexpr BusAddr bus() const { return {offset_}; }
  constexpr VramOffset vram() const { return {offset_}; }
  constexpr Location operator+(uint64_t bytes) const {
    Location moved = *this;
    moved.offset_ += bytes;
    return moved;
  }
  constexpr bool operator==(const Location&) const = default;

 private:
  uint64_t offset_ = 0;
  bool vram_ = false;
};

// Why a queue stops. The values are those of the contract.
enum class Code : uint32_t {
  none = FIGMENT_CODE_NONE,
  descriptor = FIGMENT_CODE_DESCRIPTOR,
  doorbell = FIGMENT_CODE_DOORBELL,
  opcode = FIGMENT_CODE_OPCODE,
  version = FIGMENT_CODE_VERSION,
  length = FIGMENT_CODE_LENGTH,
  field = FIGMENT_CODE_FIELD,
  nesting = FIGMENT_CODE_NESTING,
  unmapped = FIGMENT_CODE_UNMAPPED,
  permission = FIGMENT_CODE_PERMISSION,
  page_table = FIGMENT_CODE_PAGE_TABLE,
  bus = FIGMENT_CODE_BUS,
  killed = FIGMENT_CODE_KILLED,
};

struct Fault {
  Code code = Code::none;
  uint64_t address = 0;  // what QUEUE_ADDRESS shows
  // Software may resolve it, in an address space with ROOT_FAULTS. Only on the way from the walk
  // to the engine, and never in a state.
  bool recoverable = false;
};

template <typename T>
using Result = std::expected<T, Fault>;

// The field of `value` that `mask` names, shifted down.
constexpr uint64_t field(uint64_t value, uint64_t mask) {
  return (value & mask) >> std::countr_zero(mask);
}

// Whether [address, address + bytes) lies in the GPU virtual address space.
constexpr bool in_va_space(uint64_t address, uint64_t bytes) {
  return address <= kVaEnd && bytes <= kVaEnd - address;
}

constexpr bool is_multiple(uint64_t value, uint64_t power_of_two) {
  return (value & (power_of_two - 1)) == 0;
}

}  // namespace figment

#define FIGMENT_TEXT_(x) #x
#define FIGMENT_TEXT(x) FIGMENT_TEXT_(x)
// A bug of ours, never a mistake of the guest. Stays in release builds.
#define FIGMENT_ASSERT(condition)                                                  \
  do {                                                                             \
    if (!(condition)) [[unlikely]]                                                 \
      throw std::logic_error(__FILE__ ":" FIGMENT_TEXT(__LINE__) ": " #condition); \
  } while (false)
