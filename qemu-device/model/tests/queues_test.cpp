// SPDX-License-Identifier: MIT
// The life of a queue: descriptors, doorbells, errors, and resets in every
// state.
#include "gpu.h"

namespace figment::test {

namespace {

class Queues : public OneQueue {
 protected:
  using OneQueue::OneQueue;
  uint64_t read_index(uint32_t q = 0) {
    return gpu.read64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_READ);
  }
  uint64_t write_index(uint32_t q = 0) {
    return gpu.read64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_WRITE);
  }
  uint32_t engine(uint32_t q = 0) {
    return gpu.read32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_ENGINE);
  }
  // Reset from whatever state: OFF, one report, and the queue works again.
  void expect_reset_works() {
    gpu.events();
    gpu.command(0, FIGMENT_QUEUE_RESET);
    gpu.run_all();
    EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
    EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_NONE);
    EXPECT_EQ(gpu.queue_address(0), 0u);
    EXPECT_EQ(engine(), ~0u);
    const auto resets = gpu.events_of(FIGMENT_EVENT_QUEUE_RESET);
    ASSERT_EQ(resets.size(), 1u);
    EXPECT_EQ(resets[0].queue, 0);
    ring.start();
    run_ok(release(FIGMENT_RELEASE_WRITE, kData, 99));
    EXPECT_EQ(data<uint32_t>(0), 99u);
    EXPECT_EQ(gpu.guest_errors(), 0u);
  }
};

TEST_F(Queues, work_and_say_how_far_they_are) {
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_NE(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  ring.submit(nop(2) + nop(1));
  EXPECT_EQ(write_index(), 24u);
  EXPECT_EQ(read_index(), 0u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  gpu.step();
  EXPECT_EQ(read_index(), 16u);
  EXPECT_EQ(ring.load().read, 16u);
  EXPECT_LT(engine(), gpu.config.engines);
  gpu.step();
  EXPECT_EQ(read_index(), 24u);
  EXPECT_EQ(ring.load().read, 24u);
  EXPECT_EQ(engine(), ~0u) << "with nothing to do it leaves its engine";
  EXPECT_NE(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
}

TEST_F(Queues, start_with_what_the_descriptor_has_announced) {
  uint64_t va = 0x6000'0000'0000;
  for (const uint64_t start : {uint64_t{0}, uint64_t{4088}, ~uint64_t{7} - 8}) {
    Ring other(gpu, 1, {.start = start, .va = va += kPage});
    EXPECT_EQ(read_index(1), start);
    gpu.command(1, FIGMENT_QUEUE_RESET);
    other.push(release(FIGMENT_RELEASE_WRITE, kData, 7));
    figment_descriptor d = other.load();
    d.read = start;
    d.write = other.write();
    gpu.host.store(other.descriptor(), d);
    gpu.command(1, FIGMENT_QUEUE_START);
    gpu.run_all();
    EXPECT_EQ(gpu.queue_code(1), FIGMENT_CODE_NONE);
    EXPECT_EQ(read_index(1), start + 24) << "free-running, also past 2^64";
    EXPECT_EQ(data<uint32_t>(0), 7u);
    set_data<uint32_t>(0, 0);
    gpu.command(1, FIGMENT_QUEUE_RESET);
    gpu.run_all();
  }
}

struct BadDescriptor {
  const char* what;
  void (*spoil)(figment_descriptor&);
};
void PrintTo(const BadDescriptor& bad, std::ostream* out) {
  *out << bad.what;
}

class BadDescriptors : public OneQueue, public ::testing::WithParamInterface<BadDescriptor> {};

TEST_P(BadDescriptors, are_an_error_of_the_queue) {
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  gpu.events();
  const figment_descriptor good = ring.load();
  figment_descriptor d = good;
  GetParam().spoil(d);
  gpu.host.store(ring.descriptor(), d);
  gpu.command(0, FIGMENT_QUEUE_START);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_DESCRIPTOR);
  EXPECT_EQ(gpu.queue_address(0), ring.descriptor());
  EXPECT_EQ(std::memcmp(gpu.host.memory(ring.descriptor(), sizeof(d)), &d, sizeof(d)), 0)
      << "it is not written";
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_ERROR);
  EXPECT_EQ(events[0].detail, FIGMENT_CODE_DESCRIPTOR);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  gpu.host.store(ring.descriptor(), good);
  ring.start();
  run_ok(nop());
}

const BadDescriptor kBadDescriptors[] = {
    {"ring_not_aligned", [](figment_descriptor& d) { d.ring_address += 8; }},
    {"ring_outside_the_address_space",
     [](figment_descriptor& d) {
       d.ring_address = (1ull << 48) - 4096;
       d.ring_bytes_lg2 = 13;
     }},
    {"ring_that_overflows", [](figment_descriptor& d) { d.ring_address = ~0ull << 12; }},
    {"ring_too_small", [](figment_descriptor& d) { d.ring_bytes_lg2 = 11; }},
    {"ring_too_large", [](figment_descriptor& d) { d.ring_bytes_lg2 = 23; }},
    {"ring_of_a_silly_size", [](figment_descriptor& d) { d.ring_bytes_lg2 = ~0u; }},
    {"asid", [](figment_descriptor& d) { d.asid = 256; }},
    {"priority", [](figment_descriptor& d) { d.priority = FIGMENT_PRIORITIES; }},
    {"flags", [](figment_descriptor& d) { d.flags = 2; }},
    {"read_not_aligned", [](figment_descriptor& d) { d.read = d.write = 4; }},
    {"write_not_aligned", [](figment_descriptor& d) { d.write = d.read + 4; }},
    {"write_behind_read",
     [](figment_descriptor& d) {
       d.read = 8;
       d.write = 0;
     }},
    {"write_too_far", [](figment_descriptor& d) { d.write = d.read + 4104; }},
};
INSTANTIATE_TEST_SUITE_P(, BadDescriptors, ::testing::ValuesIn(kBadDescriptors),
                         [](const auto& info) { return std::string(info.param.what); });

TEST_F(Queues, a_descriptor_that_does_not_answer) {
  gpu.write64(FIGMENT_REG_QUEUE(1) + FIGMENT_QUEUE_DESC, 0x1000'0000);
  gpu.command(1, FIGMENT_QUEUE_START);
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(1), FIGMENT_CODE_DESCRIPTOR);
  EXPECT_EQ(gpu.queue_address(1), 0x1000'0000u);
}

TEST_F(Queues, a_descriptor_that_is_read_only_later_is_reported) {
  // The device area answers; behind its end nothing does.
  const uint64_t at = FakeHost::kDeviceBase + FakeHost::kDeviceBytes - 256;
  gpu.host.store(at, ring.load());
  gpu.write64(FIGMENT_REG_QUEUE(1) + FIGMENT_QUEUE_DESC, at);
  gpu.command(1, FIGMENT_QUEUE_START);
  ASSERT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_READY);
  gpu.host.device.resize(4096);
  ring.push(nop());
  gpu.doorbell(1, 8);
  gpu.run_all();
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_DESC_BUS);
  EXPECT_EQ(read_index(1), 8u) << "the queue itself goes on";
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_READY);
}

TEST_F(Queues, the_descriptor_register_changes_only_while_off) {
  gpu.write64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC, FakeHost::kRamBase);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC), ring.descriptor());
  EXPECT_EQ(gpu.guest_errors(), 1u);
}

TEST_F(Queues, start_twice_is_a_guest_error) {
  gpu.command(0, FIGMENT_QUEUE_START);
  EXPECT_EQ(gpu.guest_errors(), 1u);
  run_ok(nop());
}

// Doorbells

TEST_F(Queues, doorbells_that_are_wrong_are_an_error_of_the_queue) {
  run_ok(nop(2));
  for (const uint64_t value : {uint64_t{20}, uint64_t{8}, uint64_t{16 + 4096 + 8}, ~uint64_t{7}}) {
    gpu.doorbell(0, value);
    EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR) << value;
    EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_DOORBELL);
    EXPECT_EQ(gpu.queue_address(0), value);
    EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_QUEUE_ERROR).size(), 1u);
    gpu.command(0, FIGMENT_QUEUE_RESET);
    gpu.run_all();
    ring.start();
    run_ok(nop(2));
  }
}

TEST_F(Queues, a_full_ring_and_a_repeated_doorbell_are_fine) {
  Words words;
  for (int i = 0; i < 512; ++i) words = words + nop();
  run_ok(words);
  ring.ring();
  ring.ring();
  run_ok(words);
  EXPECT_EQ(read_index(), 8192u);
}

TEST_F(Queues, a_wrong_doorbell_stops_a_queue_on_its_engine) {
  ring.submit(spin(1'000'000) + release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.run_now();
  ASSERT_NE(engine(), ~0u);
  gpu.doorbell(0, 4);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_DOORBELL);
  EXPECT_EQ(engine(), ~0u);
  gpu.run_all();
  EXPECT_EQ(data<uint32_t>(0), 0u);
}

TEST_F(Queues, doorbells_to_a_queue_that_does_not_run_are_ignored) {
  run_error({~0ull}, FIGMENT_CODE_VERSION);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  gpu.doorbell(0, 4);  // OFF
  ring.start();
  ring.submit({~0ull});
  gpu.run_all();
  gpu.doorbell(0, 64);  // ERROR
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_VERSION);
  EXPECT_EQ(gpu.guest_errors(), 0u);
}

GpuOptions with_doorbell_latency() {
  GpuOptions options;
  options.config.doorbell = {.min_ns = 1000, .max_ns = 1000};
  return options;
}
class LateDoorbells : public Queues {
 protected:
  LateDoorbells() : Queues(with_doorbell_latency()) {}
};

TEST_F(LateDoorbells, are_fetched_after_their_latency) {
  ring.submit(release(FIGMENT_RELEASE_WRITE, kData, 1));
  EXPECT_EQ(gpu.run_now().next_ns, gpu.host.now_ns + 1000);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  gpu.advance(600);
  ring.submit(release(FIGMENT_RELEASE_WRITE, kData + 8, 1));  // rides along
  EXPECT_EQ(write_index(), 48u);
  gpu.advance(400);
  gpu.run_now();
  EXPECT_EQ(data<uint32_t>(0), 1u);
  EXPECT_EQ(data<uint32_t>(8), 1u);
}

TEST_F(LateDoorbells, do_not_outlive_a_reset) {
  ring.submit(release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_NE(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  ring.start();
  gpu.advance(2000);
  gpu.run_now();
  EXPECT_EQ(read_index(), 0u);
  EXPECT_EQ(data<uint32_t>(0), 0u);
  expect_reset_works();
}

// Errors and resets

TEST_F(Queues, an_error_writes_the_descriptor_and_then_reports) {
  run_ok(nop(3));
  ring.submit(nop(2) + Words{77} + nop());
  gpu.run_all();
  const figment_descriptor d = ring.load();
  EXPECT_EQ(d.state, FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(d.code, FIGMENT_CODE_OPCODE);
  EXPECT_EQ(d.address, ring.ring_va() + 40);
  EXPECT_EQ(d.read, 40u);
  EXPECT_EQ(d.write, 56u);
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_ERROR);
  EXPECT_EQ(events[0].queue, 0);
  EXPECT_EQ(events[0].asid, kAsid);
  EXPECT_EQ(events[0].detail, FIGMENT_CODE_OPCODE);
  EXPECT_EQ(events[0].value, ring.ring_va() + 40);
  EXPECT_EQ(engine(), ~0u);
  gpu.command(0, FIGMENT_QUEUE_START);
  EXPECT_EQ(gpu.guest_errors(), 1u) << "only a reset leads out";
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
}

TEST_F(Queues, fences_before_an_error_are_reported_before_it) {
  ring.submit(fence(1) + fence(2) + Words{77});
  gpu.run_all();
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].value, 1u);
  EXPECT_EQ(events[1].value, 2u);
  EXPECT_EQ(events[2].type, FIGMENT_EVENT_QUEUE_ERROR);
}

TEST_F(Queues, reset_while_off) {
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  expect_reset_works();
}

TEST_F(Queues, reset_while_idle) {
  expect_reset_works();
}

TEST_F(Queues, reset_while_in_error) {
  ring.submit({77});
  gpu.run_all();
  ASSERT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  expect_reset_works();
}

TEST_F(Queues, reset_while_it_waits_for_an_engine) {
  gpu.write32(FIGMENT_REG_CONTROL, 0);
  ring.submit(release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.run_all();
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
  gpu.run_all();
  EXPECT_EQ(data<uint32_t>(0), 0u) << "the job is dropped";
  expect_reset_works();
}

TEST_F(Queues, reset_while_it_spins_waits_or_chases) {
  set_data<uint64_t>(8, kData + 8);
  for (const Words& words :
       {spin(~0ull), wait(FIGMENT_WAIT_EQ, kData + 16, 1), chase(kData + 8, ~0ull, 0)}) {
    ring.submit(words + fence(5));
    gpu.run_steps(10);
    ASSERT_NE(engine(), ~0u);
    expect_reset_works();
  }
}

TEST_F(Queues, reset_while_the_engines_are_off) {
  ring.submit(spin(~0ull));
  gpu.run_now();
  gpu.write32(FIGMENT_REG_CONTROL, 0);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  gpu.write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
  expect_reset_works();
}

TEST_F(Queues, reset_inside_nested_buffers_forgets_them) {
  const Words inner = spin(~0ull);
  for (size_t i = 0; i < inner.size(); ++i) set_data(0x1000 + i * 8, inner[i]);
  ring.submit(indirect(kData + 0x1000, 16) + release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.run_now();
  ASSERT_NE(engine(), ~0u);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  EXPECT_EQ(read_index(), 0u);
  expect_reset_works();
}

TEST_F(Queues, reset_leaves_the_descriptor_as_the_queue_was) {
  run_ok(nop(3));
  ring.submit(spin(~0ull));
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  const figment_descriptor d = ring.load();
  EXPECT_EQ(d.read, 24u);
  EXPECT_EQ(d.write, 40u);
  EXPECT_EQ(d.state, FIGMENT_QUEUE_OFF);
  EXPECT_EQ(d.code, FIGMENT_CODE_NONE);
}

TEST_F(Queues, reset_in_the_middle_of_a_large_copy) {
  number_bytes();
  ring.submit(copy(kData + 32 * kPage, kData, 30 * kPage) + fence(1));
  gpu.step();
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  EXPECT_TRUE(gpu.events_of(FIGMENT_EVENT_FENCE).empty());
  expect_reset_works();
}

GpuOptions with_access_latency() {
  GpuOptions options;
  options.config.access = {.min_ns = 1000, .max_ns = 1000};
  return options;
}
class SlowAccess : public Queues {
 protected:
  SlowAccess() : Queues(with_access_latency()) {}
};

TEST_F(SlowAccess, reset_waits_for_what_is_in_flight) {
  ring.submit(release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_EVENT, kData, 7));
  gpu.run_now();
  gpu.advance(1000);
  gpu.run_now();  // the store is in flight
  gpu.command(0, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  gpu.command(0, FIGMENT_QUEUE_RESET);  // no matter
  gpu.command(0, FIGMENT_QUEUE_START);
  EXPECT_EQ(gpu.guest_errors(), 1u);
  gpu.doorbell(0, 48);
  gpu.advance(999);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  EXPECT_TRUE(gpu.events().empty());
  gpu.advance(1);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  EXPECT_EQ(data<uint32_t>(0), 7u) << "what was in flight happened";
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 1u) << "but nothing after it";
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_RESET);
  ring.start();
  run_ok(nop());
}

TEST_F(SlowAccess, a_fault_of_a_queue_that_is_being_reset_is_not_reported) {
  gpu.map(kAsid, 0x70'0000'0000, 0x1000'0000, kPage);
  ring.submit(fill(0x70'0000'0000, 8, 1));
  gpu.run_now();
  gpu.advance(1000);
  gpu.run_now();  // the store to where nothing answers is in flight
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_RESET);
}

}  // namespace

}  // namespace figment::test
