// SPDX-License-Identifier: MIT
//
// Shared virtual memory: any pointer is valid on the GPU, with no call at all.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include "userptr.h"

namespace figment::guest {
namespace {

class Svm : public testing::Test {
 protected:
  /// The GPU reads and writes each page of `memory`, and the CPU agrees.
  void expect_shared(std::span<std::byte> memory) {
    const Words words(reinterpret_cast<std::uint64_t*>(memory.data()), memory.size() / 8);
    for (std::uint64_t n = 0; n < words.size(); n += 512) {
      words[n] = ~n;
      EXPECT_EQ(gpu_.load(shared_address(&words[n])), ~n);
      EXPECT_DONE(gpu_.store(shared_address(&words[n]), n + 1));
      EXPECT_EQ(words[n], n + 1);
    }
  }

  Gpu gpu_{VmConfig{.strategy = Strategy::fault, .svm = true}};
};

TEST_F(Svm, needs_faults) {
  for (const auto& strategy : kStrategies) {
    if (strategy.strategy == Strategy::fault || !gpu_.device.offers(strategy.strategy)) continue;
    drm_figment_vm_create request = {.flags = DRM_FIGMENT_VM_SVM,
                                     .strategy = static_cast<std::uint32_t>(strategy.strategy)};
    EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_CREATE, request), EINVAL)
        << strategy.name;
  }
}

TEST_F(Svm, reaches_mapped_memory) {
  const Mapping memory = anonymous_memory(kBytes);
  expect_shared(memory.bytes());
}

TEST_F(Svm, reaches_the_heap_and_the_stack) {
  const auto heap = std::make_unique<std::uint64_t>(7);
  std::uint64_t stack = 8;
  EXPECT_EQ(gpu_.load(shared_address(heap.get())), 7u);
  EXPECT_EQ(gpu_.load(shared_address(&stack)), 8u);
  EXPECT_DONE(gpu_.store(shared_address(heap.get()), 70));
  EXPECT_DONE(gpu_.store(shared_address(&stack), 80));
  EXPECT_EQ(*heap, 70u);
  EXPECT_EQ(stack, 80u);
}

TEST_F(Svm, reaches_all_of_a_large_range) {
  const Mapping memory = anonymous_memory(32_MiB, kHugePageBytes);
  CommandList list;
  EXPECT_DONE(gpu_.run(list.fill({.at = shared_address(memory.bytes().data()),
                                  .bytes = memory.bytes().size(),
                                  .value = 1,
                                  .increment = true})));
  const Words words = memory.as<std::uint64_t>();
  for (std::uint64_t n = 0; n < words.size(); n += 511) ASSERT_EQ(words[n], n + 1);
}

TEST_F(Svm, reaches_huge_pages) {
  const Mapping memory = anonymous_memory(4_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_HUGEPAGE);
  std::memset(memory.bytes().data(), 1, memory.bytes().size());
  expect_shared(memory.bytes());
  // And what is left when a part goes.
  ASSERT_EQ(::munmap(memory.bytes().data() + 1_MiB, kPageBytes), 0);
  expect_shared(memory.bytes().first(1_MiB));
  expect_shared(memory.bytes().subspan(1_MiB + kPageBytes));
  EXPECT_ERRNO(gpu_.try_load(shared_address(memory.bytes().data() + 1_MiB)), EFAULT);
}

TEST_F(Svm, makes_present_only_what_is_asked_for) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
  EXPECT_DONE(gpu_.store(shared_address(memory.bytes().data()), 1));
  std::vector<unsigned char> pages(512);
  ASSERT_EQ(::mincore(memory.bytes().data(), 2_MiB, pages.data()), 0);
  EXPECT_EQ(std::accumulate(pages.begin(), pages.end(), 0), 1);
}

// To the end of the memory, too, and not beyond it.
TEST_F(Svm, reads_what_is_around) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
  ::munmap(memory.bytes().data() + 1_MiB + 20 * kPageBytes, 4 * kPageBytes);
  std::vector<unsigned char> pages(256);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 100 * kPageBytes)), 0u);
  ASSERT_EQ(::mincore(memory.bytes().data(), 1_MiB, pages.data()), 0);
  EXPECT_EQ(std::accumulate(pages.begin(), pages.end(), 0), 16);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 1_MiB + 19 * kPageBytes)), 0u);
  pages.resize(20);
  ASSERT_EQ(::mincore(memory.bytes().data() + 1_MiB, 20 * kPageBytes, pages.data()), 0);
  EXPECT_EQ(std::accumulate(pages.begin(), pages.end(), 0), 1) << "no chunk of 64 KiB fits there";
  EXPECT_ERRNO(gpu_.try_load(shared_address(memory.bytes().data() + 1_MiB + 20 * kPageBytes)),
               EFAULT);
}

TEST_F(Svm, does_not_reach_what_is_not_there) {
  std::uint64_t address = 0;
  {
    const Mapping gone = anonymous_memory(kBytes);
    expect_shared(gone.bytes());
    address = user_pointer(gone.bytes().data());
  }
  EXPECT_ERRNO(gpu_.try_load(GpuVa{address}), EFAULT);
  EXPECT_ERRNO(gpu_.store(GpuVa{address}, 1), EFAULT);
  EXPECT_ERRNO(gpu_.try_load(GpuVa{0}), EFAULT);
  EXPECT_ERRNO(gpu_.try_load(GpuVa{0x7fff'ffff'f000}), EFAULT);
  EXPECT_ERRNO(gpu_.try_load(GpuVa{0x8000'0000'0000}), EFAULT) << "past what a process has";
}

TEST_F(Svm, reads_what_may_only_be_read) {
  const Mapping memory = anonymous_memory(kBytes);
  const Words words = memory.as<std::uint64_t>();
  words[0] = 7;
  ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ), 0);
  EXPECT_EQ(gpu_.load(shared_address(&words[0])), 7u);
  EXPECT_ERRNO(gpu_.store(shared_address(&words[0]), 8), EFAULT);
  ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ | PROT_WRITE), 0);
  EXPECT_DONE(gpu_.store(shared_address(&words[0]), 8));
  EXPECT_EQ(words[0], 8u);
}

// A page that has become read-only does not take those around it along.
TEST_F(Svm, writes_beside_what_may_only_be_read) {
  const Mapping memory = anonymous_memory(64_KiB, 64_KiB);
  const Words words = memory.as<std::uint64_t>();
  std::memset(memory.bytes().data(), 1, 64_KiB);
  EXPECT_DONE(gpu_.store(shared_address(&words[0]), 1));
  ASSERT_EQ(::mprotect(&words[5 * 512], kPageBytes, PROT_READ), 0);
  EXPECT_EQ(gpu_.load(shared_address(&words[0])), 1u);
  EXPECT_DONE(gpu_.store(shared_address(&words[512]), 2));
  EXPECT_EQ(words[512], 2u);
  EXPECT_EQ(gpu_.load(shared_address(&words[5 * 512])), 0x0101'0101'0101'0101u);
  EXPECT_ERRNO(gpu_.store(shared_address(&words[5 * 512]), 2), EFAULT);
}

TEST_F(Svm, follows_memory_that_is_given_back) {
  const Mapping memory = anonymous_memory(4_MiB, kHugePageBytes);
  for (int round = 0; round < 5; ++round) {
    expect_shared(memory.bytes().first(64_KiB));
    ASSERT_EQ(::madvise(memory.bytes().data(), 4_MiB, MADV_DONTNEED), 0);
    EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data())), 0u);
  }
}

TEST_F(Svm, follows_memory_that_is_mapped_anew) {
  const Mapping memory = anonymous_memory(kBytes);
  for (int round = 0; round < 20; ++round) {
    expect_shared(memory.bytes());
    ASSERT_NE(::mmap(memory.bytes().data(), kBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
              MAP_FAILED);
    EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data())), 0u);
  }
}

TEST_F(Svm, stays_with_the_parent_across_fork) {
  const Mapping memory = anonymous_memory(kBytes);
  const Words words = memory.as<std::uint64_t>();
  expect_shared(memory.bytes());
  words[0] = 1;
  EXPECT_EQ(in_child([&]() -> int {
              words[0] = 2;
              return words[0] == 2 ? 0 : 1;
            }),
            0);
  EXPECT_EQ(gpu_.load(shared_address(&words[0])), 1u);
  EXPECT_EQ(in_child([&]() -> int {
              const bool written = gpu_.store(shared_address(&words[0]), 3) == 0;
              return written && words[0] == 1 ? 0 : 1;
            }),
            0)
      << "a child's job works on the memory of who made the VM";
  EXPECT_EQ(words[0], 3u);
}

// What is bound goes first, and what lies beside it stays shared.
TEST_F(Svm, makes_room_for_what_is_bound) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  std::memset(memory.bytes().data(), 1, 2_MiB);
  expect_shared(memory.bytes());
  const Buffer buffer = gpu_.device.buffer({});
  const GpuVa middle = shared_address(memory.bytes().data() + 1_MiB);
  gpu_.vm.map({.at = middle, .buffer = buffer});
  EXPECT_DONE(gpu_.store(middle, 4711));
  EXPECT_EQ(buffer.map().as<std::uint64_t>()[0], 4711u);
  EXPECT_NE(memory.as<std::uint64_t>()[1_MiB / 8], 4711u);
  expect_shared(memory.bytes().first(1_MiB));
  expect_shared(memory.bytes().subspan(1_MiB + kPageBytes));
  gpu_.vm.unmap({.at = middle, .bytes = kPageBytes});
  expect_shared(memory.bytes());
}

TEST_F(Svm, and_userptr_of_the_same_memory_agree) {
  const Mapping memory = anonymous_memory(kBytes);
  const Userptr userptr = gpu_.vm.userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_DONE(gpu_.store(kData, 5));
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data())), 5u);
  EXPECT_DONE(gpu_.store(shared_address(memory.bytes().data()), 6));
  EXPECT_EQ(gpu_.load(kData), 6u);
}

TEST_F(Svm, of_two_vms_shares_one_memory) {
  Gpu other(VmConfig{.strategy = Strategy::fault, .svm = true});
  const Mapping memory = anonymous_memory(kBytes);
  const GpuVa at = shared_address(memory.bytes().data());
  EXPECT_DONE(gpu_.store(at, 5));
  EXPECT_EQ(other.load(at), 5u);
  EXPECT_DONE(other.store(at, 6));
  EXPECT_EQ(gpu_.load(at), 6u);
}

// Memory comes and goes all the time while the GPU works on some of it.
TEST_F(Svm, follows_a_heap_that_changes) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t bytes = (1 + random() % 64) * kPageBytes;
    const Mapping memory = anonymous_memory(bytes);
    CommandList list;
    ASSERT_DONE(gpu_.run(list.fill({.at = shared_address(memory.bytes().data()),
                                    .bytes = bytes,
                                    .value = static_cast<std::uint64_t>(round)})));
    for (const std::uint64_t word : memory.as<std::uint64_t>()) {
      ASSERT_EQ(word, static_cast<std::uint64_t>(round));
    }
  }
}

// What the process has unmapped is taken apart a little later, and by then the VM may have gone.
TEST_F(Svm, goes_right_after_its_memory) {
  for (int round = 0; round < 50; ++round) {
    Gpu gpu(VmConfig{.strategy = Strategy::fault, .svm = true});
    for (int part = 0; part < 8; ++part) {
      const Mapping memory = anonymous_memory(64_KiB);
      ASSERT_DONE(gpu.store(shared_address(memory.bytes().data()), 1));
    }
  }
}

TEST_F(Svm, of_a_process_that_has_gone_ends) {
  EXPECT_EQ(in_child([]() -> int {
              Gpu gpu(VmConfig{.strategy = Strategy::fault, .svm = true});
              const Mapping memory = anonymous_memory(32_MiB);
              CommandList list;
              list.fill({.at = shared_address(memory.bytes().data()), .bytes = 32_MiB, .value = 1});
              gpu.begin_on(gpu.queue, list);
              ::_exit(0);
            }),
            0);
  EXPECT_DONE(gpu_.run(CommandList{}.nop()));
}

}  // namespace
}  // namespace figment::guest
