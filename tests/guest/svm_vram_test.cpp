// SPDX-License-Identifier: MIT
//
// Shared virtual memory in VRAM: it goes there by a call or by preference, the GPU works on it
// there, and it is memory of the process as ever for everybody else.
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <optional>
#include <thread>

#include "page_kind.h"
#include "process.h"
#include "user_faults.h"
#include "userptr.h"
#include "vram_pages.h"

namespace figment::guest {
namespace {

constexpr std::uint64_t kLarge = 4_MiB;

class SvmVram : public testing::Test {
 protected:
  /// Word n is `first` + n.
  static void number(const Mapping& memory, std::uint64_t first = 0) {
    std::ranges::iota(memory.as<std::uint64_t>(), first);
  }
  static std::uint64_t wrong(std::span<std::byte> memory, std::uint64_t first = 0) {
    std::uint64_t count = 0;
    for (const std::uint64_t word :
         Words(reinterpret_cast<std::uint64_t*>(memory.data()), memory.size() / 8)) {
      count += word != first++;
    }
    return count;
  }
  /// The GPU numbers the words.
  [[nodiscard]] int gpu_number(std::span<std::byte> memory, std::uint64_t first) {
    CommandList list;
    return gpu_.run(list.fill({.at = shared_address(memory.data()),
                               .bytes = memory.size(),
                               .value = first,
                               .increment = true}));
  }
  void move_all(std::span<const std::byte> memory) {
    ASSERT_EQ(gpu_.vm.move(memory, Place::vram), memory.size());
    ASSERT_EQ(pages_in_vram(memory), memory.size() / kPageBytes);
  }

  Gpu gpu_{VmConfig{.strategy = Strategy::fault, .svm = true}};
};

/// Without and with huge pages: memory, aligned so that it could have them.
class SvmVramPages : public SvmVram, public testing::WithParamInterface<int> {
 protected:
  static Mapping memory_of(std::uint64_t bytes) {
    Mapping memory = anonymous_memory(bytes, kHugePageBytes);
    ::madvise(memory.bytes().data(), bytes, GetParam());
    return memory;
  }
};

INSTANTIATE_TEST_SUITE_P(pages, SvmVramPages, testing::Values(MADV_NOHUGEPAGE, MADV_HUGEPAGE),
                         [](const auto& advice) {
                           return advice.param == MADV_HUGEPAGE ? "huge" : "small";
                         });

TEST_P(SvmVramPages, goes_to_vram_and_comes_back_when_a_cpu_wants_it) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  const Migrations before = Migrations::of(gpu_.device);
  move_all(memory.bytes());
  EXPECT_EQ(Migrations::of(gpu_.device).to_vram - before.to_vram, kLarge / kPageBytes);
  EXPECT_GE(Migrations::of(gpu_.device).bytes, kLarge);

  // One word: the chunk that it is in, and no more.
  EXPECT_EQ(memory.as<std::uint64_t>()[7], 7u);
  EXPECT_EQ(pages_in_vram(memory.bytes()), (kLarge - 2_MiB) / kPageBytes);
  EXPECT_EQ(wrong(memory.bytes()), 0u);
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u);
  EXPECT_EQ(Migrations::of(gpu_.device).to_system - before.to_system, kLarge / kPageBytes);
}

// What is one huge page in VRAM has entries of 4 KiB in the process after a part of it was made
// different; a CPU wants it from the middle first, and then all of it.
TEST_P(SvmVramPages, comes_back_from_its_middle) {
  const Mapping memory = memory_of(2_MiB);
  number(memory);
  move_all(memory.bytes());
  ASSERT_EQ(::mprotect(memory.bytes().last(kPageBytes).data(), kPageBytes, PROT_READ), 0);
  constexpr std::uint64_t kMiddle = 5 * kPageBytes / sizeof(std::uint64_t);
  EXPECT_EQ(memory.as<std::uint64_t>()[kMiddle], kMiddle);
  EXPECT_EQ(wrong(memory.bytes()), 0u);
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u);
}

TEST_P(SvmVramPages, is_where_the_gpu_works) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  move_all(memory.bytes());
  const Migrations before = Migrations::of(gpu_.device);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 3_MiB)), 3_MiB / 8);
  EXPECT_DONE(gpu_number(memory.bytes(), 1000));
  EXPECT_EQ(pages_in_vram(memory.bytes()), kLarge / kPageBytes);
  EXPECT_EQ(Migrations::of(gpu_.device).to_system, before.to_system);
  EXPECT_EQ(wrong(memory.bytes(), 1000), 0u);
}

// In an entry of 2 MiB: the GPU asks once for each, however small the pages are.
TEST_P(SvmVramPages, is_mapped_in_large_entries) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  move_all(memory.bytes());
  EXPECT_DONE(gpu_number(memory.bytes(), 1));
  EXPECT_EQ(wrong(memory.bytes(), 1), 0u);
}

// Nobody sees what was in VRAM before.
TEST_P(SvmVramPages, is_zero_where_nobody_has_written) {
  for (int round = 0; round < 4; ++round) {
    {
      const Mapping secret = memory_of(kLarge);
      std::memset(secret.bytes().data(), 0x5a, kLarge);
      move_all(secret.bytes());
    }
    const Mapping memory = memory_of(kLarge);
    move_all(memory.bytes());
    EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 1_MiB)), 0u);
    EXPECT_EQ(std::ranges::count(memory.as<std::uint64_t>(), 0u),
              static_cast<std::ptrdiff_t>(kLarge / 8));
  }
}

TEST_P(SvmVramPages, and_the_zero_page_agree) {
  const Mapping memory = memory_of(2_MiB);
  EXPECT_EQ(std::ranges::count(memory.as<std::uint64_t>(), 0u), 2_MiB / 8);
  move_all(memory.bytes());
  EXPECT_DONE(gpu_.store(shared_address(memory.bytes().data() + 64), 1));
  EXPECT_EQ(memory.as<std::uint64_t>()[8], 1u);
  EXPECT_EQ(memory.as<std::uint64_t>()[9], 0u);
}

TEST_P(SvmVramPages, goes_back_by_a_call) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  move_all(memory.bytes());
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::system), kLarge);
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u);
  EXPECT_EQ(wrong(memory.bytes()), 0u);
}

TEST_P(SvmVramPages, may_lose_a_part) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  move_all(memory.bytes());
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data())), 0u);
  ASSERT_EQ(::munmap(memory.bytes().data() + 1_MiB, kPageBytes), 0);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 1_MiB - 8)), 1_MiB / 8 - 1);
  EXPECT_ERRNO(gpu_.try_load(shared_address(memory.bytes().data() + 1_MiB)), EFAULT);
  EXPECT_DONE(gpu_.store(shared_address(memory.bytes().data()), 0));
  EXPECT_EQ(pages_in_vram(memory.bytes().subspan(2_MiB)), 512u);
  EXPECT_EQ(wrong(memory.bytes().first(1_MiB)), 0u);
  EXPECT_EQ(wrong(memory.bytes().subspan(1_MiB + kPageBytes), (1_MiB + kPageBytes) / 8), 0u);
}

TEST_P(SvmVramPages, may_be_dropped) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  move_all(memory.bytes());
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 8)), 1u);
  ASSERT_EQ(::madvise(memory.bytes().data(), 2_MiB, MADV_DONTNEED), 0);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 8)), 0u);
  EXPECT_EQ(memory.as<std::uint64_t>()[1], 0u);
  EXPECT_EQ(wrong(memory.bytes().subspan(2_MiB), 2_MiB / 8), 0u);
}

TEST_P(SvmVramPages, may_be_moved_elsewhere) {
  const Mapping memory = memory_of(2_MiB);
  const Mapping target = anonymous_memory(2_MiB, kHugePageBytes);
  number(memory);
  move_all(memory.bytes());
  ASSERT_EQ(::mremap(memory.bytes().data(), 2_MiB, 2_MiB, MREMAP_MAYMOVE | MREMAP_FIXED,
                     target.bytes().data()),
            target.bytes().data());
  EXPECT_EQ(pages_in_vram(target.bytes()), 512u) << "it is the address that changes";
  EXPECT_ERRNO(gpu_.try_load(shared_address(memory.bytes().data())), EFAULT);
  EXPECT_EQ(gpu_.load(shared_address(target.bytes().data() + 80)), 10u);
  EXPECT_DONE(gpu_number(target.bytes(), 5));
  EXPECT_EQ(wrong(target.bytes(), 5), 0u);
}

TEST_P(SvmVramPages, may_become_read_only) {
  const Mapping memory = memory_of(2_MiB);
  number(memory);
  move_all(memory.bytes());
  EXPECT_DONE(gpu_.store(shared_address(memory.bytes().data()), 0));
  ASSERT_EQ(::mprotect(memory.bytes().data(), 2_MiB, PROT_READ), 0);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 80)), 10u);
  EXPECT_ERRNO(gpu_.store(shared_address(memory.bytes().data()), 8), EFAULT);
  EXPECT_EQ(wrong(memory.bytes()), 0u);
  // And goes there as such.
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 2_MiB);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 80)), 10u);
  ASSERT_EQ(::mprotect(memory.bytes().data(), 2_MiB, PROT_READ | PROT_WRITE), 0);
  EXPECT_DONE(gpu_number(memory.bytes(), 3));
  EXPECT_EQ(wrong(memory.bytes(), 3), 0u);
}

// The child reads what was in VRAM, from there.
TEST_P(SvmVramPages, is_inherited) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  move_all(memory.bytes());
  EXPECT_EQ(in_child([&]() -> int {
              if (pages_in_vram(memory.bytes()) != kLarge / kPageBytes) return 1;
              if (wrong(memory.bytes()) != 0) return 2;
              std::memset(memory.bytes().data(), 0, kLarge);
              return 0;
            }),
            0);
  EXPECT_EQ(wrong(memory.bytes()), 0u);
}

// What the GPU writes after fork() is the parent's, though both may have the same page of VRAM.
TEST_P(SvmVramPages, is_not_written_for_a_child) {
  for (const Place place : {Place::any, Place::vram}) {
    const Mapping memory = memory_of(kLarge);
    const Mapping turn = map_file(-1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    std::atomic_ref<std::uint64_t> go(turn.as<std::uint64_t>()[0]);
    gpu_.vm.prefer(memory.bytes(), place);
    number(memory);
    move_all(memory.bytes());
    EXPECT_DONE(gpu_number(memory.bytes(), 0));  // mapped for writing
    std::thread writer([&] {
      while (!go) std::this_thread::yield();
      EXPECT_DONE(gpu_number(memory.bytes(), 77));
      go = 2;
    });
    EXPECT_EQ(in_child([&]() -> int {
                go = 1;
                while (go != 2) std::this_thread::yield();
                return wrong(memory.bytes()) == 0 ? 0 : 1;
              }),
              0);
    writer.join();
    EXPECT_EQ(pages_in_vram(memory.bytes()), place == Place::vram ? kLarge / kPageBytes : 0);
    EXPECT_EQ(wrong(memory.bytes(), 77), 0u);
  }
}

TEST_P(SvmVramPages, that_is_preferred_is_where_the_gpu_looks) {
  const Mapping memory = memory_of(kLarge);
  number(memory);
  gpu_.vm.prefer(memory.bytes(), Place::vram);
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u) << "not before a fault";
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 80)), 10u);
    EXPECT_EQ(pages_in_vram(memory.bytes()), 512u) << round;
    EXPECT_EQ(memory.as<std::uint64_t>()[10], 10u);
    EXPECT_EQ(pages_in_vram(memory.bytes()), 0u) << round;
  }
  gpu_.vm.prefer(memory.bytes(), Place::any);
  EXPECT_EQ(gpu_.load(shared_address(memory.bytes().data() + 80)), 10u);
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u);
}

TEST_F(SvmVram, is_not_preferred_beyond_the_range) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  number(memory);
  const auto middle = memory.bytes().subspan(64_KiB + kPageBytes, 256_KiB);
  EXPECT_DONE(gpu_number(memory.bytes(), 0));  // a chunk across the borders
  gpu_.vm.prefer(middle, Place::vram);
  EXPECT_DONE(gpu_number(memory.bytes(), 0));
  EXPECT_EQ(pages_in_vram(middle), middle.size() / kPageBytes);
  EXPECT_EQ(pages_in_vram(memory.bytes()), middle.size() / kPageBytes);
  gpu_.vm.prefer(memory.bytes(), Place::system);
  EXPECT_DONE(gpu_number(memory.bytes(), 1));
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u);
  EXPECT_EQ(wrong(memory.bytes(), 1), 0u);
}

TEST_F(SvmVram, is_preferred_at_addresses_and_not_for_memory) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  const Mapping target = anonymous_memory(2_MiB, kHugePageBytes);
  gpu_.vm.prefer(memory.bytes(), Place::vram);
  number(memory);
  EXPECT_DONE(gpu_number(memory.bytes(), 1));
  ASSERT_NE(::mmap(memory.bytes().data(), 2_MiB, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            MAP_FAILED);
  EXPECT_DONE(gpu_number(memory.bytes(), 2));
  EXPECT_EQ(pages_in_vram(memory.bytes()), 512u) << "memory that came later";
  ASSERT_EQ(::mremap(memory.bytes().data(), 2_MiB, 2_MiB, MREMAP_MAYMOVE | MREMAP_FIXED,
                     target.bytes().data()),
            target.bytes().data());
  EXPECT_EQ(wrong(target.bytes(), 2), 0u);
  EXPECT_DONE(gpu_number(target.bytes(), 3));
  EXPECT_EQ(pages_in_vram(target.bytes()), 0u) << "another address has no preference";
}

TEST_F(SvmVram, is_not_preferred_by_a_child) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  number(memory);
  gpu_.vm.prefer(memory.bytes(), Place::vram);
  EXPECT_EQ(in_child([&]() -> int {
              Gpu own(VmConfig{.strategy = Strategy::fault, .svm = true});
              if (own.load(shared_address(memory.bytes().data() + 80)) != 10) return 1;
              return pages_in_vram(memory.bytes()) == 0 ? 0 : 2;
            }),
            0);
}

TEST_F(SvmVram, takes_just_what_is_asked_for) {
  const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
  number(memory);
  EXPECT_DONE(gpu_number(memory.bytes(), 0));
  for (const auto& [first, bytes] :
       {std::pair{kPageBytes, kPageBytes}, std::pair{64_KiB, 64_KiB + kPageBytes},
        std::pair{1_MiB + kPageBytes, 2_MiB}}) {
    const auto part = memory.bytes().subspan(first, bytes);
    move_all(part);
    EXPECT_EQ(pages_in_vram(memory.bytes()), bytes / kPageBytes);
    EXPECT_DONE(gpu_number(memory.bytes(), 0));
    EXPECT_EQ(pages_in_vram(memory.bytes()), bytes / kPageBytes);
    EXPECT_EQ(wrong(memory.bytes()), 0u);
  }
}

// A part that is there already, from another time, is in the way of nothing.
TEST_F(SvmVram, may_come_in_parts) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  number(memory);
  for (std::uint64_t at = 0; at < 2_MiB; at += 128_KiB) {
    move_all(memory.bytes().subspan(at, 64_KiB));
  }
  EXPECT_DONE(gpu_number(memory.bytes(), 5));
  move_all(memory.bytes());
  EXPECT_EQ(wrong(memory.bytes(), 5), 0u);
}

TEST_F(SvmVram, is_not_for_shared_memory) {
  const Mapping memory = map_file(-1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  number(memory);
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 0u);
  gpu_.vm.prefer(memory.bytes(), Place::vram);
  EXPECT_DONE(gpu_number(memory.bytes(), 9));
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u);
  EXPECT_EQ(wrong(memory.bytes(), 9), 0u);
}

TEST_F(SvmVram, skips_holes) {
  const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
  number(memory);
  ASSERT_EQ(::munmap(memory.bytes().data() + 64_KiB, 2_MiB), 0);
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), kLarge - 2_MiB);
  EXPECT_EQ(wrong(memory.bytes().first(64_KiB)), 0u);
  EXPECT_EQ(wrong(memory.bytes().subspan(2_MiB + 64_KiB), (2_MiB + 64_KiB) / 8), 0u);
}

TEST_F(SvmVram, goes_by_what_is_bound_there) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  number(memory);
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = shared_address(memory.bytes().data() + 1_MiB), .buffer = buffer});
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 2_MiB - kPageBytes);
  EXPECT_DONE(gpu_.store(shared_address(memory.bytes().data() + 1_MiB), 4711));
  EXPECT_EQ(buffer.map().as<std::uint64_t>()[0], 4711u);
  EXPECT_EQ(wrong(memory.bytes()), 0u);
}

TEST_F(SvmVram, comes_back_for_the_kernel) {
  const Mapping memory = anonymous_memory(kBytes);
  const Mapping copy = anonymous_memory(kBytes);
  number(memory);
  move_all(memory.bytes());
  const iovec from = {memory.bytes().data(), kBytes}, to = {copy.bytes().data(), kBytes};
  EXPECT_EQ(::process_vm_readv(::getpid(), &to, 1, &from, 1, 0), static_cast<ssize_t>(kBytes));
  EXPECT_EQ(wrong(copy.bytes()), 0u);
}

TEST_F(SvmVram, comes_back_for_a_userptr) {
  const Mapping memory = anonymous_memory(kBytes);
  number(memory);
  move_all(memory.bytes());
  for (const auto& strategy : kStrategies) {
    if (!gpu_.device.offers(strategy.strategy) || strategy.strategy == Strategy::unsafe) continue;
    EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), kBytes) << strategy.name;
    Gpu other(strategy.strategy);
    const Userptr userptr = other.vm.userptr({.at = kData, .memory = memory.bytes()});
    EXPECT_EQ(other.load(kData + 80), 10u) << strategy.name;
    EXPECT_DONE(other.store(kData, 0)) << strategy.name;
    EXPECT_EQ(wrong(memory.bytes()), 0u) << strategy.name;
  }
}

TEST_F(SvmVram, is_shared_by_vms) {
  Gpu other(VmConfig{.strategy = Strategy::fault, .svm = true});
  const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
  number(memory);
  move_all(memory.bytes().first(2_MiB));
  EXPECT_EQ(other.vm.move(memory.bytes(), Place::vram), kLarge);
  EXPECT_DONE(gpu_number(memory.bytes(), 1));
  CommandList list;
  EXPECT_DONE(other.run(list.fill({.at = shared_address(memory.bytes().data()),
                                   .bytes = kLarge,
                                   .value = 2,
                                   .increment = true})));
  EXPECT_EQ(pages_in_vram(memory.bytes()), kLarge / kPageBytes);
  EXPECT_EQ(wrong(memory.bytes(), 2), 0u);
}

// The VRAM of one device is no memory for another: it goes through system memory.
TEST_F(SvmVram, comes_back_for_another_device) {
  if (Device::nodes().size() < 2) GTEST_SKIP() << "one GPU only: run with --gpus 2";
  Gpu other(VmConfig{.strategy = Strategy::fault, .svm = true}, 1);
  const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
  number(memory);
  move_all(memory.bytes());
  const Migrations before = Migrations::of(gpu_.device);
  EXPECT_EQ(other.load(shared_address(memory.bytes().data() + 80)), 10u);
  EXPECT_GE(Migrations::of(gpu_.device).to_system, before.to_system + 1);
  EXPECT_EQ(other.vm.move(memory.bytes(), Place::vram), kLarge);
  EXPECT_EQ(Migrations::of(gpu_.device).to_system, before.to_system + kLarge / kPageBytes);
  EXPECT_EQ(pages_in_vram(memory.bytes()), kLarge / kPageBytes);
  EXPECT_DONE(gpu_number(memory.bytes(), 6));
  EXPECT_EQ(pages_in_vram(memory.bytes()), 0u);
  EXPECT_EQ(wrong(memory.bytes(), 6), 0u);
}

TEST_F(SvmVram, refuses_what_makes_no_sense) {
  const Mapping memory = anonymous_memory(kBytes);
  const drm_figment_vm_place good = {.vm_id = gpu_.vm.id(),
                                     .place = DRM_FIGMENT_PLACE_VRAM,
                                     .flags = DRM_FIGMENT_VM_PLACE_MOVE,
                                     .address = user_pointer(memory.bytes().data()),
                                     .size = kBytes};
  const auto expect = [&](int error, const auto& change) {
    drm_figment_vm_place request = good;
    change(request);
    EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_PLACE, request), error);
  };
  expect(0, [](auto&) {});
  expect(ENOENT, [](auto& bad) { bad.vm_id = 999; });
  expect(EINVAL, [](auto& bad) { bad.place = 3; });
  expect(EINVAL, [](auto& bad) { bad.place = DRM_FIGMENT_PLACE_ANY; });
  expect(EINVAL, [](auto& bad) { bad.flags = 0; });
  expect(EINVAL, [](auto& bad) { bad.flags |= 4; });
  expect(EINVAL, [](auto& bad) { bad.pad = 1; });
  expect(EINVAL, [](auto& bad) { bad.address += 8; });
  expect(EINVAL, [](auto& bad) { bad.size += 8; });
  expect(EINVAL, [](auto& bad) { bad.size = 0; });
  expect(EINVAL, [](auto& bad) { bad.size = -kPageBytes; });
  expect(EINVAL, [](auto& bad) { bad.address = 0x7fff'ffff'f000; });
  expect(EINVAL, [](auto& bad) { bad.flags = DRM_FIGMENT_VM_PLACE_PREFER, bad.size = 1; });

  Gpu plain(Strategy::fault);
  drm_figment_vm_place request = good;
  request.vm_id = plain.vm.id();
  EXPECT_ERRNO(raw(plain.device.fd(), DRM_IOCTL_FIGMENT_VM_PLACE, request), EINVAL);
  EXPECT_EQ(in_child([&]() -> int {
              drm_figment_vm_place child = good;
              return raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_PLACE, child) == EPERM ? 0 : 1;
            }),
            0);
}

// Addresses that are only reserved have no memory, and get none: there may be terabytes of them.
TEST_F(SvmVram, is_not_made_of_reserved_addresses) {
  const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
  ASSERT_EQ(::mprotect(memory.bytes().data(), kLarge, PROT_NONE), 0);
  const Migrations before = Migrations::of(gpu_.device);
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 0u);
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::system), 0u);
  EXPECT_EQ(Migrations::of(gpu_.device).to_vram, before.to_vram);
}

// Whoever answers the userfaultfd may be the one who asks for the move.
TEST_F(SvmVram, is_not_asked_of_a_userfaultfd) {
  const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
  try {
    stress::UserFaults faults;
    faults.watch(memory.bytes(), UFFDIO_REGISTER_MODE_MISSING);
    EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 0u);
  } catch (const stress::Lacks& lacks) {
    GTEST_SKIP() << lacks.what();
  }
}

// So whoever gets signals all the time gets on.
TEST_F(SvmVram, moves_as_much_as_signals_allow) {
  const Mapping memory = anonymous_memory(8 * kLarge, kHugePageBytes);
  number(memory);
  struct sigaction nothing = {}, before = {};
  nothing.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGALRM, &nothing, &before), 0);
  const itimerval often = {.it_interval = {0, 2000}, .it_value = {0, 2000}}, never = {};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
  std::uint64_t calls = 0, done = 0;
  const auto move_on = [&] {
    drm_figment_vm_place request = {.vm_id = gpu_.vm.id(),
                                    .place = DRM_FIGMENT_PLACE_VRAM,
                                    .flags = DRM_FIGMENT_VM_PLACE_MOVE,
                                    .address = user_pointer(memory.bytes().data() + done),
                                    .size = memory.bytes().size() - done};
    ++calls;
    if (::ioctl(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_PLACE, &request) == 0) {
      EXPECT_GT(request.moved, 0u);
      done += request.moved;
    } else {
      EXPECT_EQ(errno, EINTR);
    }
    return done >= memory.bytes().size();
  };
  EXPECT_TRUE(stress::poll_until(move_on, after(kPatience)));
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  EXPECT_GT(calls, 1u) << "no signal came";
  EXPECT_EQ(wrong(memory.bytes()), 0u);
}

TEST_F(SvmVram, comes_back_when_the_vm_goes) {
  const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
  number(memory);
  {
    Gpu other(VmConfig{.strategy = Strategy::fault, .svm = true});
    ASSERT_EQ(other.vm.move(memory.bytes(), Place::vram), kLarge);
  }
  EXPECT_TRUE(
      stress::poll_until([&] { return pages_in_vram(memory.bytes()) == 0; }, after(kPatience)));
  EXPECT_EQ(wrong(memory.bytes()), 0u);
}

TEST_F(SvmVram, is_free_when_its_process_has_gone) {
  // What earlier tests had goes a little later.
  ASSERT_TRUE(
      stress::poll_until([&] { return Migrations::of(gpu_.device).bytes == 0; }, after(kPatience)));
  EXPECT_EQ(in_child([&]() -> int {
              Gpu own(VmConfig{.strategy = Strategy::fault, .svm = true});
              const Mapping memory = anonymous_memory(kLarge, kHugePageBytes);
              number(memory);
              ::_exit(own.vm.move(memory.bytes(), Place::vram) == kLarge ? 0 : 1);
            }),
            0);
  EXPECT_TRUE(
      stress::poll_until([&] { return Migrations::of(gpu_.device).bytes == 0; }, after(kPatience)));
}

// Processors, the GPU and calls, all at once, each with words of its own on every page.
TEST_F(SvmVram, is_wanted_by_all_at_the_same_time) {
  const Mapping memory = anonymous_memory(2_MiB, kHugePageBytes);
  const Words words = memory.as<std::uint64_t>();
  gpu_.vm.prefer(memory.bytes().first(1_MiB), Place::vram);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> rounds = 0;
  const auto processor = [&](std::uint64_t which) {
    std::uint64_t mine = 0;
    for (; !stop; ++mine) {
      for (std::uint64_t n = which; n < words.size(); n += 4096) {
        const std::uint64_t had = std::exchange(words[n], mine + 1);
        if (had != mine) return ADD_FAILURE() << "word " << n << " is " << had << ", not " << mine;
      }
      ++rounds;
    }
  };
  std::thread one(processor, 1), two(processor, 2);
  std::thread mover([&] {
    while (!stop) {
      gpu_.vm.move(memory.bytes(), Place::vram);
      gpu_.vm.move(memory.bytes().subspan(512_KiB, 1_MiB), Place::system);
    }
  });
  for (std::uint64_t round = 0; round < 30 || rounds < 30; ++round) {
    for (std::uint64_t n = 3; n < words.size(); n += 65536) {
      EXPECT_EQ(gpu_.load(shared_address(&words[n])), round);
      EXPECT_DONE(gpu_.store(shared_address(&words[n]), round + 1));
    }
    if (HasFailure()) break;
  }
  stop = true;
  one.join();
  two.join();
  mover.join();
}

}  // namespace
}  // namespace figment::guest
