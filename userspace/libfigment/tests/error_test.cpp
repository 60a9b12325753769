// SPDX-License-Identifier: MIT
//
// What an error says. The words matter here and nowhere else: other tests compare
// error codes.
#include "figment/error.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "figment/handle.h"

namespace figment {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Error, carries_the_errno_and_the_request) {
  // /dev/null knows no ioctl of ours, so this one fails without a device.
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(null);
  drm_figment_vm_destroy request = {.id = 7, .pad = 0};
  try {
    call(null.get(), DRM_IOCTL_FIGMENT_VM_DESTROY, request);
    FAIL() << "an ioctl on /dev/null did not fail";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::inappropriate_io_control_operation);
    EXPECT_THAT(error.what(), HasSubstr("VM_DESTROY of vm 7"));
  }
}

TEST(Error, names_the_place_of_a_buffer) {
  EXPECT_EQ(describe(drm_figment_bo_create{.size = 4096}),
            "BO_CREATE of 4096 bytes in system memory");
  EXPECT_EQ(describe(drm_figment_bo_create{.size = 1, .flags = DRM_FIGMENT_BO_VRAM}),
            "BO_CREATE of 1 byte in VRAM");
}

TEST(Error, names_the_strategy_of_a_vm) {
  EXPECT_EQ(describe(drm_figment_vm_create{.strategy = DRM_FIGMENT_STRATEGY_UNSAFE}),
            "VM_CREATE with strategy unsafe");
  EXPECT_EQ(describe(drm_figment_vm_create{.strategy = 99}), "VM_CREATE with unknown strategy 99");
}

TEST(Error, tells_what_a_user_fence_waits_for) {
  EXPECT_EQ(
      describe(drm_figment_wait_user_fence{
          .address = 0x1000, .reference = 5, .mask = ~0ull, .compare = DRM_FIGMENT_COMPARE_GE}),
      "WAIT_USER_FENCE until the word at 0x1000 is >= 0x5");
  EXPECT_EQ(describe(drm_figment_vm_place{.vm_id = 3,
                                          .place = DRM_FIGMENT_PLACE_VRAM,
                                          .flags = DRM_FIGMENT_VM_PLACE_MOVE,
                                          .address = 0x1000,
                                          .size = 0x2000}),
            "VM_PLACE in vm 3 of 0x2000 bytes at 0x1000: in VRAM, now");
  EXPECT_EQ(describe(drm_figment_wait_user_fence{.address = 8, .mask = 0xff, .compare = 9}),
            "WAIT_USER_FENCE until the word at 0x8, masked with 0xff, is ? 0x0");
}

TEST(Error, tells_whose_failing_jobs_end_a_wait) {
  drm_figment_wait_user_fence request = {
      .address = 8, .mask = ~0ull, .compare = DRM_FIGMENT_COMPARE_EQ, .queue_id = 3, .errors = 1};
  EXPECT_EQ(describe(request),
            "WAIT_USER_FENCE until the word at 0x8 is = 0x0, while queue 3 has 1 error");
  request.errors = 0;
  EXPECT_THAT(describe(request), HasSubstr("while queue 3 has 0 errors"));
  // Malformed, and so most in need of words.
  request.queue_id = 0;
  request.errors = 2;
  EXPECT_THAT(describe(request), HasSubstr("while queue 0 has 2 errors"));
}

TEST(Error, tells_each_operation_of_a_bind) {
  const std::array ops = {
      drm_figment_bind_op{.kind = DRM_FIGMENT_BIND_MAP,
                          .flags = DRM_FIGMENT_BIND_READONLY,
                          .handle = 3,
                          .address = 0x10000,
                          .size = 0x2000,
                          .offset = 0x1000},
      drm_figment_bind_op{.kind = DRM_FIGMENT_BIND_MAP_USERPTR, .address = 0x20000, .size = 0x1000},
      drm_figment_bind_op{.kind = DRM_FIGMENT_BIND_UNMAP, .address = 0x30000, .size = 0x1000},
      drm_figment_bind_op{.kind = 77},
      drm_figment_bind_op{.kind = 78},
  };
  drm_figment_vm_bind request = {};
  request.vm_id = 2;
  request.flags = DRM_FIGMENT_VM_BIND_ASYNC;
  request.ops = {sizeof(ops[0]), ops.size(), reinterpret_cast<std::uint64_t>(ops.data())};
  request.syncs.count = 1;
  const std::string text = describe(request);
  EXPECT_THAT(text, HasSubstr("VM_BIND in vm 2, asynchronous"));
  EXPECT_THAT(text, HasSubstr("map 0x2000 bytes of buffer 3 from 0x1000 at GPU address 0x10000 "
                              "read-only"));
  EXPECT_THAT(text, HasSubstr("process memory"));
  EXPECT_THAT(text, HasSubstr("unmap 0x1000 bytes at GPU address 0x30000"));
  EXPECT_THAT(text, HasSubstr("unknown kind 77"));
  EXPECT_THAT(text, Not(HasSubstr("78")));
  EXPECT_THAT(text, HasSubstr("and 1 more"));
  EXPECT_THAT(text, HasSubstr("(1 sync)"));
}

TEST(Error, does_not_read_operations_of_another_layout) {
  drm_figment_vm_bind request = {};
  request.ops = {8, 1, 1};  // not an address that could be read
  EXPECT_EQ(describe(request), "VM_BIND in vm 0, synchronous");
}

TEST(Error, says_what_a_submit_was) {
  EXPECT_EQ(describe(drm_figment_submit{.queue_id = 1, .address = 0x1000, .size = 8}),
            "SUBMIT to queue 1 of 8 bytes at GPU address 0x1000 (0 syncs)");
}

}  // namespace
}  // namespace figment
