// SPDX-License-Identifier: MIT
// What each kind of injection does, and what it leaves alone. When rules strike
// is in injection_test.cpp.
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "gpu.h"

namespace figment::test {

namespace {

using Vectors = std::vector<unsigned>;
constexpr unsigned kEvents = FIGMENT_VECTOR_EVENTS, kError = FIGMENT_VECTOR_ERROR;

GpuOptions with_preemption() {
  GpuOptions options;
  options.config.preempt = FIGMENT_PREEMPT_INSTRUCTION;
  return options;
}

class Misbehaviour : public OneQueue {
 protected:
  Misbehaviour() : OneQueue(with_preemption()) {}

  Vectors interrupts() { return std::exchange(gpu.host.interrupts, {}); }
  void submit_now(const Words& words) {
    ring.submit(words);
    gpu.run_now();
  }
  // The model gets time at that moment, and not before.
  void wait_until(uint64_t ns) {
    gpu.host.now_ns = ns;
    gpu.run_now();
  }
  uint64_t now() { return gpu.host.now_ns; }
};

// Interrupts

TEST_F(Misbehaviour, a_lost_interrupt_leaves_its_event_in_the_ring) {
  const unsigned rule = gpu.inject("interrupt-lost");
  run_ok(fence(1) + fence(2));
  EXPECT_EQ(interrupts(), Vectors{}) << "the ring was not empty for the second";
  EXPECT_EQ(gpu.strikes(rule), 1u);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 2u);
  run_ok(fence(3));
  EXPECT_EQ(interrupts(), Vectors{kEvents});
}

TEST_F(Misbehaviour, interrupts_are_lost_by_vector) {
  gpu.inject("interrupt-lost,vector=1,every=1");
  run_ok(fence(1));
  EXPECT_EQ(interrupts(), Vectors{kEvents});
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  gpu.write64(FIGMENT_REG_EVENT_BASE, 0x10'0000);  // where nothing answers
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 6);
  run_ok(fence(2));
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_EVENT_BUS);
  EXPECT_EQ(interrupts(), Vectors{});
}

TEST_F(Misbehaviour, interrupts_are_lost_by_queue_and_event) {
  gpu.inject("interrupt-lost,queue=0,event=queue-reset,every=1");
  Ring other(gpu, 1);
  run_ok(fence(1));
  gpu.events();
  gpu.command(1, FIGMENT_QUEUE_RESET);
  gpu.events();
  EXPECT_EQ(interrupts(), (Vectors{kEvents, kEvents}));
  gpu.command(0, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(interrupts(), Vectors{});
  EXPECT_EQ(gpu.strikes(0), 1u);
  // That there is more is nobody's event.
  gpu.write32(FIGMENT_REG_EVENT_READ, gpu.read32(FIGMENT_REG_EVENT_READ));
  EXPECT_EQ(interrupts(), Vectors{kEvents});
}

TEST_F(Misbehaviour, a_late_interrupt_comes_so_much_later) {
  gpu.inject("interrupt-late,value=5000");
  const uint64_t start = now();
  submit_now(fence(1));
  EXPECT_EQ(gpu.run_now().next_ns, start + 5000);
  wait_until(start + 4999);
  EXPECT_EQ(interrupts(), Vectors{});
  wait_until(start + 5000);
  EXPECT_EQ(interrupts(), Vectors{kEvents});
  gpu.events();
  submit_now(fence(2));
  EXPECT_EQ(interrupts(), Vectors{kEvents}) << "only once";
}

TEST_F(Misbehaviour, a_duplicated_interrupt_comes_again) {
  gpu.inject("interrupt-duplicated,value=300");
  const uint64_t start = now();
  submit_now(fence(1));
  EXPECT_EQ(interrupts(), Vectors{kEvents});
  gpu.events();
  gpu.advance(100);
  submit_now(fence(2));
  EXPECT_EQ(interrupts(), Vectors{kEvents}) << "it does not wait for the other";
  EXPECT_EQ(gpu.run_now().next_ns, start + 300);
  wait_until(start + 299);
  EXPECT_EQ(interrupts(), Vectors{});
  wait_until(start + 300);
  EXPECT_EQ(interrupts(), Vectors{kEvents});
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
}

class SlowMisbehaviour : public OneQueue {
 protected:
  SlowMisbehaviour() : OneQueue(with_slow_interrupts()) {}

  static GpuOptions with_slow_interrupts() {
    GpuOptions options;
    options.config.interrupt = {.min_ns = 100, .max_ns = 100};
    return options;
  }
};

TEST_F(SlowMisbehaviour, lateness_and_a_second_message_come_on_top_of_the_latency) {
  gpu.inject("interrupt-late,value=50");
  gpu.inject("interrupt-duplicated,value=300");
  const uint64_t start = gpu.host.now_ns;
  ring.submit(fence(1));
  gpu.run_now();
  EXPECT_EQ(gpu.run_now().next_ns, start + 150);
  gpu.host.now_ns = start + 150;
  EXPECT_EQ(gpu.run_now().next_ns, start + 450);
  EXPECT_EQ(gpu.host.interrupts, Vectors{kEvents});
  gpu.host.now_ns = start + 450;
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
  EXPECT_EQ(gpu.host.interrupts, (Vectors{kEvents, kEvents}));
}

TEST_F(Misbehaviour, a_reset_takes_the_second_message_along) {
  gpu.inject("interrupt-duplicated,value=300");
  submit_now(fence(1));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  interrupts();
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
  wait_until(now() + 1000);
  EXPECT_EQ(interrupts(), Vectors{});
}

TEST_F(Misbehaviour, a_spurious_interrupt_has_no_cause) {
  const uint64_t start = now();
  gpu.inject("interrupt-spurious,vector=1,every=2,value=1000");
  EXPECT_EQ(gpu.run_now().next_ns, start + 1000);
  wait_until(start + 1000);
  EXPECT_EQ(interrupts(), Vectors{});
  wait_until(start + 2000);
  EXPECT_EQ(interrupts(), Vectors{kError});
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), 0u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS), FIGMENT_STATUS_IDLE);
  EXPECT_TRUE(gpu.events().empty());
  // A period that nobody has waited for is none.
  wait_until(start + 100'000);
  wait_until(start + 100'999);
  EXPECT_EQ(interrupts(), Vectors{});
  wait_until(start + 101'000);
  EXPECT_EQ(interrupts(), Vectors{kError});
}

TEST_F(Misbehaviour, a_spurious_interrupt_is_one_for_events_unless_told) {
  gpu.inject("interrupt-spurious,value=1000");
  wait_until(now() + 5000);
  EXPECT_EQ(interrupts(), Vectors{kEvents});
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER) << "once";
}

// Hangs

TEST_F(Misbehaviour, a_hung_packet_never_ends_and_holds_its_engine) {
  gpu.inject("hang,after=1");
  submit_now(fill(kData, 8, 1) + fill(kData, 8, 2) + fence(1));
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER) << "it takes no time of the host";
  wait_until(now() + 1'000'000'000);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_EQ(gpu.queue_engine(0), 0u);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 32u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS), 0u);
  EXPECT_EQ(data(0), 0x0101010101010101u);
  EXPECT_TRUE(gpu.events().empty());
  // Others go on, and so do invalidations.
  Ring other(gpu, 1);
  other.submit(fence(5));
  const uint64_t sequence = gpu.invalidate_asid(kAsid);
  gpu.run_now();
  EXPECT_EQ(gpu.read64(FIGMENT_REG_INVAL_DONE), sequence);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u);
}

TEST_F(Misbehaviour, a_hang_does_not_give_way) {
  gpu.inject("hang,queue=0");
  submit_now(fill(kData, 8, 1));
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  wait_until(now() + 1'000'000'000);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  // Three of a higher priority share the engine that is left.
  std::vector<std::unique_ptr<Ring>> rings;
  for (uint32_t q = 1; q < 4; ++q) {
    rings.push_back(std::make_unique<Ring>(gpu, q, Ring::Options{.priority = 3}));
    rings.back()->submit(spin(1000) + fence(q));
  }
  gpu.run_all();
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 3u);
  EXPECT_EQ(gpu.queue_engine(0), 0u);
}

TEST(Hang, does_not_give_way_when_it_begins) {
  GpuOptions options = with_preemption();
  options.config.engines = 1;
  options.config.access = {.min_ns = 100, .max_ns = 100};
  Gpu gpu(options);
  Ring one(gpu, 0), better(gpu, 1, Ring::Options{.priority = 3});
  gpu.inject("hang,queue=0");
  one.submit(nop(1));
  gpu.run_now();  // the packet is on its way
  better.submit(fence(1));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_engine(0), 0u);
  EXPECT_TRUE(gpu.events().empty());
}

TEST_F(Misbehaviour, a_hang_ends_with_a_reset_of_its_queue) {
  gpu.inject("hang");
  submit_now(fill(kData, 8, 1) + fence(1));
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_QUEUE_RESET).size(), 1u);
  EXPECT_EQ(data(0), 0u);
  ring.start();
  run_ok(fill(kData, 8, 3));
}

TEST_F(Misbehaviour, a_hang_ends_with_a_reset_of_the_device) {
  gpu.inject("hang");
  submit_now(fill(kData, 8, 1));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS), FIGMENT_STATUS_IDLE);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  gpu.bring_up();
  // An engine that has forgotten it.
  Ring again(gpu, 0, Ring::Options{.asid = 2});
  again.submit(fence(1));
  gpu.run_now();
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u);
}

TEST_F(Misbehaviour, a_hang_ends_with_an_error_of_its_queue) {
  gpu.inject("hang");
  submit_now(fill(kData, 8, 1));
  gpu.doorbell(0, 4);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  ring.start();
  run_ok(fill(kData, 8, 3));
}

TEST_F(Misbehaviour, packets_hang_by_address) {
  const auto address = std::to_string(ring.ring_va() + 40);
  gpu.inject("hang,address=" + address);
  submit_now(nop(1) + fill(kData, 8, 1) + fill(kData, 8, 2));
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 40u);
  EXPECT_TRUE(gpu.inject_report().contains("struck 1 of 1"));
}

TEST_F(Misbehaviour, packets_hang_by_engine) {
  gpu.inject("hang,engine=1");
  run_ok(nop(1));
  EXPECT_EQ(gpu.strikes(0), 0u);
  ring.submit(spin(1000));
  gpu.run_now();
  Ring other(gpu, 1);
  other.submit(nop(1));
  gpu.run_all();
  EXPECT_EQ(gpu.strikes(0), 1u);
  EXPECT_EQ(gpu.queue_engine(1), 1u);
}

// Preemption

TEST_F(Misbehaviour, a_stuck_preemption_is_not_answered) {
  gpu.inject("preempt-stuck");
  submit_now(spin(1'000'000));
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  wait_until(now() + 60'000'000'000);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  EXPECT_TRUE(gpu.events().empty());
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  ring.start();
  submit_now(spin(1'000'000));
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED) << "only once";
}

TEST_F(Misbehaviour, an_idle_queue_gets_stuck_as_well) {
  gpu.inject("preempt-stuck,queue=0");
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
}

TEST_F(Misbehaviour, a_slow_preemption_takes_so_much_longer) {
  gpu.inject("preempt-slow,value=700,engine=0");
  submit_now(spin(1'000'000));
  const uint64_t start = now();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  wait_until(start + 699);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  wait_until(start + 700);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_PREEMPTED).size(), 1u);
}

// The event ring

TEST_F(Misbehaviour, a_ring_that_is_as_full_makes_reports_wait_and_loses_none) {
  gpu.inject("event-full,value=2000");
  const uint64_t start = now();
  submit_now(fence(1) + nop(1));
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  gpu.command(1, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_EVENT_FULL);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_STALLS), 2u) << "not only the report that was struck";
  EXPECT_EQ(interrupts(), Vectors{kError});
  EXPECT_EQ(gpu.run_now().next_ns, start + 2000);
  wait_until(start + 1999);
  EXPECT_TRUE(gpu.events().empty());
  wait_until(start + 2000);
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_FENCE);
  EXPECT_EQ(events[0].value, 1u);
  EXPECT_EQ(events[1].type, FIGMENT_EVENT_QUEUE_RESET);
  EXPECT_EQ(interrupts(), Vectors{kEvents});
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_STALLS), 2u);
}

TEST_F(Misbehaviour, a_ring_that_is_as_full_has_space_when_something_is_consumed) {
  gpu.inject("event-full,value=2000");
  submit_now(fence(1));
  EXPECT_EQ(gpu.read32(FIGMENT_REG_EVENT_WRITE), 0u);
  gpu.write32(FIGMENT_REG_EVENT_READ, 0);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u);
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
}

TEST_F(Misbehaviour, a_ring_that_is_turned_on_anew_is_empty) {
  gpu.inject("event-full,every=1,value=2000");
  submit_now(fence(1));
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 6);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u);
  submit_now(fence(2));
  gpu.inject_clear();
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  gpu.bring_up();
  gpu.command(0, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_QUEUE_RESET).size(), 1u);
}

TEST_F(Misbehaviour, each_report_is_one_opportunity_for_a_full_ring) {
  gpu.inject("event-full,every=1,value=1000");
  submit_now(fence(1));
  wait_until(now() + 1000);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u) << "and not one each time";
  EXPECT_EQ(gpu.strikes(0), 1u);
  // A ring that is off or really full takes none of them.
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  submit_now(fence(2));
  EXPECT_EQ(gpu.strikes(0), 1u);
}

TEST_F(Misbehaviour, a_ring_is_as_full_by_type_and_queue) {
  gpu.inject("event-full,event=queue-reset,queue=1,value=1000");
  submit_now(fence(1));
  gpu.command(2, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.events().size(), 2u);
  gpu.command(1, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.events().size(), 0u);
  EXPECT_EQ(gpu.strikes(0), 1u);
}

// Memory

struct MemoryCase {
  const char* name;
  Words words;  // with one access to kTarget
};

constexpr uint64_t kTarget = 0x20'0000, kElsewhere = 0x21'0000;

const MemoryCase kReads[] = {
    {"copy", copy(kElsewhere, kTarget, 64)},     {"long_copy", copy(kElsewhere, kTarget, 3000)},
    {"wait", wait(FIGMENT_WAIT_EQ, kTarget, 0)}, {"chase", chase(kTarget, 1, 0)},
    {"atomic", atomic(0, kTarget, 1)},           {"indirect", indirect(kTarget, 8)},
};
const MemoryCase kWrites[] = {
    {"fill", fill(kTarget, 64, 1)},          {"long_fill", fill(kTarget, 3000, 1)},
    {"copy", copy(kTarget, kElsewhere, 64)}, {"release", release(1, kTarget, 1)},
    {"timestamp", timestamp(kTarget)},       {"chase", chase(0, 0, kTarget)},
};

TEST_F(Misbehaviour, system_memory_does_not_answer) {
  const uint64_t target = gpu.map_new(kAsid, kTarget, kPage);
  gpu.map_new(kAsid, kElsewhere, kPage);
  const std::string page = std::to_string(target) + "-" + std::to_string(target + kPage - 1);
  for (const auto& cases : {std::span(kReads), std::span(kWrites)}) {
    for (const MemoryCase& one : cases) {
      SCOPED_TRACE(one.name);
      gpu.inject_clear();
      gpu.inject("bus-error,address=" + page);
      run_error(one.words, FIGMENT_CODE_BUS, kTarget);
      EXPECT_EQ(gpu.strikes(0), 1u);
      EXPECT_EQ(gpu.host.load<uint64_t>(target), 0u) << "nothing has happened";
    }
  }
  run_ok(fill(kTarget, 8, 1) + copy(kElsewhere, kTarget, 8));
}

TEST_F(Misbehaviour, an_access_fails_when_any_byte_of_it_is_aimed_at) {
  const uint64_t target = gpu.map_new(kAsid, kTarget, kPage);
  gpu.inject("bus-error,every=1,address=" + std::to_string(target + 63) + "-" +
             std::to_string(target + 70));
  run_ok(fill(kTarget, 63, 1) + fill(kTarget + 71, 9, 1));
  EXPECT_EQ(gpu.strikes(0), 0u);
  run_error(fill(kTarget, 64, 1), FIGMENT_CODE_BUS, kTarget);
  run_error(fill(kTarget + 70, 9, 1), FIGMENT_CODE_BUS, kTarget + 70);
}

TEST_F(Misbehaviour, reads_of_vram_fail_and_writes_do_not) {
  gpu.map(kAsid, kTarget, 0x3000, kPage, Gpu::kUser | FIGMENT_PTE_VRAM);
  gpu.map_new(kAsid, kElsewhere, kPage);
  gpu.inject("vram-error,address=0x3000-0x3fff");
  for (const MemoryCase& one : kWrites) {
    run_ok(one.words);
    EXPECT_EQ(gpu.strikes(0), 0u) << one.name;
  }
  run_ok(fill(kTarget, kPage, 0));
  for (const MemoryCase& one : kReads) {
    SCOPED_TRACE(one.name);
    gpu.inject_clear();
    gpu.inject("vram-error,address=0x3000-0x3fff");
    run_error(one.words, FIGMENT_CODE_BUS, kTarget);
    EXPECT_EQ(gpu.strikes(0), 1u);
  }
  // And only there; system memory at the same address is another place.
  gpu.inject_clear();
  gpu.inject("vram-error,address=0x4000-0xffffffffffff,every=1");
  run_ok(copy(kElsewhere, kTarget, 8) + copy(kElsewhere + 8, kElsewhere, 8));
  gpu.inject("bus-error,address=0x3000-0x3fff,every=1");
  run_ok(copy(kElsewhere, kTarget, 8));
}

TEST_F(Misbehaviour, the_ring_and_page_tables_are_memory_too) {
  const auto at = [&](const char* kind, uint64_t bus) {
    gpu.inject_clear();
    gpu.inject(std::string(kind) + ",address=" + std::to_string(bus) + "-" +
               std::to_string(bus + kPage - 1));
  };
  at("bus-error", ring.ring_bus());
  run_error(nop(1), FIGMENT_CODE_BUS, ring.ring_va());
  gpu.invalidate_all();
  at("bus-error", gpu.pte_address(kAsid, kData, 0) & ~(kPage - 1));
  run_error(fill(kData, 8, 1), FIGMENT_CODE_BUS, kData);
  gpu.vram_tables = true;
  gpu.map_new(2, kData, kPage);
  Ring other(gpu, 1, Ring::Options{.asid = 2});
  const uint64_t table = gpu.read64(FIGMENT_REG_ASID_ROOT(2)) & FIGMENT_ROOT_ADDRESS;
  at("vram-error", table);
  other.submit(nop(1));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_code(1), FIGMENT_CODE_BUS);
}

TEST_F(Misbehaviour, descriptors_and_the_event_ring_do_not_answer) {
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.inject("bus-error,queue=0");
  ring.start();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_DESCRIPTOR);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  ring.start();
  gpu.inject("bus-error,address=" + std::to_string(ring.descriptor() + 32));
  run_ok(nop(1));  // retired, and that is not written
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_DESC_BUS);
  EXPECT_EQ(ring.load().read, 0u);
  gpu.inject("bus-error,queue=0,address=" + std::to_string(ring.descriptor() + 64));  // save area
  gpu.write32(FIGMENT_REG_ERROR, FIGMENT_ERROR_DESC_BUS);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(gpu.strikes(2), 1u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_DESC_BUS);
  gpu.inject("bus-error,queue=0,after=1");  // the save area, which RESUME reads
  gpu.command(0, FIGMENT_QUEUE_RESUME);
  EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_DESCRIPTOR);
  EXPECT_EQ(gpu.strikes(3), 1u);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  ring.start();
  gpu.write32(FIGMENT_REG_ERROR, FIGMENT_ERROR_DESC_BUS);
  gpu.inject("bus-error,queue=0");  // what RESET writes
  gpu.command(0, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_DESC_BUS);
  gpu.events();
  const uint64_t events = gpu.read64(FIGMENT_REG_EVENT_BASE);
  gpu.inject("bus-error,address=" + std::to_string(events) + "-" + std::to_string(events + 8191));
  gpu.command(0, FIGMENT_QUEUE_RESET);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ERROR), FIGMENT_ERROR_EVENT_BUS | FIGMENT_ERROR_DESC_BUS);
}

TEST(Memory, fails_on_behalf_of_a_queue_while_the_device_is_being_reset) {
  GpuOptions options;
  options.config.access = {.min_ns = 100, .max_ns = 100};
  Gpu gpu(options);
  const uint64_t target = gpu.map_new(1, kTarget, kPage);
  Ring ring(gpu, 0);
  ring.submit(fill(kTarget, 8, 1));
  gpu.run_now();
  gpu.advance(100);
  gpu.run_now();  // the packet is here, its access in flight
  gpu.inject("bus-error,queue=0,engine=0");
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  gpu.run_all();
  EXPECT_EQ(gpu.strikes(0), 1u);
  EXPECT_EQ(gpu.host.load<uint64_t>(target), 0u);
}

TEST_F(Misbehaviour, memory_fails_by_queue_and_engine) {
  gpu.inject("bus-error,queue=1,every=1,after=1");  // START is let pass
  gpu.inject("bus-error,engine=1,every=1");
  run_ok(fill(kData, 64, 1) + fence(1));
  EXPECT_EQ(gpu.strikes(0) + gpu.strikes(1), 0u);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u) << "the event ring is no queue's";
  Ring other(gpu, 1);
  other.submit(nop(1));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_code(1), FIGMENT_CODE_BUS);
  gpu.inject_clear();
  gpu.inject("bus-error,engine=0");
  run_error(fill(kData, 64, 1), FIGMENT_CODE_BUS);
}

// Completions

TEST_F(Misbehaviour, a_corrupt_completion_is_another_value) {
  gpu.inject("completion-corrupt,every=1,value=0xff00");
  run_ok(release(3 | FIGMENT_RELEASE_EVENT, kData, 0x1234) + release(1, kData + 8, 0x55));
  EXPECT_EQ(data(0), 0x1234u ^ 0xff00u);
  EXPECT_EQ(data(8), 0x55u ^ 0xff00u);
  const auto events = gpu.events_of(FIGMENT_EVENT_FENCE);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].value, 0x1234u ^ 0xff00u);
  EXPECT_EQ(gpu.strikes(0), 3u) << "the store and the report are two";
  run_ok(fill(kData, 8, 7, 3) + atomic(FIGMENT_ATOMIC_64, kData, 1));
  EXPECT_EQ(data(0), 8u) << "other packets complete nothing";
}

TEST_F(Misbehaviour, completions_are_corrupt_by_event_or_address) {
  gpu.inject("completion-corrupt,event=fence,every=1,value=1");
  gpu.inject("completion-corrupt,address=" + std::to_string(kData + 8) + ",every=1,value=2");
  run_ok(release(3 | FIGMENT_RELEASE_EVENT, kData, 0) + release(3, kData + 8, 0));
  EXPECT_EQ(data(0), 0u);
  EXPECT_EQ(data(8), 2u);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).at(0).value, 1u);
  gpu.inject_clear();
  gpu.inject("completion-corrupt,queue=1,value=1");
  gpu.inject("completion-corrupt,engine=1,value=1");
  run_ok(release(3 | FIGMENT_RELEASE_EVENT, kData, 0));
  EXPECT_EQ(gpu.strikes(0) + gpu.strikes(1), 0u);
}

// Removal

class Removal : public Misbehaviour {
 protected:
  // All that a guest can do to a device.
  void expect_nothing_is_there() {
    EXPECT_TRUE(gpu.removed());
    const auto ram = gpu.host.ram;
    const auto vram = gpu.host.vram;
    gpu.host.interrupts.clear();
    const auto traces = gpu.host.traces.size();
    EXPECT_EQ(gpu.read64(FIGMENT_REG_FEATURES), ~0ull);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_ID), ~0u);
    EXPECT_EQ(gpu.read(3, 1) & 0xff, 0xffu) << "also what is an error otherwise";
    EXPECT_EQ(gpu.doorbell_read(0, 8), ~0ull);
    gpu.write64(FIGMENT_REG_SCRATCH, 5);
    gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
    gpu.doorbell(0, ring.write());
    gpu.command(0, FIGMENT_QUEUE_RESET);
    gpu.run_all();
    gpu.advance(1'000'000'000);
    const figment_model_progress progress = gpu.run_steps(1000);
    EXPECT_EQ(progress.steps, 0u);
    EXPECT_EQ(progress.next_ns, FIGMENT_MODEL_NEVER);
    EXPECT_TRUE(gpu.host.ram == ram);
    EXPECT_TRUE(gpu.host.vram == vram);
    EXPECT_EQ(interrupts(), Vectors{});
    EXPECT_EQ(gpu.host.traces.size(), traces);
  }
};

TEST_F(Removal, happens_at_an_access_and_from_then_on_nothing_is_there) {
  gpu.inject("removed,after=1");
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ID), FIGMENT_ID);
  EXPECT_FALSE(gpu.removed());
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ID), ~0u);
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_INJECTED), 1u);
  ring.push(fill(kData, 64, 1) + fence(1));
  expect_nothing_is_there();
}

TEST_F(Removal, happens_at_a_write) {
  gpu.inject("removed");
  gpu.write64(FIGMENT_REG_SCRATCH, 5);
  expect_nothing_is_there();
}

TEST_F(Removal, happens_at_a_doorbell) {
  gpu.inject("removed,queue=0");
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ID), FIGMENT_ID);
  gpu.doorbell(1, 0);
  EXPECT_FALSE(gpu.removed());
  ring.submit(fill(kData, 64, 1));
  expect_nothing_is_there();
}

TEST_F(Removal, happens_between_two_packets) {
  gpu.inject("removed,engine=0,after=1");
  gpu.inject("interrupt-lost,vector=1,every=1");
  ring.push(fill(kData, 64, 1) + fill(kData, 64, 2) + fence(1));
  ring.ring();
  gpu.host.interrupts.clear();
  const uint64_t read = ring.load().read;
  gpu.run_all();
  EXPECT_EQ(data(0), 0x0101010101010101u);
  EXPECT_EQ(ring.load().read, read + 32) << "the rest of that call has reached nobody";
  EXPECT_EQ(interrupts(), Vectors{});
  EXPECT_EQ(gpu.strikes(1), 0u) << "nor do other rules strike there";
  expect_nothing_is_there();
}

TEST_F(Removal, leaves_work_undone_and_what_is_put_back_knows_nothing_of_it) {
  submit_now(spin(1000) + fill(kData, 64, 1));
  gpu.inject("removed");
  (void)gpu.read32(FIGMENT_REG_ID);
  expect_nothing_is_there();
  gpu.inject_clear();
  EXPECT_EQ(gpu.read32(FIGMENT_REG_CONTROL), 0u);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  gpu.run_all();
  EXPECT_EQ(data(0), 0u);
}

TEST_F(Removal, outlives_a_pci_reset_and_a_restore_and_ends_with_a_clear) {
  gpu.inject("removed");
  (void)gpu.read32(FIGMENT_REG_ID);
  gpu.pci_reset();
  expect_nothing_is_there();
  gpu.replace_model();
  expect_nothing_is_there();
  gpu.inject_clear();
  EXPECT_FALSE(gpu.removed());
  EXPECT_EQ(gpu.read32(FIGMENT_REG_ID), FIGMENT_ID);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_CONTROL), 0u) << "as after power-on";
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  EXPECT_EQ(gpu.guest_errors(), 0u);
  gpu.bring_up();
  Ring again(gpu, 0);
  again.submit(fence(1));
  gpu.run_all();
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 1u);
}

TEST_F(Removal, takes_interrupts_along_that_were_on_their_way) {
  gpu.inject("interrupt-late,value=500");
  gpu.inject("interrupt-spurious,value=1000,every=1");
  submit_now(fence(1));
  gpu.inject("removed");
  (void)gpu.read32(FIGMENT_REG_ID);
  wait_until(now() + 5000);
  EXPECT_EQ(interrupts(), Vectors{});
}

}  // namespace

}  // namespace figment::test
