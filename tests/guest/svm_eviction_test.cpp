// SPDX-License-Identifier: MIT
//
// Shared virtual memory when VRAM is short, or goes away altogether: what has to leave comes home,
// and nobody loses a word.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "fault_injection.h"
#include "process.h"
#include "unbound_device.h"
#include "userptr.h"
#include "vram_pages.h"

namespace figment::guest {
namespace {

constexpr std::uint64_t kRoom = 16_MiB;

class SvmEviction : public testing::Test {
 protected:
  static std::uint64_t wrong(const Mapping& memory, std::uint64_t first) {
    std::uint64_t count = 0;
    for (const std::uint64_t word : memory.as<std::uint64_t>()) count += word != first++;
    return count;
  }
  static Mapping numbered(std::uint64_t bytes, std::uint64_t first) {
    Mapping memory = anonymous_memory(bytes, kHugePageBytes);
    std::ranges::iota(memory.as<std::uint64_t>(), first);
    return memory;
  }
  [[nodiscard]] int gpu_number(const Mapping& memory, std::uint64_t first) {
    CommandList list;
    return gpu_.run(list.fill({.at = shared_address(memory.bytes().data()),
                               .bytes = memory.bytes().size(),
                               .value = first,
                               .increment = true}));
  }
  /// Fills VRAM with buffers until no more than `room` is left.
  void leave_room(std::uint64_t room) {
    std::uint64_t bytes = gpu_.device.info().vram_bytes - room;
    for (std::uint64_t size = bytes; bytes >= kPageBytes && size >= kPageBytes;) {
      size = std::min(size, bytes);
      try {
        taken_.push_back(gpu_.device.buffer({.bytes = size, .placement = Placement::vram}));
        bytes -= size;
      } catch (const std::system_error&) {
        size = size / 2 / kPageBytes * kPageBytes;
      }
    }
  }
  static std::uint64_t in_vram(const Mapping& memory) {
    return pages_in_vram(memory.bytes()) * kPageBytes;
  }

  Gpu gpu_{VmConfig{.strategy = Strategy::fault, .svm = true}};
  std::vector<Buffer> taken_;
};

TEST_F(SvmEviction, full_vram_is_no_error) {
  leave_room(0);
  const Mapping memory = numbered(4_MiB, 0);
  EXPECT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 0u);
  gpu_.vm.prefer(memory.bytes(), Place::vram);
  EXPECT_DONE(gpu_number(memory, 7));
  EXPECT_EQ(in_vram(memory), 0u);
  EXPECT_EQ(wrong(memory, 7), 0u);
}

TEST_F(SvmEviction, hits_what_was_not_used_for_longest) {
  leave_room(kRoom);
  const Mapping first = numbered(kRoom / 2, 1);
  const Mapping second = numbered(kRoom / 2, 2);
  const Mapping third = numbered(kRoom / 2, 3);
  ASSERT_EQ(gpu_.vm.move(first.bytes(), Place::vram), kRoom / 2);
  ASSERT_EQ(gpu_.vm.move(second.bytes(), Place::vram), kRoom / 2);
  EXPECT_DONE(gpu_number(first, 4));  // so the second is older
  const Migrations before = Migrations::of(gpu_.device);
  ASSERT_EQ(gpu_.vm.move(third.bytes(), Place::vram), kRoom / 2);
  EXPECT_EQ(Migrations::of(gpu_.device).evictions - before.evictions, kRoom / 2 / 2_MiB);
  EXPECT_EQ(in_vram(first), kRoom / 2);
  EXPECT_EQ(in_vram(second), 0u);
  EXPECT_EQ(in_vram(third), kRoom / 2);
  EXPECT_EQ(wrong(first, 4), 0u);
  EXPECT_EQ(wrong(second, 2), 0u);
  EXPECT_EQ(wrong(third, 3), 0u);
}

// A working set of twice the VRAM: each chunk comes, and goes for another.
TEST_F(SvmEviction, lets_the_gpu_use_more_than_there_is) {
  leave_room(kRoom);
  const Mapping memory = numbered(2 * kRoom, 0);
  gpu_.vm.prefer(memory.bytes(), Place::vram);
  for (std::uint64_t round = 1; round < 4; ++round) EXPECT_DONE(gpu_number(memory, round));
  EXPECT_GT(in_vram(memory), 0u);
  EXPECT_LE(in_vram(memory), kRoom);
  EXPECT_EQ(wrong(memory, 3), 0u);
}

// A chunk is not sent away before the GPU has done anything with it: two that want the same room
// move at most so often that each makes progress.
TEST_F(SvmEviction, of_two_who_want_the_same_room_ends) {
  leave_room(2_MiB);
  Gpu other(VmConfig{.strategy = Strategy::fault, .svm = true});
  const Mapping mine = numbered(4_MiB, 0), theirs = numbered(4_MiB, 0);
  gpu_.vm.prefer(mine.bytes(), Place::vram);
  other.vm.prefer(theirs.bytes(), Place::vram);
  std::thread rival([&] {
    for (std::uint64_t round = 1; round < 10; ++round) {
      CommandList list;
      EXPECT_DONE(other.run(list.fill({.at = shared_address(theirs.bytes().data()),
                                       .bytes = 4_MiB,
                                       .value = round,
                                       .increment = true})));
    }
  });
  for (std::uint64_t round = 1; round < 10; ++round) EXPECT_DONE(gpu_number(mine, round));
  rival.join();
  EXPECT_EQ(wrong(mine, 9), 0u);
  EXPECT_EQ(wrong(theirs, 9), 0u);
}

// Buffers cannot move, memory of processes can.
TEST_F(SvmEviction, makes_room_for_buffers) {
  const Mapping memory = numbered(kRoom, 5);
  ASSERT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), kRoom);
  const std::uint64_t half = gpu_.device.info().vram_bytes / 2;
  taken_.push_back(gpu_.device.buffer({.bytes = half, .placement = Placement::vram}));
  leave_room(half);  // and the other half
  leave_room(half);
  EXPECT_EQ(in_vram(memory), 0u);
  EXPECT_EQ(wrong(memory, 5), 0u);
}

/// A child that has pages in VRAM, from a process that has ended.
class SvmOrphans : public SvmEviction {
 protected:
  /// Runs `event` while there is one, which then looks at its memory.
  void expect_survives(const std::function<void()>& event) {
    const Mapping shared = map_file(-1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    std::atomic_ref<std::uint64_t> state(shared.as<std::uint64_t>()[0]);
    EXPECT_EQ(in_child([&]() -> int {
                Gpu own(VmConfig{.strategy = Strategy::fault, .svm = true});
                const Mapping memory = numbered(4_MiB, 9);
                // What an earlier test has freed may come a little later.
                const auto all_in_vram = [&] {
                  own.vm.move(memory.bytes(), Place::vram);
                  return in_vram(memory) == 4_MiB;
                };
                if (!stress::poll_until(all_in_vram, after(kPatience))) return 1;
                if (::fork() == 0) {
                  // The device stays open here, so the VM stays, and its memory in VRAM.
                  // It is the test that knows when the process has gone; 2 is never overtaken by 1.
                  if (!stress::poll_until([&] { return state == 1; }, after(kPatience))) ::_exit(1);
                  state = in_vram(memory) == 4_MiB ? 2 : 6;
                  if (!stress::poll_until([&] { return state != 2; }, after(kPatience))) ::_exit(1);
                  state = in_vram(memory) == 0 ? (wrong(memory, 9) == 0 ? 4 : 5) : 7;
                  ::_exit(0);
                }
                ::_exit(0);
              }),
              0);
    state = 1;
    const auto reached = [&](std::uint64_t least) {
      return stress::poll_until([&] { return state >= least; }, after(kPatience));
    };
    ASSERT_TRUE(reached(2));
    ASSERT_EQ(state.load(), 2u) << "inherited from a process that has gone, and still in VRAM";
    event();
    state = 3;
    ASSERT_TRUE(reached(4));
    EXPECT_EQ(state.load(), 4u) << "5: words have changed; 7: still in VRAM";
  }
};

TEST_F(SvmOrphans, come_home_when_vram_is_short) {
  expect_survives([&] {
    leave_room(gpu_.device.info().vram_bytes / 2);
    leave_room(gpu_.device.info().vram_bytes / 2);
  });
}

class SvmUnbind : public SvmOrphans {
 protected:
  void SetUp() override {
    if (!can_be_unbound(gpu_.device)) {
      GTEST_SKIP() << "the device is on no PCI bus that could be told to let it go";
    }
  }
  void unbind() { unbound_.emplace(gpu_.device); }
  void bind() { unbound_.reset(); }

  std::optional<UnboundDevice> unbound_;
};

TEST_F(SvmUnbind, brings_everything_home) {
  const Mapping memory = numbered(8_MiB, 3);
  ASSERT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 8_MiB);
  EXPECT_DONE(gpu_number(memory, 4));
  ASSERT_EQ(in_vram(memory), 8_MiB);
  unbind();
  EXPECT_EQ(in_vram(memory), 0u);
  EXPECT_EQ(wrong(memory, 4), 0u);
  drm_figment_vm_place request = {.vm_id = gpu_.vm.id(),
                                  .place = DRM_FIGMENT_PLACE_VRAM,
                                  .flags = DRM_FIGMENT_VM_PLACE_MOVE,
                                  .address = user_pointer(memory.bytes().data()),
                                  .size = 8_MiB};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_PLACE, request), ENODEV);
  bind();
}

TEST_F(SvmUnbind, brings_home_what_was_inherited) {
  expect_survives([&] { unbind(); });
  bind();
}

// A huge page of VRAM needs one of system memory, or a process whose page tables can be split.
TEST_F(SvmUnbind, brings_everything_home_where_there_is_no_huge_page) {
  if (const std::string why = FaultSettings::missing(); !why.empty()) GTEST_SKIP() << why;
  const Mapping memory = anonymous_memory(4_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_HUGEPAGE);
  std::ranges::iota(memory.as<std::uint64_t>(), 3);
  ASSERT_EQ(gpu_.vm.move(memory.bytes(), Place::vram), 4_MiB);
  {
    FaultSettings faults;
    faults.fail_pages_from(9);
    unbind();
  }
  EXPECT_EQ(in_vram(memory), 0u);
  EXPECT_EQ(wrong(memory, 3), 0u);
  bind();
}

// With processors and moves on their way in both directions.
TEST_F(SvmUnbind, comes_at_any_moment) {
  for (int round = 0; round < 3; ++round) {
    Gpu gpu(VmConfig{.strategy = Strategy::fault, .svm = true});
    const Mapping memory = numbered(8_MiB, 3);
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> moves = 0;
    std::thread mover([&] {
      try {
        for (; !stop; ++moves) gpu.vm.move(memory.bytes(), Place::vram);
      } catch (const std::system_error& gone) {
        EXPECT_EQ(gone.code().value(), ENODEV);
      }
    });
    std::thread reader([&] {
      const auto words = memory.as<std::uint64_t>();
      for (std::uint64_t n = 0; !stop; n = (n + 100'003) % words.size()) {
        if (words[n] != n + 3) return ADD_FAILURE() << "word " << n << " is " << words[n];
      }
    });
    EXPECT_TRUE(stress::poll_until([&] { return moves > 3; }, after(kPatience)));
    unbind();
    stop = HasFailure();
    mover.join();
    stop = true;
    reader.join();
    EXPECT_EQ(in_vram(memory), 0u);
    EXPECT_EQ(wrong(memory, 3), 0u);
    bind();
  }
}

}  // namespace
}  // namespace figment::guest
