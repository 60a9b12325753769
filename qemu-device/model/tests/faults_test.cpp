// SPDX-License-Identifier: MIT
// Recoverable faults: which misses stall and report, what RETRY and KILL do,
// and what may happen to a stalled queue in between.
#include "gpu.h"

namespace figment::test {

namespace {

GpuOptions faulting(uint32_t preempt = FIGMENT_PREEMPT_INSTRUCTION) {
  GpuOptions options;
  options.config.faults = true;
  options.config.preempt = preempt;
  return options;
}

class Faults : public OneQueue {
 protected:
  static constexpr uint64_t kHole = 0x40'0000;  // not mapped

  explicit Faults(const GpuOptions& options = faulting()) : OneQueue(options) { recover(); }

  // From now on misses of the address space are for the driver.
  void recover() {
    const uint64_t offset = FIGMENT_REG_ASID_ROOT(kAsid);
    gpu.write64(offset, gpu.read64(offset) | FIGMENT_ROOT_FAULTS);
  }
  void submit_and_run(const Words& words) {
    ring.submit(words);
    gpu.run_now();
  }
  // One fault was reported, and the queue stands.
  void expect_fault(uint64_t address, uint32_t access, uint32_t q = 0) {
    EXPECT_EQ(gpu.queue_state(q), FIGMENT_QUEUE_FAULTED);
    EXPECT_EQ(gpu.queue_code(q), 0u + FIGMENT_CODE_NONE);
    EXPECT_EQ(gpu.queue_address(q), address);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_ENGINE), ~0u);
    const auto events = gpu.events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].type, FIGMENT_EVENT_FAULT);
    EXPECT_EQ(events[0].queue, q);
    EXPECT_EQ(events[0].asid, kAsid);
    EXPECT_EQ(events[0].detail, access);
    EXPECT_EQ(events[0].value, address);
    EXPECT_EQ(events[0].time_ns, gpu.host.now_ns);
  }
  void retry(uint32_t q = 0) {
    gpu.command(q, FIGMENT_QUEUE_FAULT_RETRY);
    gpu.run_now();
  }
};

class CommandFaults : public Faults {
 protected:
  CommandFaults() : Faults(faulting(FIGMENT_PREEMPT_COMMAND)) {}
};

// What stalls

TEST_F(Faults, are_said_in_the_features) {
  EXPECT_NE(gpu.read64(FIGMENT_REG_FEATURES) & FIGMENT_FEATURE_FAULTS, 0u);
}

TEST_F(Faults, of_a_missing_page_stall_and_are_resolved) {
  submit_and_run(fill(kHole, kPage, 7, 3) + fence(5));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_FAULTED) << "it waits for an answer";
  EXPECT_NE(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  const uint64_t bus = gpu.map_new(kAsid, kHole, kPage);
  retry();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_EQ(gpu.queue_address(0), 0u);
  EXPECT_EQ(gpu.host.load<uint64_t>(bus + 8), 7u);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u);
}

TEST_F(Faults, say_what_kind_of_access_it_was) {
  submit_and_run(copy(kData, kHole, 8));
  expect_fault(kHole, 0);
  gpu.map(kAsid, kHole, data_bus, kPage);
  retry();
  submit_and_run(atomic(FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN, kHole + kPage, 1, 0,
                        kHole + 2 * kPage));
  expect_fault(kHole + kPage, FIGMENT_EVENT_ACCESS_WRITE | FIGMENT_EVENT_ACCESS_ATOMIC);
  gpu.map(kAsid, kHole + kPage, data_bus + kPage, kPage);
  retry();
  expect_fault(kHole + 2 * kPage, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.map(kAsid, kHole + 2 * kPage, data_bus + 2 * kPage, kPage);
  retry();
  EXPECT_EQ(data<uint64_t>(kPage), 1u) << "the operation happened once";
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
}

TEST_F(Faults, of_a_write_to_a_read_only_page_are_resolved_by_rights) {
  gpu.map(kAsid, kHole, data_bus, kPage, 0);
  submit_and_run(copy(kData + kPage, kHole, 8));
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY) << "reading is allowed";
  submit_and_run(fill(kHole, 8, 3, 3));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE | FIGMENT_EVENT_ACCESS_DENIED);
  gpu.map(kAsid, kHole, data_bus, kPage);
  retry();
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE | FIGMENT_EVENT_ACCESS_DENIED);  // the TLB
  gpu.invalidate(kAsid, kHole, kHole);
  retry();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_EQ(data<uint64_t>(0), 3u);
}

TEST_F(Faults, of_fetching_are_like_others) {
  Ring other(gpu, 1, {.va = 0x6000'0000'0000});
  gpu.set_pte(kAsid, 0x6000'0000'0000, 0, 0);
  other.submit(release(FIGMENT_RELEASE_WRITE, kData, 4));
  gpu.run_now();
  expect_fault(0x6000'0000'0000, 0, 1);
  gpu.map(kAsid, 0x6000'0000'0000, other.ring_bus(), kPage, 0);
  retry(1);
  EXPECT_EQ(data<uint32_t>(0), 4u);
}

TEST_F(Faults, of_a_table_that_is_missing) {
  submit_and_run(release(FIGMENT_RELEASE_WRITE, 0x7000'0000'0000, 4));
  expect_fault(0x7000'0000'0000, FIGMENT_EVENT_ACCESS_WRITE);
  const uint64_t bus = gpu.map_new(kAsid, 0x7000'0000'0000, kPage);
  retry();
  EXPECT_EQ(gpu.host.load<uint32_t>(bus), 4u);
}

// What stays an error, also here

TEST_F(Faults, do_not_cover_what_no_driver_can_make_right) {
  struct {
    const char* what;
    uint64_t entry;
    uint32_t code;
  } const cases[] = {
      {"malformed", FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | 1ull << 60, FIGMENT_CODE_PAGE_TABLE},
      {"privileged", data_bus | FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_PRIVILEGED,
       FIGMENT_CODE_PERMISSION},
      {"no memory", 0x1000'0000 | FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE,
       FIGMENT_CODE_BUS},
  };
  for (const auto& [what, entry, code] : cases) {
    SCOPED_TRACE(what);
    gpu.set_pte(kAsid, kHole, 0, entry);
    gpu.invalidate_asid(kAsid);
    run_error(release(FIGMENT_RELEASE_WRITE, kHole, 1), code, kHole);
  }
  // A table that does not answer.
  gpu.set_pte(kAsid, 0x7100'0000'0000, 2, 0x1000'0000 | FIGMENT_PTE_VALID);
  run_error(release(FIGMENT_RELEASE_WRITE, 0x7100'0000'0000, 1), FIGMENT_CODE_BUS,
            0x7100'0000'0000);
}

TEST_F(Faults, are_a_matter_of_each_address_space) {
  gpu.map_new(2, kData, kPage);
  Ring other(gpu, 1, {.asid = 2});
  other.submit(release(FIGMENT_RELEASE_WRITE, kHole, 1));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(1), 0u + FIGMENT_CODE_UNMAPPED);
}

TEST_F(Faults, of_a_root_that_was_taken_away_are_errors) {
  submit_and_run(release(FIGMENT_RELEASE_WRITE, kHole, 1));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), 0);
  gpu.invalidate_asid(kAsid);
  retry();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), 0u + FIGMENT_CODE_UNMAPPED);
}

TEST(NoFaults, a_root_that_asks_for_them_is_malformed) {
  Gpu gpu;
  gpu.map_new(1, 0, kPage);
  gpu.write64(FIGMENT_REG_ASID_ROOT(1), gpu.read64(FIGMENT_REG_ASID_ROOT(1)) | FIGMENT_ROOT_FAULTS);
  Ring ring(gpu, 0);
  gpu.write64(FIGMENT_REG_ASID_ROOT(1), gpu.read64(FIGMENT_REG_ASID_ROOT(1)) | FIGMENT_ROOT_FAULTS);
  ring.submit(nop());
  gpu.run_all();
  EXPECT_EQ(gpu.queue_code(0), 0u + FIGMENT_CODE_PAGE_TABLE);
  gpu.command(0, FIGMENT_QUEUE_FAULT_RETRY);
  gpu.command(0, FIGMENT_QUEUE_FAULT_KILL);
  EXPECT_EQ(gpu.guest_errors(), 2u);
}

// Answers

TEST_F(Faults, that_nobody_resolves_come_again) {
  submit_and_run(release(FIGMENT_RELEASE_WRITE, kHole, 1));
  for (int i = 0; i < 5; ++i) {
    expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
    gpu.advance(100);
    retry();
  }
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
}

TEST_F(Faults, are_answered_by_killing_the_queue) {
  submit_and_run(nop() + release(FIGMENT_RELEASE_WRITE, kHole, 1));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.command(0, FIGMENT_QUEUE_FAULT_KILL);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), 0u + FIGMENT_CODE_KILLED);
  EXPECT_EQ(gpu.queue_address(0), kHole);
  gpu.run_now();
  const auto errors = gpu.events_of(FIGMENT_EVENT_QUEUE_ERROR);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].detail, 0u + FIGMENT_CODE_KILLED);
  EXPECT_EQ(ring.load().state, 0u + FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(ring.load().read, 8u);
  gpu.command(0, FIGMENT_QUEUE_FAULT_RETRY);
  EXPECT_EQ(gpu.guest_errors(), 1u);
}

TEST_F(Faults, in_the_middle_of_a_copy_go_on_there) {
  const uint64_t first = gpu.map_new(kAsid, kHole, kPage);
  number_bytes();
  submit_and_run(copy(kHole, kData, 3 * kPage));
  expect_fault(kHole + kPage, FIGMENT_EVENT_ACCESS_WRITE);
  EXPECT_EQ(std::memcmp(gpu.host.memory(first, kPage), bytes(0, kPage).data(), kPage), 0)
      << "everything before it has happened";
  gpu.host.zero(first, kPage);
  const uint64_t second = gpu.map_new(kAsid, kHole + kPage, 2 * kPage);
  retry();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_EQ(std::memcmp(gpu.host.memory(second, 2 * kPage), bytes(kPage, 2 * kPage).data(),
                        2 * kPage),
            0);
  EXPECT_EQ(gpu.host.load<uint64_t>(first), 0u) << "and nothing of it again";
}

TEST_F(Faults, of_both_sides_of_a_copy_come_one_after_the_other) {
  submit_and_run(copy(kHole, kHole + 8 * kPage, 64));
  expect_fault(kHole + 8 * kPage, 0);
  gpu.map(kAsid, kHole + 8 * kPage, data_bus, kPage);
  retry();
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.map(kAsid, kHole, data_bus + kPage, kPage);
  // The first one goes meanwhile: it faults again, since nothing was in flight.
  gpu.set_pte(kAsid, kHole + 8 * kPage, 0, 0);
  gpu.invalidate_asid(kAsid);
  retry();
  expect_fault(kHole + 8 * kPage, 0);
}

TEST_F(Faults, of_a_pointer_chase_stop_at_every_page) {
  constexpr uint64_t kPages = 20;
  const uint64_t bus = gpu.allocate(kPages * kPage);
  for (uint64_t i = 0; i < kPages; ++i) {
    gpu.host.store<uint64_t>(bus + i * kPage, i + 1 < kPages ? kHole + (i + 1) * kPage : 0);
  }
  submit_and_run(chase(kHole, ~0ull, kData));
  for (uint64_t i = 0; i < kPages; ++i) {
    expect_fault(kHole + i * kPage, 0);
    gpu.map(kAsid, kHole + i * kPage, bus + i * kPage, kPage);
    retry();
  }
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
}

// Others

TEST_F(Faults, of_many_queues_at_once_leave_the_engines_free) {
  std::vector<std::unique_ptr<Ring>> rings;
  constexpr uint32_t kStalled = 12;
  for (uint32_t q = 1; q <= kStalled; ++q) {
    rings.push_back(std::make_unique<Ring>(gpu, q));
    // Half of them on one page, the others each on its own.
    rings.back()->submit(fill(kHole + (q % 2) * q * kPage, 8, q, 3));
  }
  gpu.run_now();
  for (uint32_t q = 1; q <= kStalled; ++q) EXPECT_EQ(gpu.queue_state(q), FIGMENT_QUEUE_FAULTED);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FAULT).size(), kStalled);
  run_ok(release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.map_new(kAsid, kHole, (kStalled + 1) * kPage);
  for (uint32_t q = 1; q <= kStalled; ++q) gpu.command(q, FIGMENT_QUEUE_FAULT_RETRY);
  gpu.run_now();
  for (uint32_t q = 1; q <= kStalled; ++q) EXPECT_EQ(gpu.queue_state(q), FIGMENT_QUEUE_READY);
  EXPECT_TRUE(gpu.events().empty());
}

TEST_F(Faults, do_not_hold_up_an_invalidation) {
  submit_and_run(copy(kHole, kData, 8));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  const uint64_t seq = gpu.invalidate_all();
  EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_DONE), seq);
}

TEST_F(Faults, wait_for_space_and_are_not_lost) {
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  submit_and_run(fill(kHole, 8, 1, 3) + fence(1));
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_FAULTED);
  EXPECT_EQ(gpu.queue_address(0), kHole);
  gpu.map_new(kAsid, kHole, kPage);
  // A driver that answers before it has the report: the queue goes on when that is in the ring.
  retry();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 0u);
  gpu.bring_up();
  gpu.run_now();
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_FAULT);
  EXPECT_EQ(events[1].type, FIGMENT_EVENT_FENCE);
}

// Doorbells, resets and preemption of a queue that stands

TEST_F(Faults, leave_the_doorbell_in_use) {
  submit_and_run(fill(kHole, 8, 1, 3));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  submit_and_run(release(FIGMENT_RELEASE_WRITE, kData, 8));
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_FAULTED);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_WRITE), ring.write());
  gpu.map_new(kAsid, kHole, kPage);
  retry();
  EXPECT_EQ(data<uint32_t>(0), 8u);
  submit_and_run(fill(kHole + kPage, 8, 1, 3));
  expect_fault(kHole + kPage, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.doorbell(0, 4);
  EXPECT_EQ(gpu.queue_code(0), 0u + FIGMENT_CODE_DOORBELL);
}

TEST_F(Faults, end_with_a_reset) {
  submit_and_run(nop() + fill(kHole, 8, 1, 3));
  gpu.events();
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  EXPECT_EQ(gpu.queue_address(0), 0u);
  EXPECT_EQ(ring.load().read, 8u);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_QUEUE_RESET).size(), 1u);
  ring.start();
  run_ok(nop());
  submit_and_run(fill(kHole, 8, 1, 3));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
}

TEST_F(Faults, and_preemption_the_fault_comes_again_after_it) {
  submit_and_run(fill(kHole, 8, 1, 3));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_PREEMPTED).size(), 1u);
  gpu.command(0, FIGMENT_QUEUE_FAULT_RETRY);
  EXPECT_EQ(gpu.guest_errors(), 1u) << "what is not FAULTED cannot be retried";
  gpu.command(0, FIGMENT_QUEUE_RESUME);
  gpu.run_now();
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.map_new(kAsid, kHole, kPage);
  gpu.command(0, FIGMENT_QUEUE_RESUME);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
}

TEST_F(Faults, on_the_way_to_a_preemption_are_none) {
  GpuOptions options = faulting();
  options.config.preemption = {.min_ns = 500, .max_ns = 500};
  Gpu slow(options);
  slow.map_new(kAsid, kData, kPage);
  const uint64_t root = FIGMENT_REG_ASID_ROOT(kAsid);
  Ring work(slow, 0);
  slow.write64(root, slow.read64(root) | FIGMENT_ROOT_FAULTS);
  work.submit(spin(100) + fill(kHole, 8, 1, 3));
  slow.run_now();
  slow.command(0, FIGMENT_QUEUE_PREEMPT);
  slow.run_all(10'000);
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  const auto events = slow.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_PREEMPTED);
}

TEST_F(CommandFaults, in_the_middle_of_a_packet_come_before_the_preemption) {
  submit_and_run(fill(kHole, 8, 1, 3) + release(FIGMENT_RELEASE_WRITE, kData, 1));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_FAULTED) << "the packet cannot be left";
  gpu.map_new(kAsid, kHole, kPage);
  gpu.command(0, FIGMENT_QUEUE_FAULT_RETRY);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(data<uint32_t>(0), 0u);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_PREEMPTED).size(), 1u);
}

TEST_F(CommandFaults, come_also_while_the_preemption_is_under_way) {
  GpuOptions options = faulting(FIGMENT_PREEMPT_COMMAND);
  options.config.access = {.min_ns = 100, .max_ns = 100};
  Gpu slow(options);
  const uint64_t bus = slow.map_new(kAsid, kData, kPage);
  const uint64_t root = FIGMENT_REG_ASID_ROOT(kAsid);
  Ring work(slow, 0);
  slow.write64(root, slow.read64(root) | FIGMENT_ROOT_FAULTS);
  slow.host.store<uint64_t>(bus, kHole);
  work.submit(chase(kData, 2, 0) + release(FIGMENT_RELEASE_WRITE, kData, 1));
  slow.run_now();
  slow.advance(100);
  slow.run_now();  // the packet is here, its first access in flight
  slow.command(0, FIGMENT_QUEUE_PREEMPT);
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_STOPPING);
  slow.run_all(10'000);
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_FAULTED);
  EXPECT_EQ(slow.events_of(FIGMENT_EVENT_FAULT).size(), 1u);
  // Killing it is an error, and no preemption any more.
  slow.command(0, FIGMENT_QUEUE_FAULT_KILL);
  slow.run_all(10'000);
  const auto events = slow.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_ERROR);
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_ERROR);
}

TEST_F(CommandFaults, of_fetching_need_no_answer_before_the_preemption) {
  Ring other(gpu, 1, {.va = 0x6000'0000'0000});
  gpu.set_pte(kAsid, 0x6000'0000'0000, 0, 0);
  other.submit(nop());
  gpu.run_now();
  expect_fault(0x6000'0000'0000, 0, 1);
  gpu.command(1, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_PREEMPTED);
}

// An address space goes, another one gets its number, and a report of the first is still there.
TEST_F(Faults, of_an_address_space_whose_number_is_used_again) {
  submit_and_run(fill(kHole, 8, 1, 3));
  expect_fault(kHole, FIGMENT_EVENT_ACCESS_WRITE);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  gpu.events();
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), 0);
  gpu.invalidate_asid(kAsid);
  const uint64_t other = gpu.map_new(kAsid, kHole, kPage);
  Ring fresh(gpu, 2, {.va = 0x6100'0000'0000});
  fresh.submit(fill(kHole, 8, 9, 3));
  gpu.run_now();
  EXPECT_EQ(gpu.host.load<uint64_t>(other), 9u);
  EXPECT_TRUE(gpu.events().empty());
}

}  // namespace

}  // namespace figment::test
