// SPDX-License-Identifier: MIT
//
// The small words that every part of libfigment uses: GPU addresses that are a
// type of their own, so that a CPU pointer or a buffer offset is not taken for
// one; deadlines; sizes.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace figment {

/// An address in the address space of one Vm.
struct GpuVa {
  std::uint64_t value = 0;

  friend constexpr auto operator<=>(GpuVa, GpuVa) = default;
  friend constexpr GpuVa operator+(GpuVa at, std::uint64_t bytes) {
    return GpuVa{at.value + bytes};
  }
};

/// Where the GPU finds memory of this process in a Vm with shared virtual memory.
template <typename T>
[[nodiscard]] GpuVa shared_address(const T* memory) {
  return GpuVa{reinterpret_cast<std::uintptr_t>(memory)};
}

/// A point in time. Waits take one of these and not a duration, so that a wait
/// that has to be restarted does not become longer.
using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

inline Deadline after(Clock::duration wait) {
  return Clock::now() + wait;
}

inline namespace literals {
constexpr std::uint64_t operator""_KiB(unsigned long long n) {
  return n << 10;
}
constexpr std::uint64_t operator""_MiB(unsigned long long n) {
  return n << 20;
}
constexpr std::uint64_t operator""_GiB(unsigned long long n) {
  return n << 30;
}
}  // namespace literals

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kHugePageBytes = 2u << 20;

enum class Access { read_write, read_only };
enum class Placement { system, vram };

}  // namespace figment
