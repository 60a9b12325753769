// SPDX-License-Identifier: MIT
//
// Buffers in both placements: contents, views, lifetimes, and coherence between CPU
// and GPU.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "guest.h"

namespace figment::guest {
namespace {

using Words = std::span<std::uint64_t>;

class BufferIn : public GpuTest, public testing::WithParamInterface<Placement> {
 protected:
  Buffer buffer(std::uint64_t bytes) {
    return gpu_.device.buffer({.bytes = bytes, .placement = GetParam()});
  }
};

INSTANTIATE_TEST_SUITE_P(placements, BufferIn, testing::Values(Placement::system, Placement::vram),
                         [](const auto& info) {
                           return info.param == Placement::vram ? "vram" : "system";
                         });

TEST_P(BufferIn, is_whole_pages) {
  EXPECT_EQ(buffer(1).bytes(), 4_KiB);
  EXPECT_EQ(buffer(4097).bytes(), 8_KiB);
}

TEST_P(BufferIn, is_zero_at_first) {
  const Buffer some = buffer(256_KiB);
  const Mapping view = some.map();
  EXPECT_TRUE(std::ranges::all_of(view.bytes(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_P(BufferIn, is_zero_again_after_another_had_the_memory) {
  for (int round = 0; round < 4; ++round) {
    const Buffer some = buffer(4_MiB);
    const Mapping view = some.map();
    ASSERT_TRUE(std::ranges::all_of(view.as<std::uint64_t>(), [](auto w) { return w == 0; }))
        << "round " << round;
    std::memset(view.bytes().data(), 0xa5, view.bytes().size());
  }
}

TEST_P(BufferIn, gpu_sees_what_the_cpu_writes) {
  const Buffer some = buffer(64_KiB);
  const Mapping view = some.map();
  gpu_.vm.map({.at = kData, .buffer = some});
  for (std::uint64_t n = 0; n < 8192; n += 511) {
    view.as<std::uint64_t>()[n] = n + 1;
    EXPECT_EQ(gpu_.load(kData + n * 8), n + 1);
  }
}

TEST_P(BufferIn, cpu_sees_what_the_gpu_writes) {
  const Buffer some = buffer(64_KiB);
  const Mapping view = some.map();
  gpu_.vm.map({.at = kData, .buffer = some});
  for (std::uint64_t n = 0; n < 8192; n += 511) {
    EXPECT_DONE(gpu_.store(kData + n * 8, n + 1));
    EXPECT_EQ(view.as<std::uint64_t>()[n], n + 1);
  }
}

TEST_P(BufferIn, two_views_show_the_same) {
  const Buffer some = buffer(8_KiB);
  const Mapping one = some.map();
  const Mapping two = some.map();
  one.as<std::uint64_t>()[600] = 42;
  EXPECT_EQ(two.as<std::uint64_t>()[600], 42u);
}

TEST_P(BufferIn, view_outlives_the_handle) {
  std::optional<Buffer> some(buffer(8_KiB));
  const Mapping view = some->map();
  some.reset();
  view.as<std::uint64_t>()[0] = 7;
  EXPECT_EQ(view.as<std::uint64_t>()[0], 7u);
}

TEST_P(BufferIn, mapping_outlives_the_handle) {
  std::optional<Buffer> some(buffer(8_KiB));
  const Mapping view = some->map();
  gpu_.vm.map({.at = kData, .buffer = *some});
  some.reset();
  EXPECT_DONE(gpu_.store(kData + 8, 9));
  EXPECT_EQ(view.as<std::uint64_t>()[1], 9u);
}

TEST_P(BufferIn, is_not_mapped_past_its_end) {
  const Buffer some = buffer(8_KiB);
  drm_figment_bo_mmap_offset request = {.handle = some.handle()};
  ASSERT_DONE(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, request));
  void* at = ::mmap(nullptr, 12_KiB, PROT_READ, MAP_SHARED, gpu_.device.fd(),
                    static_cast<off_t>(request.offset));
  EXPECT_EQ(at, MAP_FAILED);
  EXPECT_ERRNO(errno, EINVAL);
}

TEST_P(BufferIn, of_no_bytes_is_refused) {
  drm_figment_bo_create request = {
      .size = 0, .flags = GetParam() == Placement::vram ? DRM_FIGMENT_BO_VRAM : 0u};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_BO_CREATE, request), EINVAL);
}

TEST_P(BufferIn, of_a_size_that_overflows_is_refused) {
  for (const std::uint64_t size : {~std::uint64_t{0}, ~std::uint64_t{0} - 4095,
                                   std::uint64_t{1} << 63, std::uint64_t{1} << 60}) {
    drm_figment_bo_create request = {
        .size = size, .flags = GetParam() == Placement::vram ? DRM_FIGMENT_BO_VRAM : 0u};
    const int error = raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_BO_CREATE, request);
    EXPECT_TRUE(error == EINVAL || error == ENOMEM || error == ENOSPC)
        << std::hex << size << ": " << name(error);
  }
  std::ignore = buffer(4_KiB);
}

TEST_F(GpuTest, more_than_vram_is_enospc) {
  const std::uint64_t vram = gpu_.device.info().vram_bytes;
  drm_figment_bo_create too_much = {.size = vram + kPageBytes, .flags = DRM_FIGMENT_BO_VRAM};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_BO_CREATE, too_much), ENOSPC);
}

TEST_F(GpuTest, closed_buffer_is_no_more) {
  std::uint32_t handle = 0;
  {
    const Buffer buffer = gpu_.device.buffer({});
    handle = buffer.handle();
  }
  drm_figment_bo_mmap_offset request = {.handle = handle};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, request), ENOENT);
}

}  // namespace
}  // namespace figment::guest
