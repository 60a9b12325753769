// SPDX-License-Identifier: MIT
//
// The rules that the uAPI gives itself, for every ioctl: padding and unknown flags
// must be zero, arrays carry their stride, and pointers may be wild.
#include <array>
#include <cstring>
#include <vector>

#include "guest.h"

namespace figment::guest {
namespace {

/// Objects that make every other field of a request right.
struct World {
  Gpu gpu;
  Buffer buffer = gpu.device.buffer({});
  Syncobj syncobj = gpu.device.syncobj(true);
};

struct BadField {
  const char* what;
  std::function<int(World&)> send;
};
void PrintTo(const BadField& param, std::ostream* out) {
  *out << param.what;
}

class BadFieldOf : public testing::TestWithParam<BadField> {};

TEST_P(BadFieldOf, is_refused) {
  World world;
  EXPECT_ERRNO(GetParam().send(world), EINVAL);
  EXPECT_DONE(outcome(world.gpu.queue.run({.at = GpuVa{}})));
}

INSTANTIATE_TEST_SUITE_P(
    fields, BadFieldOf,
    testing::Values(
        BadField{"bo_create_flags",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_BO_CREATE,
                              drm_figment_bo_create{.size = 4096, .flags = 1u << 31});
                 }},
        BadField{"bo_create_second_flag",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_BO_CREATE,
                              drm_figment_bo_create{.size = 4096, .flags = 1u << 1});
                 }},
        BadField{"bo_mmap_offset_pad",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET,
                              drm_figment_bo_mmap_offset{.handle = w.buffer.handle(), .pad = 1});
                 }},
        BadField{"vm_create_flags",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_VM_CREATE,
                              drm_figment_vm_create{.flags = 1});
                 }},
        BadField{"vm_create_pad",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_VM_CREATE,
                              drm_figment_vm_create{.pad = 1});
                 }},
        BadField{"vm_destroy_pad",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_VM_DESTROY,
                              drm_figment_vm_destroy{.id = w.gpu.vm.id(), .pad = 1});
                 }},
        BadField{"vm_bind_flags",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND,
                              drm_figment_vm_bind{.vm_id = w.gpu.vm.id(), .flags = 1u << 31});
                 }},
        BadField{"queue_create_flags",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_CREATE,
                              drm_figment_queue_create{.vm_id = w.gpu.vm.id(), .flags = 2});
                 }},
        BadField{"queue_destroy_pad",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_DESTROY,
                              drm_figment_queue_destroy{.id = w.gpu.queue.id(), .pad = 1});
                 }},
        BadField{"queue_query_pad",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_QUERY,
                              drm_figment_queue_query{.id = w.gpu.queue.id(), .pad = 1});
                 }},
        BadField{"submit_flags",
                 [](World& w) {
                   return raw(w.gpu.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT,
                              drm_figment_submit{.queue_id = w.gpu.queue.id(), .flags = 1});
                 }}),
    [](const auto& info) { return info.param.what; });

// Arrays. The elements are sent with a stride that is not that of this header.
class Stride : public GpuTest {
 protected:
  static constexpr std::uint64_t kOpBytes = sizeof(drm_figment_bind_op);

  int unmap(std::uint32_t stride, const void* ops, std::uint32_t count = 1) {
    return raw(
        gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND,
        drm_figment_vm_bind{.vm_id = gpu_.vm.id(),
                            .ops = {stride, count, user_pointer(static_cast<const char*>(ops))}});
  }
  /// An operation in more bytes than this header knows.
  static std::vector<unsigned char> longer(unsigned char tail) {
    const drm_figment_bind_op op = {
        .kind = DRM_FIGMENT_BIND_UNMAP, .address = kData.value, .size = kPageBytes};
    std::vector<unsigned char> bytes(kOpBytes + 24);
    std::memcpy(bytes.data(), &op, sizeof(op));
    bytes.back() = tail;
    return bytes;
  }
};

TEST_F(Stride, shorter_elements_are_extended_with_zeros) {
  // Without `offset`, which UNMAP wants to be zero.
  struct Short {
    drm_figment_bind_op op;
  } ops[2] = {};
  static_assert(offsetof(drm_figment_bind_op, offset) == 32);
  std::array<unsigned char, 64> bytes = {};
  for (unsigned n = 0; n < 2; ++n) {
    ops[n].op = {.kind = DRM_FIGMENT_BIND_UNMAP,
                 .address = kData.value + n * kPageBytes,
                 .size = kPageBytes};
    std::memcpy(&bytes[n * 32], &ops[n].op, 32);
  }
  const Buffer buffer = gpu_.device.buffer({.bytes = 2 * kPageBytes});
  gpu_.vm.map({.at = kData, .buffer = buffer});
  EXPECT_DONE(unmap(32, bytes.data(), 2));
  EXPECT_ERRNO(gpu_.try_load(kData), EFAULT);
  EXPECT_ERRNO(gpu_.try_load(kData + kPageBytes), EFAULT);
}

TEST_F(Stride, longer_elements_with_zeros_are_taken) {
  const auto op = longer(0);
  EXPECT_DONE(unmap(static_cast<std::uint32_t>(op.size()), op.data()));
}

TEST_F(Stride, longer_elements_with_something_unknown_are_refused) {
  const auto op = longer(1);
  EXPECT_ERRNO(unmap(static_cast<std::uint32_t>(op.size()), op.data()), E2BIG);
}

TEST_F(Stride, none_at_all_is_refused) {
  const auto op = longer(0);
  EXPECT_ERRNO(unmap(0, op.data()), EINVAL);
}

TEST_F(Stride, syncs_may_be_short_too) {
  // Eight bytes: flags and handle of a binary syncobj.
  const Syncobj syncobj = gpu_.device.syncobj();
  const std::uint32_t sync[2] = {DRM_FIGMENT_SYNC_SIGNAL, syncobj.handle()};
  EXPECT_DONE(
      raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT,
          drm_figment_submit{.queue_id = gpu_.queue.id(), .syncs = {8, 1, user_pointer(sync)}}));
  EXPECT_TRUE(syncobj.wait(after(kPatience)));
}

TEST_F(Stride, wild_pointers_and_endless_arrays_are_refused) {
  const auto op = longer(0);
  EXPECT_ERRNO(unmap(kOpBytes, reinterpret_cast<const void*>(8)), EFAULT);
  EXPECT_ERRNO(unmap(kOpBytes, reinterpret_cast<const void*>(0xffff'8000'0000'0000)), EFAULT);
  for (const std::uint32_t count : {0x1000'0000u, ~0u}) {
    const int error = unmap(kOpBytes, op.data(), count);
    EXPECT_TRUE(error == EINVAL || error == ENOMEM || error == EFAULT || error == E2BIG)
        << name(error);
    const int stride_error = unmap(~0u, op.data(), count);
    EXPECT_TRUE(stride_error == EINVAL || stride_error == ENOMEM || stride_error == EFAULT ||
                stride_error == E2BIG)
        << name(stride_error);
  }
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT,
                   drm_figment_submit{.queue_id = gpu_.queue.id(),
                                      .syncs = {sizeof(drm_figment_sync), 1, 8}}),
               EFAULT);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(Stride, pointer_of_an_empty_array_is_ignored) {
  EXPECT_DONE(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT,
                  drm_figment_submit{.queue_id = gpu_.queue.id(), .syncs = {16, 0, 8}}));
}

TEST_F(GpuTest, request_itself_may_be_wild) {
  EXPECT_ERRNO(ioctl_errno(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT, reinterpret_cast<void*>(8)),
               EFAULT);
}

}  // namespace
}  // namespace figment::guest
