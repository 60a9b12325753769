// SPDX-License-Identifier: MIT
//
// What the tests with Vulkan share: a GPU, the driver of Vulkan, and buffers that both have.
//
// Jobs of the GPU are held by its gate, which a test opens: what Vulkan does not wait for, it does
// before.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <optional>
#include <span>

#include "guest.h"
#include "vulkan.h"

namespace figment::guest {

using Words = std::span<std::uint64_t>;

constexpr std::uint64_t kSharedBytes = 256_KiB;
/// Word n of a buffer is one of these and n.
constexpr std::uint64_t kOld = 0x01d0'0000'0000'0000;
constexpr std::uint64_t kNew = 0x0e30'0000'0000'0000;

/// Longer than a copy takes that waits for nothing.
constexpr auto kHeld = std::chrono::milliseconds(100);

void write_words(Words words, std::uint64_t first);
[[nodiscard]] std::size_t count_wrong(Words words, std::uint64_t first);
/// Fails once, whatever number of words is wrong.
void expect_words(Words words, std::uint64_t first);
void expect_zero(Words words);

/// A buffer of Figment's that Vulkan has imported, mapped at `at` of the GPU.
struct SharedBuffer {
  Buffer buffer;
  Mapping view;
  GpuVa at;
  vulkan::Buffer there;

  [[nodiscard]] Words words() const { return view.as<std::uint64_t>(); }
};

class MesaTest : public testing::Test {
 protected:
  /// One for all tests: to make it takes seconds where the processor is emulated.
  [[nodiscard]] static vulkan::Device& vulkan();

  [[nodiscard]] SharedBuffer shared(Placement placement = Placement::system);
  /// A job that waits for the gate and then writes kNew to `buffer`.
  [[nodiscard]] Fence write_behind_gate(const SharedBuffer& buffer);
  [[nodiscard]] Fence write_behind_gate(Queue& on, const SharedBuffer& buffer);
  /// A semaphore of Vulkan's that waits for `fence`.
  [[nodiscard]] static vulkan::Semaphore imported(const Fence& fence);
  /// All words of one buffer to the other, by a job that waits for `wait`.
  [[nodiscard]] Fence copy_by_job(Queue& on, const SharedBuffer& to, const SharedBuffer& from,
                                  std::vector<SyncPoint> wait = {});

  Gpu gpu_;

 private:
  unsigned buffers_ = 0;
};

}  // namespace figment::guest
