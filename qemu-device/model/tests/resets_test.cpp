// SPDX-License-Identifier: MIT
// Device reset through the RESET register, and PCI reset.
#include "gpu.h"

namespace figment::test {

namespace {

class Resets : public OneQueue {
 protected:
  using OneQueue::OneQueue;

  // Make the device busy in every way.
  void make_busy() {
    gpu.write64(FIGMENT_REG_SCRATCH, 42);
    ring.submit(fence(1) + spin(~0ull));
    Ring other(gpu, 1);
    other.submit({77});
    Ring waiting(gpu, 2);
    waiting.submit(wait(FIGMENT_WAIT_EQ, kData, 1));
    Ring third(gpu, 3);
    third.submit(nop());
    gpu.run_now();
    gpu.invalidate_all();
    gpu.host.interrupts.clear();
  }

  void expect_reset_values() {
    EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS), FIGMENT_STATUS_IDLE);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_CONTROL), 0u);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), 0u);
    EXPECT_EQ(gpu.read64(FIGMENT_REG_SCRATCH), 0u);
    EXPECT_EQ(gpu.read64(FIGMENT_REG_EVENT_BASE), 0u);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_SIZE_LG2), 0u);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_READ), 0u);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_WRITE), 0u);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_STALLS), 0u);
    EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_SEQ), 0u);
    EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_DONE), 0u);
    EXPECT_EQ(gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid)), 0u);
    for (uint32_t q = 0; q < gpu.config.queues; ++q) {
      EXPECT_EQ(gpu.queue_state(q), FIGMENT_QUEUE_OFF);
      EXPECT_EQ(gpu.queue_code(q), 0u);
      EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_DESC), 0u);
      EXPECT_EQ(gpu.read32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_ENGINE), ~0u);
      EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_READ), 0u);
      EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_WRITE), 0u);
    }
    EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
    EXPECT_TRUE(gpu.host.interrupts.empty()) << "a reset is silent";
  }

  // The driver's own recipe, from nothing: the same tables, a new start.
  void expect_works_after(uint64_t root) {
    gpu.bring_up();
    gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root);
    ring.start();
    run_ok(release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_EVENT, kData, 99));
    EXPECT_EQ(data<uint32_t>(0), 99u);
    EXPECT_EQ(gpu.events().size(), 1u);
  }
};

TEST_F(Resets, of_the_device_forget_everything_but_memory_and_error_counts) {
  make_busy();
  gpu.write32(0xfff0, 0);  // one guest error
  gpu.host.vram[5] = std::byte{7};
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  expect_reset_values();
  EXPECT_EQ(gpu.guest_errors(), 1u);
  EXPECT_EQ(gpu.host.vram[5], std::byte{7});
  expect_works_after(root);
}

TEST_F(Resets, of_pci_forget_the_error_count_too) {
  make_busy();
  gpu.write32(0xfff0, 0);
  gpu.host.vram[5] = std::byte{7};
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.pci_reset();
  expect_reset_values();
  EXPECT_EQ(gpu.guest_errors(), 0u);
  EXPECT_EQ(gpu.host.vram[5], std::byte{7});
  expect_works_after(root);
}

TEST_F(Resets, empty_the_tlb) {
  run_ok(release(FIGMENT_RELEASE_WRITE, kData, 1));
  const uint64_t fresh = gpu.map_new(kAsid, kData, kPage);
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  gpu.bring_up();
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root);
  ring.start();
  run_ok(release(FIGMENT_RELEASE_WRITE, kData, 2));
  EXPECT_EQ(gpu.host.load<uint32_t>(fresh), 2u);
}

TEST_F(Resets, without_the_key_do_nothing) {
  gpu.write32(FIGMENT_REG_RESET, 1);
  EXPECT_EQ(gpu.guest_errors(), 1u);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
}

GpuOptions with_access_latency() {
  GpuOptions options;
  options.config.access = {.min_ns = 1000, .max_ns = 1000};
  return options;
}
class SlowResets : public Resets {
 protected:
  SlowResets() : Resets(with_access_latency()) {}
  void put_store_in_flight() {
    ring.submit(release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_EVENT, kData, 7) + nop());
    gpu.run_now();
    gpu.advance(1000);
    gpu.run_now();
    gpu.host.interrupts.clear();
  }
};

TEST_F(SlowResets, of_the_device_wait_for_what_is_in_flight) {
  put_store_in_flight();
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS), FIGMENT_STATUS_RESETTING);
  EXPECT_EQ(gpu.run_now().next_ns, gpu.host.now_ns + 1000);
  gpu.advance(1000);
  gpu.run_now();
  EXPECT_EQ(data<uint32_t>(0), 7u);
  expect_reset_values();
  expect_works_after(root);
}

TEST_F(SlowResets, ignore_doorbells_and_refuse_writes_meanwhile) {
  put_store_in_flight();
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  ring.submit(fill(kData, 64, ~0ull));
  gpu.doorbell(1, 4);
  EXPECT_EQ(gpu.guest_errors(), 0u) << "user space cannot know";
  gpu.write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  EXPECT_EQ(gpu.guest_errors(), 3u);
  gpu.run_all();
  expect_reset_values();
  EXPECT_EQ(data<uint32_t>(0), 7u);
  EXPECT_EQ(data<uint32_t>(8), 0u);
}

TEST_F(SlowResets, of_pci_wait_for_nothing) {
  put_store_in_flight();
  gpu.pci_reset();
  expect_reset_values();
  gpu.advance(10'000);
  gpu.run_now();
  EXPECT_EQ(data<uint32_t>(0), 0u) << "what was in flight never arrives";
}

TEST_F(SlowResets, of_pci_in_the_middle_of_a_device_reset) {
  put_store_in_flight();
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  gpu.pci_reset();
  expect_reset_values();
  expect_works_after(root);
}

}  // namespace

}  // namespace figment::test
