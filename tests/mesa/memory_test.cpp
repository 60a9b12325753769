// SPDX-License-Identifier: MIT
//
// Buffers that Vulkan has mapped: what becomes of them, and which it does not take.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xf86drm.h>

#include <functional>
#include <vector>

#include "debugfs_counts.h"
#include "mesa_test.h"

namespace figment::guest {
namespace {

// Vulkan has a mapping of the CPU, and that follows a buffer that has to go.
TEST_F(MesaTest, buffer_that_leaves_vram_is_the_same_for_vulkan) {
  const std::uint64_t bytes = gpu_.device.info().vram_bytes / 4;
  if (bytes == 0) GTEST_SKIP() << "the GPU has no VRAM";
  const SharedBuffer from = shared(Placement::vram);
  const SharedBuffer to = shared(Placement::vram);
  const auto count = [&](const char* what) { return DebugfsCounts(gpu_.device, "buffers")[what]; };
  // More than fit beside anything. Those that nobody has used for longest go first.
  const auto evict = [&] {
    const std::uint64_t before = count("buffer_evictions");
    std::vector<Buffer> others;
    while (others.size() < 4) {
      others.push_back(gpu_.device.buffer({.bytes = bytes, .placement = Placement::vram}));
    }
    EXPECT_GE(count("buffer_evictions"), before + 2);
  };
  write_words(from.words(), kOld);
  const std::uint64_t restorations = count("buffer_restorations");
  evict();
  EXPECT_TRUE(vulkan().copy({.to = to.there, .from = from.there}).wait(after(kPatience)));
  expect_words(to.words(), kOld);

  CommandList list;
  list.fill({.at = from.at, .bytes = kSharedBytes, .value = kNew, .increment = true});
  EXPECT_DONE(gpu_.run(list));
  EXPECT_GE(count("buffer_restorations"), restorations + 2);
  evict();
  EXPECT_TRUE(vulkan().copy({.to = to.there, .from = from.there}).wait(after(kPatience)));
  EXPECT_EQ(gpu_.load(to.at), kNew);
  expect_words(to.words(), kNew);
}

// Everything of the device that has made the buffers goes, and a job with it that Vulkan waits for.
TEST_F(MesaTest, buffers_outlive_who_has_made_them) {
  std::optional<Gpu> other(std::in_place);
  const auto make = [&] { return other->device.buffer({.bytes = kSharedBytes}); };
  std::optional<Buffer> from = make();
  const SharedBuffer to = shared();
  write_words(from->map().as<std::uint64_t>(), kOld);
  vulkan::Buffer there = vulkan().import_dma_buf(from->export_dma_buf(), kSharedBytes);
  other->vm.map({.at = kData, .buffer = *from});
  CommandList list = other->gate();
  list.fill({.at = kData, .bytes = kSharedBytes, .value = kNew, .increment = true});
  vulkan::Semaphore before = vulkan().semaphore();
  before.import_sync_file(other->start(list).sync_file());
  const vulkan::Submission copy = vulkan().copy({.to = to.there, .from = there, .wait = &before});
  EXPECT_FALSE(copy.wait(after(kHeld)));
  from.reset();
  other.reset();
  EXPECT_TRUE(copy.wait(after(kPatience)));
  expect_words(to.words(), kOld);
}

/// What Vulkan does not take for the memory of a buffer.
struct Refused {
  const char* what;
  std::function<UniqueFd(const Device&)> open;
};
void PrintTo(const Refused& refused, std::ostream* out) {
  *out << refused.what;
}

class MesaRefuses : public MesaTest, public testing::WithParamInterface<Refused> {};

UniqueFd event_file(const Device&) {
  return UniqueFd(::eventfd(0, EFD_CLOEXEC));
}
UniqueFd null_device(const Device&) {
  return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}
UniqueFd sync_file(const Device& device) {
  return device.syncobj(true).export_sync_file();
}
UniqueFd small_buffer(const Device& device) {
  return device.buffer({.bytes = kSharedBytes - kPageBytes}).export_dma_buf();
}
UniqueFd buffer_to_read(const Device& device) {
  const Buffer buffer = device.buffer({.bytes = kSharedBytes});
  drm_prime_handle request = {.handle = buffer.handle(), .flags = DRM_CLOEXEC, .fd = -1};
  EXPECT_DONE(raw(device.fd(), DRM_IOCTL_PRIME_HANDLE_TO_FD, request));
  return UniqueFd(request.fd);
}

INSTANTIATE_TEST_SUITE_P(files, MesaRefuses,
                         testing::Values(Refused{"event_file", event_file},
                                         Refused{"null_device", null_device},
                                         Refused{"sync_file", sync_file},
                                         Refused{"small_buffer", small_buffer},
                                         Refused{"buffer_to_read", buffer_to_read}),
                         [](const auto& info) { return info.param.what; });

TEST_P(MesaRefuses, what_is_not_the_memory_of_a_buffer) {
  UniqueFd file = GetParam().open(gpu_.device);
  ASSERT_TRUE(file);
  VkResult result = VK_SUCCESS;
  try {
    std::ignore = vulkan().import_dma_buf(std::move(file), kSharedBytes);
  } catch (const vulkan::Error& error) {
    result = error.result();
  }
  EXPECT_EQ(vulkan::name(result), vulkan::name(VK_ERROR_INVALID_EXTERNAL_HANDLE));
  // And goes on.
  const SharedBuffer good = shared();
  EXPECT_TRUE(vulkan().fill({.to = good.there, .value = 5}).wait(after(kPatience)));
  EXPECT_EQ(gpu_.load(good.at), 0x5'0000'0005u);
}

}  // namespace
}  // namespace figment::guest
