// SPDX-License-Identifier: MIT
//
// Memory of the process as GPU memory: which kinds are taken, which are refused and
// how, and what happens when the process changes it under the driver.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "userptr.h"

namespace figment::guest {
namespace {

/// With every strategy that follows what the process does with its memory.
class UserptrTest : public UserptrFixture, public testing::WithParamInterface<Strategy> {
 protected:
  UserptrTest() : UserptrFixture(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(strategies, UserptrTest,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault),
                         strategy_name);

TEST_P(UserptrTest, anonymous_memory_is_shared_with_the_gpu) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
}

TEST_P(UserptrTest, pages_that_were_never_touched_begin_as_zero) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(gpu_.load(kData + 5 * kPageBytes), 0u);
  EXPECT_DONE(gpu_.store(kData + 5 * kPageBytes, 5));
  EXPECT_EQ(memory.as<std::uint64_t>()[5 * 512], 5u);
}

TEST_P(UserptrTest, a_part_of_a_mapping_is_enough) {
  const Mapping memory = anonymous_memory(kBytes);
  const auto part = memory.bytes().subspan(3 * kPageBytes, 5 * kPageBytes);
  ASSERT_DONE(bind(part));
  expect_shared(part);
  EXPECT_ERRNO(gpu_.try_load(kData + 5 * kPageBytes), EFAULT);
}

TEST_P(UserptrTest, shared_anonymous_memory_is_taken) {
  const Mapping memory = map_file(-1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
}

TEST_P(UserptrTest, memfd_is_taken) {
  const UniqueFd fd(::memfd_create("figment", MFD_CLOEXEC));
  ASSERT_TRUE(fd);
  ASSERT_EQ(::ftruncate(fd.get(), kBytes), 0);
  const Mapping memory = map_file(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
}

TEST_P(UserptrTest, huge_pages_are_taken) {
  const Mapping memory = anonymous_memory(4_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_HUGEPAGE);
  std::memset(memory.bytes().data(), 0, memory.bytes().size());
  ASSERT_DONE(bind(memory.bytes()));
  for (const std::uint64_t page : {0u, 1u, 511u, 512u, 1023u}) {
    EXPECT_DONE(gpu_.store(kData + page * kPageBytes, page + 1));
    EXPECT_EQ(memory.as<std::uint64_t>()[page * 512], page + 1);
  }
}

TEST_P(UserptrTest, read_only_memory_needs_the_flag) {
  const Mapping memory = anonymous_memory(kBytes);
  memory.as<std::uint64_t>()[7] = 70;
  ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ), 0);
  EXPECT_ERRNO(bind(memory.bytes()), EFAULT);
  expect_healthy();
  ASSERT_DONE(bind(memory.bytes(), Access::read_only));
  EXPECT_EQ(gpu_.load(kData + 7 * 8), 70u);
  EXPECT_ERRNO(gpu_.store(kData + 7 * 8, 1), EFAULT);
  EXPECT_EQ(memory.as<std::uint64_t>()[7], 70u);
}

TEST_P(UserptrTest, read_only_mapping_of_writable_memory_is_not_written) {
  const Mapping memory = anonymous_memory(kBytes);
  memory.as<std::uint64_t>()[7] = 70;
  ASSERT_DONE(bind(memory.bytes(), Access::read_only));
  EXPECT_EQ(gpu_.load(kData + 7 * 8), 70u);
  EXPECT_ERRNO(gpu_.store(kData + 7 * 8, 1), EFAULT);
  EXPECT_EQ(memory.as<std::uint64_t>()[7], 70u);
  memory.as<std::uint64_t>()[7] = 71;
  EXPECT_EQ(gpu_.load(kData + 7 * 8), 71u);
}

TEST_P(UserptrTest, memory_that_is_not_mapped_is_refused) {
  std::uint64_t address = 0;
  {
    const Mapping gone = anonymous_memory(kBytes);
    address = user_pointer(gone.bytes().data());
  }
  EXPECT_ERRNO(bind_raw(address, kBytes), EFAULT);
  EXPECT_ERRNO(bind_raw(0, kPageBytes), EFAULT);
  expect_healthy();
}

TEST_P(UserptrTest, a_hole_in_the_middle_is_refused) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_EQ(::munmap(memory.bytes().data() + 7 * kPageBytes, kPageBytes), 0);
  EXPECT_ERRNO(bind(memory.bytes()), EFAULT);
  expect_healthy();
  EXPECT_ERRNO(gpu_.try_load(kData), EFAULT);
}

TEST_P(UserptrTest, kernel_addresses_and_ranges_that_wrap_are_refused) {
  // Both errors are true of such a range: it overflows, and nothing is mapped there.
  const auto expect_refused = [&](std::uint64_t address, std::uint64_t bytes) {
    const int error = bind_raw(address, bytes);
    EXPECT_TRUE(error == EFAULT || error == EINVAL)
        << std::format("{:#x} bytes at {:#x}: {}", bytes, address, name(error));
  };
  expect_refused(0xffff'8000'0000'0000, kPageBytes);
  expect_refused(-2 * kPageBytes, kPageBytes);
  expect_refused(-kPageBytes, 2 * kPageBytes);
  expect_refused(kPageBytes, -kPageBytes);
  expect_healthy();
}

TEST_P(UserptrTest, parts_of_pages_are_refused) {
  const Mapping memory = anonymous_memory(kBytes);
  const std::uint64_t address = user_pointer(memory.bytes().data());
  EXPECT_ERRNO(bind_raw(address + 8, kPageBytes), EINVAL);
  EXPECT_ERRNO(bind_raw(address, 100), EINVAL);
  EXPECT_ERRNO(bind_raw(address, 0), EINVAL);
}

class DeviceMemory : public UserptrFixture, public testing::WithParamInterface<Placement> {};

INSTANTIATE_TEST_SUITE_P(placements, DeviceMemory,
                         testing::Values(Placement::system, Placement::vram), [](const auto& info) {
                           return info.param == Placement::vram ? "vram" : "system";
                         });

TEST_P(DeviceMemory, view_of_a_buffer_is_refused) {
  const Buffer buffer = gpu_.device.buffer({.bytes = kBytes, .placement = GetParam()});
  const Mapping view = buffer.map();
  EXPECT_ERRNO(bind(view.bytes()), EOPNOTSUPP);
  expect_healthy();
}

TEST_P(UserptrTest, anonymous_memory_followed_by_device_memory_is_refused) {
  const Mapping memory = anonymous_memory(2 * kPageBytes);
  const Buffer buffer = gpu_.device.buffer({});
  drm_figment_bo_mmap_offset request = {.handle = buffer.handle()};
  ASSERT_DONE(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, request));
  ASSERT_NE(::mmap(memory.bytes().data() + kPageBytes, kPageBytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_FIXED, gpu_.device.fd(), static_cast<off_t>(request.offset)),
            MAP_FAILED);
  EXPECT_ERRNO(bind(memory.bytes()), EOPNOTSUPP);
  expect_healthy();
}

TEST_P(UserptrTest, same_memory_may_be_mapped_twice_and_in_two_vms) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  const Userptr again = gpu_.vm.userptr({.at = kData + 1_MiB, .memory = memory.bytes()});
  Gpu other(GetParam());
  const Userptr there = other.vm.userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_DONE(gpu_.store(kData, 1));
  EXPECT_EQ(gpu_.load(kData + 1_MiB), 1u);
  EXPECT_DONE(other.store(kData + 8, 2));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 1u);
  EXPECT_EQ(memory.as<std::uint64_t>()[1], 2u);
}

TEST_P(UserptrTest, partial_unmap_leaves_the_rest) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  gpu_.vm.unmap({.at = kData + 4 * kPageBytes, .bytes = 2 * kPageBytes});
  for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
    const bool gone = page == 4 || page == 5;
    EXPECT_ERRNO(gpu_.store(kData + page * kPageBytes, page + 1), gone ? EFAULT : 0) << page;
    EXPECT_EQ(memory.as<std::uint64_t>()[page * 512], gone ? 0 : page + 1);
  }
}

// The process changes the memory while it is mapped.

TEST_P(UserptrTest, memory_that_is_unmapped_under_the_driver_is_no_longer_reached) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
  ASSERT_EQ(::munmap(memory.bytes().data(), kBytes), 0);
  EXPECT_ERRNO(gpu_.store(kData, 1), EFAULT);
  gpu_.vm.unmap({.at = kData, .bytes = kBytes});
  expect_healthy();
}

TEST_P(UserptrTest, new_memory_at_the_address_can_be_bound_again) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
  ASSERT_NE(::mmap(memory.bytes().data(), kBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            MAP_FAILED);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
}

TEST_P(UserptrTest, memory_that_is_given_back_with_madvise_is_fresh_for_both) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_DONTNEED), 0);
    EXPECT_EQ(gpu_.load(kData), 0u);
    expect_shared(memory.bytes());
  }
}

TEST_P(UserptrTest, memory_that_becomes_read_only_is_no_longer_written) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 1));
  ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ), 0);
  EXPECT_ERRNO(gpu_.store(kData, 2), EFAULT);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 1u);
  ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ | PROT_WRITE), 0);
  EXPECT_DONE(gpu_.store(kData, 3));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 3u);
}

TEST_F(UserptrFixture, unmapping_in_the_middle_of_a_job_waits_for_it) {
  // The job has the page in its hands: munmap() must not return before it is done, or
  // the write would land in memory that is somebody else's by then.
  Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  CommandList list;
  list.spin(std::chrono::milliseconds(200)).fill({.at = kData, .bytes = kBytes, .value = 1});
  const Fence fence = gpu_.start(list);
  ASSERT_EQ(::munmap(memory.bytes().data(), kBytes), 0);
  EXPECT_EQ(fence.result(), 0) << "munmap() did not wait for the job";
}

}  // namespace
}  // namespace figment::guest
