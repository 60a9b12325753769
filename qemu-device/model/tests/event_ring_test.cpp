// SPDX-License-Identifier: MIT
// The event ring: format, the interrupt rule, a full ring that loses nothing,
// and a ring that is off or does not answer.
#include <algorithm>
#include <memory>

#include "gpu.h"

namespace figment::test {

namespace {

constexpr uint32_t kEntries = 1u << FIGMENT_EVENT_SIZE_LG2_MIN;

GpuOptions with_small_ring(figment_latency latency = {}) {
  GpuOptions options;
  options.event_lg2 = FIGMENT_EVENT_SIZE_LG2_MIN;
  options.config.event = latency;
  return options;
}

class EventRing : public ::testing::Test {
 protected:
  explicit EventRing(const GpuOptions& options = with_small_ring()) : gpu(options) {}

  Ring& add(uint32_t queue) {
    rings.push_back(std::make_unique<Ring>(gpu, queue));
    return *rings.back();
  }
  unsigned interrupts() {
    const auto count = std::ranges::count(gpu.host.interrupts, 0u + FIGMENT_VECTOR_EVENTS);
    gpu.host.interrupts.clear();
    return static_cast<unsigned>(count);
  }
  // All events until there are none, as the driver would go on reading.
  std::vector<figment_event> drain() {
    std::vector<figment_event> all;
    for (auto some = gpu.events(); !some.empty(); some = gpu.events()) {
      all.insert(all.end(), some.begin(), some.end());
      gpu.run_all();
    }
    return all;
  }

  Gpu gpu;
  std::vector<std::unique_ptr<Ring>> rings;
};

TEST_F(EventRing, numbers_its_entries_from_one) {
  add(3).submit(fence(10) + fence(11));
  gpu.run_all();
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_WRITE), 2u);
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].seq, 1u);
  EXPECT_EQ(events[0].queue, 3);
  EXPECT_EQ(events[1].seq, 2u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_READ), 2u);
}

TEST_F(EventRing, interrupts_when_it_stops_being_empty) {
  Ring& ring = add(0);
  ring.submit(fence(1));
  gpu.run_all();
  EXPECT_EQ(interrupts(), 1u);
  ring.submit(fence(2) + fence(3));
  gpu.run_all();
  EXPECT_EQ(interrupts(), 0u) << "it was not empty";
  gpu.write32(FIGMENT_REG_EVENT_READ, 2);
  EXPECT_EQ(interrupts(), 1u) << "a write of EVENT_READ that leaves something";
  gpu.write32(FIGMENT_REG_EVENT_READ, 3);
  EXPECT_EQ(interrupts(), 0u);
  ring.submit(fence(4));
  gpu.run_all();
  EXPECT_EQ(interrupts(), 1u);
}

TEST_F(EventRing, the_read_index_moves_only_over_what_was_written) {
  add(0).submit(fence(1) + fence(2));
  gpu.run_all();
  gpu.write32(FIGMENT_REG_EVENT_READ, 1);
  for (const uint32_t bad : {0u, 3u, ~0u}) gpu.write32(FIGMENT_REG_EVENT_READ, bad);
  EXPECT_EQ(gpu.guest_errors(), 3u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_READ), 1u);
}

TEST_F(EventRing, overflow_loses_nothing) {
  // Six queues, 40 fences each, and nobody reads.
  for (uint32_t q = 0; q < 6; ++q) {
    Ring& ring = add(q);
    for (uint64_t i = 0; i < 40; ++i) ring.push(fence(i));
    ring.ring();
  }
  gpu.run_all();
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_WRITE), kEntries);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_STALLS), 6u) << "one report of each queue waits";
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_EVENT_FULL);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  EXPECT_EQ(std::ranges::count(gpu.host.interrupts, 0u + FIGMENT_VECTOR_ERROR), 1);
  const auto events = drain();
  ASSERT_EQ(events.size(), 240u);
  uint64_t next[6] = {};
  for (const auto& event : events) {
    ASSERT_LT(event.queue, 6);
    EXPECT_EQ(event.value, next[event.queue]++) << "in order for each queue";
  }
  EXPECT_NE(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
}

TEST_F(EventRing, when_full_stops_only_those_who_have_to_report) {
  Ring& loud = add(0);
  for (uint32_t i = 0; i < kEntries + 2; ++i) loud.push(fence(i));
  loud.ring();
  Ring& other = add(1);
  Ring& third = add(2);
  gpu.run_all();
  EXPECT_EQ(gpu.read32(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_ENGINE), ~0u)
      << "it does not hold an engine while it waits";
  const uint64_t bus = gpu.map_new(1, 0x10'0000, kPage);
  other.submit(release(FIGMENT_RELEASE_WRITE, 0x10'0000, 1));
  third.submit(release(FIGMENT_RELEASE_WRITE, 0x10'0008, 1));
  gpu.run_all();
  EXPECT_EQ(gpu.host.load<uint32_t>(bus), 1u);
  EXPECT_EQ(gpu.host.load<uint32_t>(bus + 8), 1u);
  EXPECT_EQ(drain().size(), kEntries + 2u);
}

TEST_F(EventRing, errors_and_resets_wait_as_well_and_in_order) {
  Ring& loud = add(0);
  for (uint32_t i = 0; i < kEntries; ++i) loud.push(fence(i));
  loud.ring();
  gpu.run_all();
  Ring& ring = add(1);
  ring.submit(fence(7) + Words{77});
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_ERROR) << "its state does not wait";
  gpu.command(1, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_OFF);
  // A new life begins, but does not run before the reports of the old one are out.
  ring.start();
  ring.submit(fence(8));
  gpu.run_all();
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(1) + FIGMENT_QUEUE_READ), 0u);
  // And a second reset has to wait for the report of the first.
  gpu.command(1, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_STOPPING);
  std::vector<uint32_t> types;
  for (const auto& event : drain()) {
    if (event.queue == 1) types.push_back(event.type);
  }
  EXPECT_EQ(types, (std::vector<uint32_t>{FIGMENT_EVENT_FENCE, FIGMENT_EVENT_QUEUE_ERROR,
                                          FIGMENT_EVENT_QUEUE_RESET, FIGMENT_EVENT_QUEUE_RESET}));
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_OFF);
}

TEST_F(EventRing, wraps_around_many_times) {
  Ring& ring = add(0);
  uint64_t value = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 37; ++i) ring.push(fence(value++));
    ring.ring();
    gpu.run_all();
    const auto events = gpu.events();
    ASSERT_EQ(events.size(), 37u);
    EXPECT_EQ(events.back().value, value - 1);
    EXPECT_EQ(events.back().seq, value);
  }
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_STALLS), 0u);
}

TEST_F(EventRing, that_is_off_keeps_reports_until_it_is_on) {
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  add(0).submit(fence(1) + fence(2));
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_STALLS), 0u);
  gpu.bring_up();
  gpu.run_all();
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].seq, 1u);
}

TEST_F(EventRing, setup_is_checked) {
  gpu.write64(FIGMENT_REG_EVENT_BASE, FakeHost::kRamBase);
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 7);
  EXPECT_EQ(gpu.guest_errors(), 2u) << "not while it is on";
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  for (const uint32_t bad : {1u, 5u, 17u, ~0u}) gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, bad);
  gpu.write64(FIGMENT_REG_EVENT_BASE, FakeHost::kRamBase + 64);
  gpu.write64(FIGMENT_REG_EVENT_BASE, 1ull << 52);
  EXPECT_EQ(gpu.guest_errors(), 8u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_SIZE_LG2), 0u);
}

TEST_F(EventRing, that_does_not_answer_says_so_and_recovers) {
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  gpu.write64(FIGMENT_REG_EVENT_BASE, 0x1000'0000);
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 6);
  add(0).submit(fence(1));
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER) << "it does not try for ever";
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_EVENT_BUS);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_WRITE), 0u);
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  gpu.bring_up();
  gpu.run_all();
  EXPECT_EQ(gpu.events().size(), 1u);
}

TEST_F(EventRing, in_memory_that_is_not_ram) {
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  gpu.write64(FIGMENT_REG_EVENT_BASE, FakeHost::kDeviceBase);
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 6);
  add(0).submit(fence(42));
  gpu.run_all();
  const auto event = gpu.host.load<figment_event>(FakeHost::kDeviceBase);
  EXPECT_EQ(event.seq, 1u);
  EXPECT_EQ(event.value, 42u);
}

class LateEvents : public EventRing {
 protected:
  LateEvents() : EventRing(with_small_ring({.min_ns = 1000, .max_ns = 1000})) {}
};

TEST_F(LateEvents, enter_after_their_latency_with_the_time_of_their_cause) {
  add(0).submit(fence(1));
  const uint64_t cause = gpu.host.now_ns;
  EXPECT_EQ(gpu.run_now().next_ns, cause + 1000);
  EXPECT_TRUE(gpu.events().empty());
  gpu.advance(1000);
  gpu.run_now();
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].time_ns, cause);
}

class RandomEvents : public EventRing {
 protected:
  RandomEvents() : EventRing(with_small_ring({.min_ns = 0, .max_ns = 10'000})) {}
};

TEST_F(RandomEvents, keep_their_order_for_each_queue) {
  for (uint32_t q = 0; q < 4; ++q) {
    Ring& ring = add(q);
    for (uint64_t i = 0; i < 30; ++i) ring.push(fence(i));
    ring.push(Words{77});
    ring.ring();
  }
  std::vector<figment_event> all;
  for (int i = 0; i < 10; ++i) {
    gpu.run_all();
    for (const auto& event : drain()) all.push_back(event);
  }
  ASSERT_EQ(all.size(), 4 * 31u);
  uint64_t next[4] = {};
  for (const auto& event : all) {
    if (event.type == FIGMENT_EVENT_FENCE) {
      EXPECT_EQ(event.value, next[event.queue]++);
    } else {
      EXPECT_EQ(next[event.queue], 30u) << "the error comes last";
    }
  }
}

// A vector on its way (interrupt-ns).

GpuOptions with_slow_interrupts() {
  GpuOptions options = with_small_ring();
  options.config.interrupt = {.min_ns = 500, .max_ns = 500};
  return options;
}

class SlowInterrupts : public EventRing {
 protected:
  SlowInterrupts() : EventRing(with_slow_interrupts()) {}
};

TEST_F(SlowInterrupts, come_after_their_latency_and_are_not_idle_before) {
  add(0).submit(fence(1));
  EXPECT_EQ(gpu.run_now().next_ns, gpu.host.now_ns + 500);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_WRITE), 1u);
  EXPECT_EQ(interrupts(), 0u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  gpu.advance(499);
  gpu.run_now();
  EXPECT_EQ(interrupts(), 0u);
  gpu.advance(1);
  gpu.run_now();
  EXPECT_EQ(interrupts(), 1u);
  EXPECT_NE(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
}

TEST_F(SlowInterrupts, take_later_causes_along_and_are_not_lost) {
  Ring& ring = add(0);
  ring.submit(fence(1));
  gpu.run_now();
  EXPECT_EQ(gpu.events().size(), 1u);  // a driver that polls
  gpu.advance(300);
  ring.submit(fence(2));  // into an empty ring: a cause
  gpu.run_now();
  gpu.advance(200);
  gpu.run_now();
  EXPECT_EQ(interrupts(), 1u) << "one message, after both";
  EXPECT_EQ(gpu.events().size(), 1u);
  gpu.run_all();
  EXPECT_EQ(interrupts(), 0u);
  ring.submit(fence(3));
  gpu.run_all();
  EXPECT_EQ(interrupts(), 1u);
}

TEST_F(SlowInterrupts, do_not_come_after_a_reset) {
  add(0).submit(fence(1));
  gpu.run_now();
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  gpu.run_all();
  EXPECT_EQ(interrupts(), 0u);
}

// A queue that fails, is reset, and fails again while the ring is off has four reports under way: a
// fence, two errors and a reset.
TEST(Reports, of_queues_whose_second_error_comes_before_the_first_is_in_the_ring_all_arrive) {
  GpuOptions options;
  options.config.queues = FIGMENT_QUEUES_MAX;
  options.event_lg2 = 12;
  Gpu gpu(options);
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  const uint64_t bad = gpu.allocate(kPage);
  for (uint32_t q = 0; q < FIGMENT_QUEUES_MAX; ++q) {
    Ring ring(gpu, q, {.va = 0x10'0000 + q * kPage});
    ring.submit(fence(1));
    gpu.run_all();
    ring.push(nop());
    gpu.doorbell(q, 4);  // the first error
    gpu.command(q, FIGMENT_QUEUE_RESET);
    gpu.write64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_DESC, bad);
    gpu.command(q, FIGMENT_QUEUE_START);  // the second
    EXPECT_EQ(gpu.queue_state(q), FIGMENT_QUEUE_ERROR);
  }
  for (unsigned i = 0; i < FIGMENT_INVAL_DEPTH; ++i) gpu.invalidate_all(FIGMENT_INVAL_EVENT);
  gpu.bring_up();
  gpu.run_all();
  ASSERT_EQ(gpu.read32(FIGMENT_REG_ID), FIGMENT_ID) << "the device does not answer any more";
  std::array<unsigned, 7> counts{};
  for (const figment_event& event : gpu.events()) ++counts.at(event.type);
  EXPECT_EQ(counts[FIGMENT_EVENT_FENCE], FIGMENT_QUEUES_MAX);
  EXPECT_EQ(counts[FIGMENT_EVENT_QUEUE_ERROR], 2 * FIGMENT_QUEUES_MAX);
  EXPECT_EQ(counts[FIGMENT_EVENT_QUEUE_RESET], FIGMENT_QUEUES_MAX);
  EXPECT_EQ(counts[FIGMENT_EVENT_INVALIDATED], FIGMENT_INVAL_DEPTH);
}

}  // namespace

}  // namespace figment::test
