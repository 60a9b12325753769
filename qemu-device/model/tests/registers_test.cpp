// SPDX-License-Identifier: MIT
// The register map as the guest meets it: identification, reset values, widths,
// directions, and what counts as a guest error.
#include "gpu.h"

namespace figment::test {

namespace {

class Registers : public ::testing::Test {
 protected:
  // Does `what` count as exactly one guest error?
  template <typename What>
  void expect_guest_error(What what) {
    const uint64_t before = gpu.guest_errors();
    what();
    EXPECT_EQ(gpu.guest_errors(), before + 1);
  }
  Gpu gpu;
};

TEST_F(Registers, identify_the_device_and_its_properties) {
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ID), FIGMENT_ID);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_VERSION), FIGMENT_VERSION);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_FEATURES), 0u);
  const uint64_t config = gpu.read64(FIGMENT_REG_CONFIG);
  EXPECT_EQ(config & FIGMENT_CONFIG_ENGINES, 2u);
  EXPECT_EQ((config & FIGMENT_CONFIG_QUEUES) >> 8, 64u);
  EXPECT_EQ((config & FIGMENT_CONFIG_ASIDS) >> 24, 256u);
  EXPECT_EQ((config & FIGMENT_CONFIG_VA_BITS) >> 40, 48u);
  EXPECT_EQ(config >> 48, 0u);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_VRAM_BYTES), gpu.host.vram.size());
  EXPECT_EQ(gpu.guest_errors(), 0u);
}

TEST_F(Registers, have_their_reset_values_after_power_on) {
  gpu.pci_reset();
  for (const uint64_t at :
       {FIGMENT_REG_SCRATCH, FIGMENT_REG_GUEST_ERRORS, FIGMENT_REG_EVENT_BASE,
        FIGMENT_REG_INVAL_FIRST, FIGMENT_REG_INVAL_LAST, FIGMENT_REG_INVAL_SEQ,
        FIGMENT_REG_INVAL_DONE, FIGMENT_REG_ASID_ROOT(0), FIGMENT_REG_ASID_ROOT(255)}) {
    EXPECT_EQ(gpu.read64(at), 0u) << std::hex << at;
  }
  for (const uint64_t at :
       {FIGMENT_REG_CONTROL, FIGMENT_REG_ERROR, FIGMENT_REG_EVENT_SIZE_LG2, FIGMENT_REG_EVENT_READ,
        FIGMENT_REG_EVENT_WRITE, FIGMENT_REG_EVENT_STALLS}) {
    EXPECT_EQ(gpu.read32(at), 0u) << std::hex << at;
  }
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS), FIGMENT_STATUS_IDLE);
  for (const uint32_t q : {0u, 63u}) {
    const uint64_t block = FIGMENT_REG_QUEUE(q);
    EXPECT_EQ(gpu.read64(block + FIGMENT_QUEUE_DESC), 0u);
    EXPECT_EQ(gpu.read32(block + FIGMENT_QUEUE_STATE), FIGMENT_QUEUE_OFF);
    EXPECT_EQ(gpu.read32(block + FIGMENT_QUEUE_CODE), FIGMENT_CODE_NONE);
    EXPECT_EQ(gpu.read32(block + FIGMENT_QUEUE_ENGINE), ~0u);
    EXPECT_EQ(gpu.read64(block + FIGMENT_QUEUE_ADDRESS), 0u);
    EXPECT_EQ(gpu.read64(block + FIGMENT_QUEUE_READ), 0u);
    EXPECT_EQ(gpu.read64(block + FIGMENT_QUEUE_WRITE), 0u);
  }
  EXPECT_EQ(gpu.guest_errors(), 0u);
}

TEST_F(Registers, time_is_the_clock) {
  gpu.advance(12345);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_TIME), gpu.host.now_ns);
}

TEST_F(Registers, writable_ones_keep_what_was_written) {
  gpu.write64(FIGMENT_REG_SCRATCH, 0x0123456789abcdef);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_SCRATCH), 0x0123456789abcdefu);
  gpu.write64(FIGMENT_REG_ASID_ROOT(255), ~0ull);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_ASID_ROOT(255)), ~0ull) << "checked when it is walked";
  gpu.write64(FIGMENT_REG_INVAL_FIRST, 5);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_FIRST), 5u);
  gpu.write32(FIGMENT_REG_CONTROL, 0);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_CONTROL), 0u);
  EXPECT_EQ(gpu.guest_errors(), 0u);
}

TEST_F(Registers, every_access_of_another_width_is_a_guest_error) {
  gpu.write64(FIGMENT_REG_SCRATCH, 0x1122334455667788);
  for (const unsigned bytes : {1u, 2u, 4u}) {
    expect_guest_error([&] { EXPECT_EQ(gpu.read(FIGMENT_REG_SCRATCH, bytes), 0u); });
    expect_guest_error([&] { gpu.write(FIGMENT_REG_SCRATCH, 0, bytes); });
  }
  expect_guest_error([&] { EXPECT_EQ(gpu.read(FIGMENT_REG_ID, 8), 0u); });
  expect_guest_error([&] { EXPECT_EQ(gpu.read(FIGMENT_REG_SCRATCH + 4, 4), 0u); });
  expect_guest_error([&] { EXPECT_EQ(gpu.read(FIGMENT_REG_SCRATCH + 1, 8), 0u); });
  EXPECT_EQ(gpu.read64(FIGMENT_REG_SCRATCH), 0x1122334455667788u);
}

TEST_F(Registers, the_wrong_direction_is_a_guest_error) {
  expect_guest_error([&] { gpu.write32(FIGMENT_REG_ID, 0); });
  expect_guest_error([&] { gpu.write64(FIGMENT_REG_GUEST_ERRORS, 0); });
  expect_guest_error([&] { gpu.write32(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_STATE, 1); });
  expect_guest_error([&] { EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_COMMAND), 0u); });
  expect_guest_error([&] { EXPECT_EQ(gpu.read32(FIGMENT_REG_RESET), 0u); });
  expect_guest_error(
      [&] { EXPECT_EQ(gpu.read32(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_COMMAND), 0u); });
}

TEST_F(Registers, what_does_not_exist_is_a_guest_error) {
  for (const uint64_t at : {uint64_t{0x38}, uint64_t{0xff8}, uint64_t{0x7ff8}, uint64_t{0xfff8},
                            uint64_t{FIGMENT_REG_QUEUE(64)}, uint64_t{FIGMENT_REG_QUEUE(0) + 0x30},
                            uint64_t{FIGMENT_REG_ASID_ROOT(256)}, ~uint64_t{7}}) {
    expect_guest_error([&] { EXPECT_EQ(gpu.read64(at), 0u) << std::hex << at; });
    expect_guest_error([&] { gpu.write64(at, ~0ull); });
  }
}

TEST_F(Registers, values_that_are_not_allowed_change_nothing) {
  expect_guest_error([&] { gpu.write32(FIGMENT_REG_CONTROL, 2); });
  EXPECT_EQ(gpu.read32(FIGMENT_REG_CONTROL), FIGMENT_CONTROL_ENABLE);
  expect_guest_error([&] { gpu.write32(FIGMENT_REG_RESET, 1); });
  expect_guest_error([&] { gpu.write64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC, 128); });
  expect_guest_error([&] { gpu.write64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC, 1ull << 52); });
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC), 0u);
}

TEST_F(Registers, commands_of_absent_features_are_guest_errors) {
  for (const uint32_t command : {0u, 7u, ~0u, 0u + FIGMENT_QUEUE_PREEMPT, 0u + FIGMENT_QUEUE_RESUME,
                                 0u + FIGMENT_QUEUE_FAULT_RETRY, 0u + FIGMENT_QUEUE_FAULT_KILL}) {
    expect_guest_error([&] { gpu.command(0, command); });
    EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  }
}

TEST_F(Registers, doorbells_take_64_bit_writes_at_the_start_of_a_page) {
  expect_guest_error([&] { gpu.doorbell(8, 0, 8); });
  expect_guest_error([&] { gpu.doorbell(0, 0, 4); });
  expect_guest_error([&] { gpu.doorbell(64 * FIGMENT_DOORBELL_BYTES, 0, 8); });
  expect_guest_error([&] { gpu.doorbell(~0ull - 4095, 0, 8); });
  const uint64_t before = gpu.guest_errors();
  gpu.doorbell(63 * FIGMENT_DOORBELL_BYTES, 12345, 8);
  EXPECT_EQ(gpu.guest_errors(), before) << "a queue that is OFF does not listen";
  EXPECT_EQ(gpu.queue_state(63), FIGMENT_QUEUE_OFF);
}

TEST_F(Registers, error_bits_are_cleared_by_writing_ones) {
  // Provoke two bits: an event ring in the void.
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  gpu.write64(FIGMENT_REG_EVENT_BASE, 0x10'0000);
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 6);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_EVENT_BUS);
  EXPECT_EQ(gpu.host.interrupts, std::vector<unsigned>{FIGMENT_VECTOR_ERROR});
  gpu.write32(FIGMENT_REG_ERROR, ~FIGMENT_ERROR_EVENT_BUS);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_EVENT_BUS);
  gpu.write32(FIGMENT_REG_ERROR, FIGMENT_ERROR_EVENT_BUS);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), 0u);
}

}  // namespace

}  // namespace figment::test
