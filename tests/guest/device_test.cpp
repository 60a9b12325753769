// SPDX-License-Identifier: MIT
//
// Opening the device, and what it tells about itself.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <xf86drm.h>

#include <array>
#include <cstring>
#include <memory>

#include "figment_hw.h"
#include "guest.h"

namespace figment::guest {
namespace {

drm_figment_dev_query device_query(void* to, std::uint32_t size) {
  return {.type = DRM_FIGMENT_QUERY_DEVICE, .size = size, .pointer = user_pointer(to)};
}

TEST(Device, opens_and_closes) {
  std::ignore = Device::open();
}

TEST(Device, tells_its_driver) {
  const Device device = Device::open();
  const std::unique_ptr<drmVersion, decltype(&drmFreeVersion)> version(drmGetVersion(device.fd()),
                                                                       &drmFreeVersion);
  ASSERT_TRUE(version);
  EXPECT_STREQ(version->name, "figment");
}

TEST(Device, has_no_node_past_the_last_one) {
  const auto count = static_cast<unsigned>(Device::nodes().size());
  try {
    std::ignore = Device::open(count);
    FAIL() << "opened GPU " << count << " of " << count;
  } catch (const std::system_error& error) {
    EXPECT_ERRNO(error.code().value(), ENODEV);
  }
}

TEST(Device, tells_what_the_hardware_is) {
  const Device device = Device::open();
  const auto& info = device.info();
  EXPECT_EQ((info.hw_version & FIGMENT_VERSION_MAJOR) >> 16, 1u);
  EXPECT_GE(info.engines, 1u);
  EXPECT_GE(info.queues, info.engines);
  EXPECT_LE(info.queues, unsigned{FIGMENT_QUEUES_MAX});
  EXPECT_GE(info.asids, 2u);
  EXPECT_LE(info.asids, unsigned{FIGMENT_ASIDS_MAX});
  EXPECT_GE(info.vram_bytes, 1_MiB);
  EXPECT_LT(info.va_start, info.va_end);
  EXPECT_LE(info.va_end, std::uint64_t{1} << FIGMENT_VA_BITS);
  EXPECT_GE(info.priorities, 1u);
  EXPECT_LE(info.priorities, unsigned{FIGMENT_PRIORITIES});
  EXPECT_GT(info.job_timeout_ms, 0u);
}

TEST(Device, always_offers_the_fence_strategy) {
  EXPECT_TRUE(Device::open().offers(Strategy::fence));
}

TEST(Device, has_timeline_syncobjs) {
  const Device device = Device::open();
  std::uint64_t value = 0;
  EXPECT_EQ(drmGetCap(device.fd(), DRM_CAP_SYNCOBJ, &value), 0);
  EXPECT_EQ(value, 1u);
  EXPECT_EQ(drmGetCap(device.fd(), DRM_CAP_SYNCOBJ_TIMELINE, &value), 0);
  EXPECT_EQ(value, 1u);
}

TEST(Query, tells_the_size_when_there_is_no_buffer) {
  const Device device = Device::open();
  auto query = device_query(nullptr, 0);
  ASSERT_DONE(raw(device.fd(), DRM_IOCTL_FIGMENT_DEV_QUERY, query));
  EXPECT_GE(query.size, sizeof(drm_figment_device_info));
}

TEST(Query, fills_a_short_buffer_with_the_beginning) {
  const Device device = Device::open();
  std::array<unsigned char, sizeof(drm_figment_device_info)> bytes;
  bytes.fill(0xee);
  auto query = device_query(bytes.data(), 12);
  ASSERT_DONE(raw(device.fd(), DRM_IOCTL_FIGMENT_DEV_QUERY, query));
  EXPECT_EQ(query.size, 12u);
  EXPECT_EQ(std::memcmp(bytes.data(), &device.info(), 12), 0);
  for (std::size_t n = 12; n < bytes.size(); ++n) EXPECT_EQ(bytes[n], 0xee) << "byte " << n;
}

TEST(Query, says_how_much_of_a_long_buffer_it_has_filled) {
  const Device device = Device::open();
  std::array<unsigned char, 4096> bytes;
  bytes.fill(0xee);
  auto query = device_query(bytes.data(), bytes.size());
  ASSERT_DONE(raw(device.fd(), DRM_IOCTL_FIGMENT_DEV_QUERY, query));
  EXPECT_GE(query.size, sizeof(drm_figment_device_info));
  ASSERT_LT(query.size, bytes.size());
  EXPECT_EQ(bytes[query.size], 0xee);
}

TEST(Query, of_an_unknown_type_is_refused) {
  const Device device = Device::open();
  EXPECT_ERRNO(raw(device.fd(), DRM_IOCTL_FIGMENT_DEV_QUERY, drm_figment_dev_query{.type = 9999}),
               EINVAL);
}

TEST(Query, into_memory_that_is_not_there_is_refused) {
  const Device device = Device::open();
  auto query = device_query(reinterpret_cast<void*>(8), sizeof(drm_figment_device_info));
  EXPECT_ERRNO(raw(device.fd(), DRM_IOCTL_FIGMENT_DEV_QUERY, query), EFAULT);
}

}  // namespace
}  // namespace figment::guest
