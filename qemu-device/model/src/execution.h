// SPDX-License-Identifier: MIT
// How far a queue has come: the packet that it is in, and where inside it.
//
// This is a plain value that fits the save area of a descriptor. Whatever a
// packet needs to go on after an interruption is here and nowhere else, so that
// a queue can leave its engine between any two accesses and continue from this
// value later. An access that has not completed leaves no trace in it and is
// simply done again.
#pragma once

#include <array>
#include <type_traits>

#include "units.h"

namespace figment {

inline constexpr unsigned kPacketQwordsMax = 5;  // of all but NOP, which has no operands

// A packet as it was copied from memory, header first.
struct Packet {
  uint64_t at = 0;  // address of the header
  std::array<uint64_t, kPacketQwordsMax> words{};

  uint64_t header() const { return words[0]; }
  uint32_t opcode() const { return field(header(), FIGMENT_PACKET_OPCODE); }
  uint32_t version() const { return field(header(), FIGMENT_PACKET_VERSION); }
  uint32_t qwords() const { return field(header(), FIGMENT_PACKET_QWORDS); }
  uint32_t flags() const { return field(header(), FIGMENT_PACKET_FLAGS); }
  uint64_t bytes() const { return uint64_t{qwords()} * 8; }

  // The packet as its structure in the contract.
  template <typename T>
  T as() const {
    static_assert(sizeof(T) <= sizeof(words) && std::is_trivially_copyable_v<T>);
    return std::bit_cast<std::array<T, 1>>(prefix<sizeof(T) / 8>())[0];
  }

 private:
  template <size_t N>
  std::array<uint64_t, N> prefix() const {
    std::array<uint64_t, N> some;
    for (size_t i = 0; i < N; ++i) some[i] = words[i];
    return some;
  }
};

// How far a packet is. What each executor keeps here stands in its file.
struct Progress {
  uint64_t done = 0;
  uint64_t value = 0;
  uint64_t until_ns = 0;
  uint32_t stage = 0;
  uint32_t reserved = 0;
};

struct Execution {
  enum class Phase : uint32_t {
    fetch,  // `fetched` qwords of the packet at the top are here
    run,    // the packet is complete and checked
  };
  // A buffer that INDIRECT runs.
  struct Frame {
    uint64_t at = 0;   // next packet
    uint64_t end = 0;  // of the buffer
    uint64_t privileged = 0;
  };

  uint32_t depth = 0;  // frames in use
  Phase phase = Phase::fetch;
  std::array<Frame, FIGMENT_INDIRECT_DEPTH> frames;
  Packet packet;
  uint64_t fetched = 0;
  Progress progress;

  bool between_jobs() const { return depth == 0 && phase == Phase::fetch && fetched == 0; }
};

static_assert(std::is_trivially_copyable_v<Execution>);
static_assert(sizeof(Execution) <= sizeof(figment_descriptor::save_area));

}  // namespace figment
