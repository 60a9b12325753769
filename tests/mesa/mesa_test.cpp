// SPDX-License-Identifier: MIT
#include "mesa_test.h"

#include <algorithm>
#include <format>

namespace figment::guest {

void write_words(Words words, std::uint64_t first) {
  for (std::size_t n = 0; n < words.size(); ++n) words[n] = first + n;
}

std::size_t count_wrong(Words words, std::uint64_t first) {
  std::size_t wrong = 0;
  for (std::size_t n = 0; n < words.size(); ++n) wrong += words[n] != first + n;
  return wrong;
}

void expect_words(Words words, std::uint64_t first) {
  EXPECT_EQ(count_wrong(words, first), 0u)
      << "of " << words.size() << " words; " << std::format("the first is {:#x}", words[0]);
}

void expect_zero(Words words) {
  EXPECT_EQ(std::ranges::count_if(words, [](std::uint64_t word) { return word != 0; }), 0)
      << "of " << words.size() << " words; " << std::format("the first is {:#x}", words[0]);
}

vulkan::Device& MesaTest::vulkan() {
  static vulkan::Device device;
  return device;
}

SharedBuffer MesaTest::shared(Placement placement) {
  Buffer buffer = gpu_.device.buffer({.bytes = kSharedBytes, .placement = placement});
  const GpuVa at = kData + buffers_++ * kSharedBytes;
  gpu_.vm.map({.at = at, .buffer = buffer});
  Mapping view = buffer.map();
  vulkan::Buffer there = vulkan().import_dma_buf(buffer.export_dma_buf(), kSharedBytes);
  return {
      .buffer = std::move(buffer), .view = std::move(view), .at = at, .there = std::move(there)};
}

Fence MesaTest::write_behind_gate(const SharedBuffer& buffer) {
  return write_behind_gate(gpu_.queue, buffer);
}

Fence MesaTest::write_behind_gate(Queue& on, const SharedBuffer& buffer) {
  CommandList list = gpu_.gate();
  list.fill({.at = buffer.at, .bytes = kSharedBytes, .value = kNew, .increment = true});
  return gpu_.start_on(on, list);
}

vulkan::Semaphore MesaTest::imported(const Fence& fence) {
  vulkan::Semaphore semaphore = vulkan().semaphore();
  semaphore.import_sync_file(fence.sync_file());
  return semaphore;
}

Fence MesaTest::copy_by_job(Queue& on, const SharedBuffer& to, const SharedBuffer& from,
                            std::vector<SyncPoint> wait) {
  CommandList list;
  list.copy({.to = to.at, .from = from.at, .bytes = kSharedBytes});
  return gpu_.start_on(on, list, std::move(wait));
}

}  // namespace figment::guest
