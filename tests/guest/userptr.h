// SPDX-License-Identifier: MIT
//
// What tests of userptr have in common: memory of several kinds, and whether the GPU shares it.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "guest.h"

namespace figment::guest {

using Words = std::span<std::uint64_t>;

inline constexpr std::uint64_t kBytes = 16 * kPageBytes;

inline std::span<std::byte> span_of(void* at, std::uint64_t bytes) {
  return {static_cast<std::byte*>(at), bytes};
}

inline Mapping map_file(int fd, int protection, int flags, std::uint64_t bytes = kBytes) {
  void* at = ::mmap(nullptr, bytes, protection, flags, fd, 0);
  if (at == MAP_FAILED) fail(errno, "mmap");
  return Mapping(span_of(at, bytes));
}

/// A GPU with a VM of a strategy.
class UserptrFixture : public GpuTest {
 protected:
  explicit UserptrFixture(Strategy strategy = Strategy::fence) : GpuTest(strategy) {}
  explicit UserptrFixture(const VmConfig& config) : GpuTest(config) {}

  /// errno of MAP_USERPTR at kData.
  int bind(std::span<std::byte> memory, Access access = Access::read_write) {
    try {
      gpu_.vm.map_userptr({.at = kData, .memory = memory, .access = access});
      return 0;
    } catch (const std::system_error& error) {
      return error.code().value();
    }
  }
  int bind_raw(std::uint64_t address, std::uint64_t bytes) {
    const drm_figment_bind_op op = {.kind = DRM_FIGMENT_BIND_MAP_USERPTR,
                                    .address = kData.value,
                                    .size = bytes,
                                    .offset = address};
    drm_figment_vm_bind request = {.vm_id = gpu_.vm.id(), .ops = array_of(op)};
    return raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request);
  }
  /// The GPU reads and writes each page of `memory` at kData, and the CPU agrees.
  void expect_shared(std::span<std::byte> memory) {
    const Words words(reinterpret_cast<std::uint64_t*>(memory.data()), memory.size() / 8);
    for (std::uint64_t page = 0; page < memory.size() / kPageBytes; ++page) {
      const std::uint64_t n = page * 512 + page % 512;
      words[n] = ~page;
      EXPECT_EQ(gpu_.load(kData + n * 8), ~page);
      EXPECT_DONE(gpu_.store(kData + n * 8, page + 1)) << "page " << page;
      EXPECT_EQ(words[n], page + 1);
    }
  }
  /// The GPU still works.
  void expect_healthy() {
    const Buffer buffer = gpu_.device.buffer({});
    const GpuVa elsewhere = kData + 1_GiB;
    gpu_.vm.map({.at = elsewhere, .buffer = buffer});
    EXPECT_DONE(gpu_.store(elsewhere, 1));
    gpu_.vm.unmap({.at = elsewhere, .bytes = kPageBytes});
  }
};

}  // namespace figment::guest
