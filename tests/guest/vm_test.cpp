// SPDX-License-Identifier: MIT
//
// Address spaces: their number, their lives, and that they keep out of each other.
#include <optional>
#include <vector>

#include "guest.h"
#include "module_parameter.h"

namespace figment::guest {
namespace {

int create(const Device& device, drm_figment_vm_create request) {
  return raw(device.fd(), DRM_IOCTL_FIGMENT_VM_CREATE, request);
}

int destroy(const Device& device, std::uint32_t id) {
  return raw(device.fd(), DRM_IOCTL_FIGMENT_VM_DESTROY, drm_figment_vm_destroy{.id = id});
}

TEST(Vm, is_created_and_destroyed) {
  const Device device = Device::open();
  drm_figment_vm_create request = {.strategy = DRM_FIGMENT_STRATEGY_FENCE};
  ASSERT_DONE(raw(device.fd(), DRM_IOCTL_FIGMENT_VM_CREATE, request));
  EXPECT_DONE(destroy(device, request.id));
  EXPECT_ERRNO(destroy(device, request.id), ENOENT);
}

TEST(Vm, of_an_unknown_strategy_is_refused) {
  EXPECT_ERRNO(create(Device::open(), {.strategy = 63}), EINVAL);
  EXPECT_ERRNO(create(Device::open(), {.strategy = 64}), EINVAL);
  EXPECT_ERRNO(create(Device::open(), {.strategy = ~0u}), EINVAL);
}

TEST(Vm, of_each_strategy_on_offer_works) {
  const ScopedModuleParameter allow_unsafe("allow_unsafe", "1");
  const Device device = Device::open();
  for (const auto& entry : kStrategies) {
    const int error = create(device, {.strategy = static_cast<std::uint32_t>(entry.strategy)});
    EXPECT_ERRNO(error, device.offers(entry.strategy) ? 0 : EOPNOTSUPP) << entry.name;
  }
}

TEST(Vm, of_the_unsafe_strategy_needs_permission) {
  const ScopedModuleParameter allow_unsafe("allow_unsafe", "0");
  const Device device = Device::open();
  EXPECT_FALSE(device.offers(Strategy::unsafe));
  EXPECT_ERRNO(create(device, {.strategy = DRM_FIGMENT_STRATEGY_UNSAFE}), EPERM);
}

TEST(Vm, there_are_as_many_as_told_and_again_after_they_have_gone) {
  const Device device = Device::open();
  for (int round = 0; round < 2; ++round) {
    std::vector<Vm> vms;
    int error = 0;
    while (error == 0 && vms.size() <= device.info().asids) {
      try {
        vms.push_back(device.vm());
      } catch (const std::system_error& full) {
        error = full.code().value();
      }
    }
    EXPECT_ERRNO(error, ENOSPC);
    EXPECT_GE(vms.size(), 2u) << "round " << round;
    EXPECT_LE(vms.size(), device.info().asids);
  }
}

TEST(Vm, belongs_to_its_file) {
  const Device one = Device::open();
  const Device two = Device::open();
  const Vm vm = one.vm();
  EXPECT_ERRNO(destroy(two, vm.id()), ENOENT);
  EXPECT_ERRNO(
      raw(two.fd(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, drm_figment_queue_create{.vm_id = vm.id()}),
      ENOENT);
}

TEST(Vm, takes_its_queues_along) {
  const Device device = Device::open();
  std::optional<Vm> vm(device.vm());
  const Queue queue = vm->queue();
  vm.reset();
  drm_figment_queue_query request = {.id = queue.id()};
  EXPECT_ERRNO(raw(device.fd(), DRM_IOCTL_FIGMENT_QUEUE_QUERY, request), ENOENT);
}

TEST(Vm, that_is_destroyed_cancels_what_runs_in_it) {
  Gpu gpu;
  const Fence fence = gpu.close_gate(gpu.queue);
  ASSERT_DONE(destroy(gpu.device, gpu.vm.id()));
  EXPECT_ERRNO(outcome(fence), ECANCELED);
}

TEST(Vm, keeps_its_memory_from_another_at_the_same_address) {
  Gpu one;
  Gpu two;
  const Buffer first = one.device.buffer({});
  const Buffer second = two.device.buffer({});
  one.vm.map({.at = kData, .buffer = first});
  two.vm.map({.at = kData, .buffer = second});
  EXPECT_DONE(one.store(kData, 1));
  EXPECT_DONE(two.store(kData, 2));
  EXPECT_EQ(one.load(kData), 1u);
  EXPECT_EQ(two.load(kData), 2u);
}

TEST(Vm, gives_no_memory_to_one_that_has_its_address_space_next) {
  // What the TLB still knows of an address space must not serve the next owner.
  for (int round = 0; round < 20; ++round) {
    Gpu gpu;
    EXPECT_ERRNO(gpu.try_load(kData), EFAULT) << "round " << round;
    const Buffer buffer = gpu.device.buffer({});
    gpu.vm.map({.at = kData, .buffer = buffer});
    EXPECT_DONE(gpu.store(kData, 0x5ec7e7));
  }
}

}  // namespace
}  // namespace figment::guest
