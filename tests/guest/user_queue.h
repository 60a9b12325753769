// SPDX-License-Identifier: MIT
//
// What tests of user queues have in common: a VM with one.
#pragma once

#include <sys/mman.h>

#include <chrono>
#include <optional>
#include <system_error>

#include "inject_file.h"
#include "module_parameter.h"
#include "process.h"
#include "userptr.h"

namespace figment::guest {

/// Where the rings of tests are.
inline constexpr GpuVa kRing{0x30'0000'0000};

class UserQueueFixture : public UserptrFixture, public testing::WithParamInterface<Strategy> {
 protected:
  UserQueueFixture() : UserptrFixture(GetParam()) {}

  /// What QUEUE_CREATE takes for a small ring in a buffer of this test.
  [[nodiscard]] drm_figment_queue_create request() const {
    return {.vm_id = gpu_.vm.id(),
            .flags = DRM_FIGMENT_QUEUE_USER,
            .ring_address = kRing.value,
            .ring_size = kPageBytes};
  }
  [[nodiscard]] int create(drm_figment_queue_create& request) const {
    return raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, request);
  }
  void destroy(std::uint32_t id) const {
    EXPECT_DONE(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_DESTROY,
                    drm_figment_queue_destroy{.id = id}));
  }
  /// Until the queue has ended with an error, or for a long time.
  static WaitEnd wait_for_end(const UserQueue& queue) {
    return queue.wait(~std::uint64_t{0}, after(kPatience));
  }
  /// A queue that works, and its VM with it.
  void expect_works(UserQueue& queue) {
    const Buffer buffer = gpu_.device.buffer({});
    const GpuVa elsewhere = kData + 2_GiB;
    gpu_.vm.map({.at = elsewhere, .buffer = buffer});
    CommandList list;
    const std::uint64_t number =
        queue.submit(list.fill({.at = elsewhere, .bytes = 8, .value = 4711}));
    EXPECT_EQ(queue.wait(number, after(kPatience)), WaitEnd::holds);
    EXPECT_EQ(buffer.map().as<std::uint64_t>()[0], 4711u);
    gpu_.vm.unmap({.at = elsewhere, .bytes = kPageBytes});
  }
  void expect_error(const UserQueue& queue, int error, std::uint32_t code) {
    EXPECT_EQ(wait_for_end(queue), WaitEnd::job_failed);
    const QueueState state = queue.query();
    EXPECT_EQ(state.errors, 1u);
    EXPECT_ERRNO(state.last_error, error);
    EXPECT_EQ(state.last_code, code);
  }
  /// Has the kernel take pages away that the VM has, and so its queues off the device.
  static void disturb(std::span<std::byte> memory) {
    ASSERT_EQ(::madvise(memory.data(), memory.size(), MADV_DONTNEED), 0);
  }
};

/// Has the driver reset the whole device, as it can not reset a queue: its number waits for a
/// report that does not get into the event ring. Needs a device with injection and preemption.
inline void make_driver_reset(const Device& device) {
  const ScopedModuleParameter watchdog("watchdog_ms", "0");
  const InjectFile inject(device);
  const std::uint64_t before = recoveries(device, "device_resets");
  // Both queues have to get one number, which another that comes free may prevent.
  for (int attempt = 0; attempt < 5 && recoveries(device, "device_resets") == before; ++attempt) {
    ASSERT_DONE(inject.write("clear"));
    ASSERT_DONE(inject.write("interrupt-lost,every=1,vector=1"));
    ASSERT_DONE(inject.write("event-full,once,event=queue-reset,value=3600000000000"));
    try {
      Gpu guilty(Strategy::preempt);
      for (int life = 0; life < 2; ++life) {
        Queue queue = guilty.vm.queue();
        guilty.begin_on(queue, guilty.gate());
      }
    } catch (const std::system_error& error) {
      EXPECT_ERRNO(error.code().value(), ENODEV) << "it has been given up";
    }
    std::ignore = stress::poll_until([&] { return recoveries(device, "device_resets") > before; },
                                     after(std::chrono::seconds(4)));
  }
  EXPECT_EQ(recoveries(device, "device_resets"), before + 1);
  if (recoveries(device, "wedged") == 0) {
    EXPECT_DONE(inject.write("clear"));
  }
}

}  // namespace figment::guest
