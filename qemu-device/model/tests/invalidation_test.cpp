// SPDX-License-Identifier: MIT
// Invalidation: what is dropped and when, and that the acknowledgement waits
// for accesses in flight that were translated before.
#include "gpu.h"

namespace figment::test {

namespace {

constexpr uint64_t kPlace = 0x12'3456'7000;

GpuOptions with_latencies(uint64_t access_ns, uint64_t invalidate_ns) {
  GpuOptions options;
  options.config.access = {.min_ns = access_ns, .max_ns = access_ns};
  options.config.invalidate = {.min_ns = invalidate_ns, .max_ns = invalidate_ns};
  return options;
}

class Invalidation : public OneQueue {
 protected:
  using OneQueue::OneQueue;
  uint64_t done() { return gpu.read64(FIGMENT_REG_INVAL_DONE); }
  Words put(uint64_t va, uint64_t value) {
    return release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64, va, value);
  }
};

TEST_F(Invalidation, is_acknowledged_at_once_when_nothing_takes_time) {
  EXPECT_EQ(gpu.invalidate(kAsid, 0, ~0ull >> 16), 1u);
  EXPECT_EQ(done(), 1u);
  EXPECT_EQ(gpu.invalidate_asid(kAsid), 2u);
  EXPECT_EQ(gpu.invalidate_all(), 3u);
  EXPECT_EQ(done(), 3u);
  EXPECT_EQ(gpu.guest_errors(), 0u);
}

TEST_F(Invalidation, of_a_range_leaves_other_pages_and_spaces_cached) {
  Ring other(gpu, 1, {.asid = 2});
  for (const uint32_t asid : {kAsid, 2u}) gpu.map_new(asid, kPlace, 3 * kPage);
  const Words touch = put(kPlace, 1) + put(kPlace + kPage, 1) + put(kPlace + 2 * kPage, 1);
  run_ok(touch);
  other.submit(touch);
  gpu.run_all();
  uint64_t fresh[2][3];
  for (uint32_t asid = 1; asid <= 2; ++asid) {
    for (uint64_t page = 0; page < 3; ++page) {
      fresh[asid - 1][page] = gpu.map_new(asid, kPlace + page * kPage, kPage);
    }
  }
  gpu.invalidate(kAsid, kPlace + kPage, kPlace + 2 * kPage - 1);
  run_ok(touch);
  other.submit(touch);
  gpu.run_all();
  EXPECT_EQ(gpu.host.load<uint64_t>(fresh[0][0]), 0u);
  EXPECT_EQ(gpu.host.load<uint64_t>(fresh[0][1]), 1u);
  EXPECT_EQ(gpu.host.load<uint64_t>(fresh[0][2]), 0u);
  for (const uint64_t page : fresh[1]) EXPECT_EQ(gpu.host.load<uint64_t>(page), 0u);

  gpu.invalidate_asid(2);
  run_ok(touch);
  other.submit(touch);
  gpu.run_all();
  EXPECT_EQ(gpu.host.load<uint64_t>(fresh[0][0]), 0u);
  for (const uint64_t page : fresh[1]) EXPECT_EQ(gpu.host.load<uint64_t>(page), 1u);

  gpu.invalidate_all();
  run_ok(touch);
  EXPECT_EQ(gpu.host.load<uint64_t>(fresh[0][0]), 1u);
}

TEST_F(Invalidation, of_a_huge_range_drops_what_is_in_it) {
  gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1));
  const uint64_t fresh = gpu.map_new(kAsid, kPlace, kPage);
  gpu.invalidate(kAsid, 0, kPlace - 1);
  gpu.invalidate(kAsid, kPlace + kPage, (1ull << 48) - 1);
  run_ok(put(kPlace, 2));
  EXPECT_EQ(gpu.host.load<uint64_t>(fresh), 0u);
  gpu.invalidate(kAsid, 0, kPlace);
  run_ok(put(kPlace, 3));
  EXPECT_EQ(gpu.host.load<uint64_t>(fresh), 3u);
}

TEST_F(Invalidation, malformed_commands_are_guest_errors_and_have_no_number) {
  const auto refused = [&](uint64_t command) {
    const uint64_t before = gpu.guest_errors();
    gpu.write64(FIGMENT_REG_INVAL_COMMAND, command);
    EXPECT_EQ(gpu.guest_errors(), before + 1) << std::hex << command;
    EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_SEQ), 0u);
  };
  gpu.write64(FIGMENT_REG_INVAL_FIRST, 0);
  gpu.write64(FIGMENT_REG_INVAL_LAST, 0xfff);
  refused(3ull << 16 | kAsid);  // no such kind
  refused(1ull << 19 | kAsid);  // reserved bit
  refused(256);                 // no such address space
  refused(FIGMENT_INVAL_KIND_ASID << 16 | 0xffff);
  refused(FIGMENT_INVAL_KIND_ALL << 16 | kAsid);
  gpu.write64(FIGMENT_REG_INVAL_FIRST, 0x1000);
  refused(kAsid);  // first behind last
  gpu.write64(FIGMENT_REG_INVAL_LAST, 1ull << 48);
  refused(kAsid);  // outside the address space
}

class SlowInvalidation : public Invalidation {
 protected:
  SlowInvalidation() : Invalidation(with_latencies(0, 1000)) {}
};

TEST_F(SlowInvalidation, the_old_page_is_used_until_the_acknowledgement) {
  const uint64_t old_page = gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1));
  const uint64_t new_page = gpu.map_new(kAsid, kPlace, kPage);
  const uint64_t sequence = gpu.invalidate(kAsid, kPlace, kPlace);
  EXPECT_NE(done(), sequence);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  ring.submit(put(kPlace, 2));
  EXPECT_EQ(gpu.run_now().next_ns, gpu.host.now_ns + 1000);
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 2u);
  gpu.run_all();
  EXPECT_EQ(done(), sequence);
  EXPECT_NE(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  run_ok(put(kPlace, 3));
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 3u);
}

TEST_F(SlowInvalidation, the_range_is_latched_by_the_command) {
  gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1));
  const uint64_t new_page = gpu.map_new(kAsid, kPlace, kPage);
  gpu.invalidate(kAsid, kPlace, kPlace);
  gpu.write64(FIGMENT_REG_INVAL_FIRST, 0);
  gpu.write64(FIGMENT_REG_INVAL_LAST, 0);
  gpu.run_all();
  run_ok(put(kPlace, 2));
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 2u);
}

TEST_F(SlowInvalidation, more_than_the_depth_are_refused_and_said_so) {
  for (uint64_t i = 1; i <= FIGMENT_INVAL_DEPTH; ++i) EXPECT_EQ(gpu.invalidate_all(), i);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), 0u);
  EXPECT_EQ(gpu.invalidate_all(), FIGMENT_INVAL_DEPTH);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_INVAL_FULL);
  EXPECT_EQ(gpu.host.interrupts, std::vector<unsigned>{FIGMENT_VECTOR_ERROR});
  EXPECT_EQ(gpu.guest_errors(), 0u);
  gpu.run_all();
  EXPECT_EQ(done(), FIGMENT_INVAL_DEPTH);
  EXPECT_EQ(gpu.invalidate_all(), FIGMENT_INVAL_DEPTH + 1u);
}

TEST_F(SlowInvalidation, reports_its_acknowledgement_when_asked) {
  gpu.invalidate_asid(7);
  const uint64_t sequence = gpu.invalidate_asid(7, FIGMENT_INVAL_EVENT);
  gpu.run_all();
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_INVALIDATED);
  EXPECT_EQ(events[0].queue, FIGMENT_EVENT_NO_QUEUE);
  EXPECT_EQ(events[0].asid, 7u);
  EXPECT_EQ(events[0].value, sequence);
}

class InFlight : public Invalidation {
 protected:
  InFlight() : Invalidation(with_latencies(1000, 0)) {}
};

TEST_F(InFlight, the_acknowledgement_waits_for_accesses_that_were_translated_before) {
  const uint64_t old_page = gpu.map_new(kAsid, kPlace, kPage);
  ring.submit(put(kPlace, 5));
  gpu.run_now();  // the fetch is in flight
  gpu.advance(1000);
  gpu.run_now();  // the store is in flight, to the old page
  const uint64_t new_page = gpu.map_new(kAsid, kPlace, kPage);
  const uint64_t sequence = gpu.invalidate(kAsid, kPlace, kPlace + kPage - 1);
  gpu.run_now();
  EXPECT_EQ(done(), sequence - 1) << "a store to the old page is still in flight";
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 0u);
  gpu.advance(999);
  gpu.run_now();
  EXPECT_EQ(done(), sequence - 1);
  gpu.advance(1);
  gpu.run_now();
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 5u);
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 0u);
  EXPECT_EQ(done(), sequence);
  run_ok(put(kPlace, 6));
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 5u) << "used after the acknowledgement";
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 6u);
}

TEST_F(InFlight, does_not_wait_for_accesses_elsewhere) {
  gpu.map_new(kAsid, kPlace, kPage);
  ring.submit(put(kPlace, 5));
  gpu.run_now();
  gpu.advance(1000);
  gpu.run_now();
  gpu.invalidate(kAsid, kPlace + kPage, kPlace + 2 * kPage);
  gpu.invalidate_asid(2);
  EXPECT_EQ(done(), 2u);
  gpu.invalidate_asid(kAsid);
  EXPECT_EQ(done(), 2u) << "but this one has to";
  gpu.invalidate_asid(2);
  EXPECT_EQ(done(), 2u) << "acknowledgements are in order";
  gpu.run_all();
  EXPECT_EQ(done(), 4u);
}

TEST_F(InFlight, waits_for_the_source_of_a_copy_and_for_fetches) {
  gpu.map_new(kAsid, kPlace, kPage);
  ring.submit(copy(kData, kPlace, 64));
  gpu.run_now();  // the fetch is in flight
  gpu.invalidate(kAsid, ring.ring_va(), ring.ring_va());
  EXPECT_EQ(done(), 0u);
  gpu.advance(1000);
  gpu.run_now();  // the copy is
  EXPECT_EQ(done(), 1u);
  gpu.invalidate(kAsid, kPlace + 63, kPlace + 63);
  EXPECT_EQ(done(), 1u);
  gpu.run_all();
  EXPECT_EQ(done(), 2u);
}

TEST_F(InFlight, all_waits_for_every_engine) {
  Ring other(gpu, 1, {.asid = 2});
  ring.submit(nop());
  gpu.run_now();
  gpu.advance(500);
  other.submit(nop());
  gpu.run_now();
  gpu.invalidate_all();
  gpu.advance(500);
  gpu.run_now();
  EXPECT_EQ(done(), 0u) << "the other engine is not done";
  gpu.advance(500);
  gpu.run_now();
  EXPECT_EQ(done(), 1u);
}

TEST_F(InFlight, an_access_that_a_reset_drops_is_waited_for_as_well) {
  const uint64_t old_page = gpu.map_new(kAsid, kPlace, kPage);
  ring.submit(put(kPlace, 5));
  gpu.run_now();
  gpu.advance(1000);
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.invalidate(kAsid, kPlace, kPlace);
  EXPECT_EQ(done(), 0u);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  gpu.run_all();
  EXPECT_EQ(done(), 1u);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 5u) << "what was in flight happens";
}

TEST(InvalidationEvents, wait_outside_a_full_ring_and_are_bounded) {
  GpuOptions options;
  options.event_lg2 = FIGMENT_EVENT_SIZE_LG2_MIN;
  Gpu gpu(options);
  const uint64_t ring = 1u << FIGMENT_EVENT_SIZE_LG2_MIN;
  for (uint64_t i = 1; i <= ring + FIGMENT_INVAL_DEPTH; ++i) {
    EXPECT_EQ(gpu.invalidate_all(FIGMENT_INVAL_EVENT), i);
    EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_DONE), i) << "a full event ring delays none";
  }
  EXPECT_EQ(gpu.invalidate_all(FIGMENT_INVAL_EVENT), ring + FIGMENT_INVAL_DEPTH);
  EXPECT_NE(gpu.read32(FIGMENT_REG_ERROR) & FIGMENT_ERROR_INVAL_FULL, 0u);
  EXPECT_EQ(gpu.invalidate_all(), ring + FIGMENT_INVAL_DEPTH + 1) << "without a report it may";
  std::vector<uint64_t> seen;
  for (auto events = gpu.events(); !events.empty(); events = gpu.events()) {
    for (const auto& event : events) seen.push_back(event.value);
  }
  ASSERT_EQ(seen.size(), ring + FIGMENT_INVAL_DEPTH);
  for (uint64_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], i + 1);
}

}  // namespace

}  // namespace figment::test
