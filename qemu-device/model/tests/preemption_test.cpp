// SPDX-License-Identifier: MIT
// PREEMPT and RESUME: where a queue may leave its engine, what comes back from
// the save area, and everything that may come in between.
#include <random>

#include "gpu.h"
#include "hostile_guest.h"

namespace figment::test {

namespace {

GpuOptions preemptive(uint32_t preempt) {
  GpuOptions options;
  options.config.preempt = preempt;
  options.config.engines = 1;
  return options;
}

class Preemption : public OneQueue {
 protected:
  explicit Preemption(uint32_t preempt = FIGMENT_PREEMPT_INSTRUCTION)
      : OneQueue(preemptive(preempt)) {}
  explicit Preemption(const GpuOptions& options) : OneQueue(options) {}

  void expect_preempted(uint32_t q = 0) {
    EXPECT_EQ(gpu.queue_state(q), FIGMENT_QUEUE_PREEMPTED);
    const auto events = gpu.events_of(FIGMENT_EVENT_PREEMPTED);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].queue, q);
    EXPECT_EQ(events[0].asid, kAsid);
    EXPECT_EQ(events[0].detail, 0u);
    EXPECT_EQ(events[0].value, 0u);
  }
  // What a driver does: the descriptor says how far the ring is filled.
  void resume(uint32_t q = 0) {
    announce_all();
    gpu.command(q, FIGMENT_QUEUE_RESUME);
  }
  void announce_all() {
    figment_descriptor d = ring.load();
    d.write = ring.write();
    gpu.host.store(ring.descriptor(), d);
  }
  void preempt_and_expect(uint32_t q = 0) {
    gpu.command(q, FIGMENT_QUEUE_PREEMPT);
    gpu.run_now();
    expect_preempted(q);
  }
  uint64_t read_index() { return gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ); }
};

class CommandPreemption : public Preemption {
 protected:
  CommandPreemption() : Preemption(FIGMENT_PREEMPT_COMMAND) {}
};

TEST_F(Preemption, is_said_in_the_features) {
  EXPECT_EQ(gpu.read64(FIGMENT_REG_FEATURES) & FIGMENT_FEATURE_PREEMPT,
            uint64_t{FIGMENT_PREEMPT_INSTRUCTION} << std::countr_zero(FIGMENT_FEATURE_PREEMPT));
}

TEST_F(Preemption, of_an_idle_queue_is_done_at_once) {
  run_ok(nop(4));
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  const figment_descriptor d = ring.load();
  EXPECT_EQ(d.state, 0u + FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(d.read, 32u);
  EXPECT_EQ(d.write, 32u);
  EXPECT_EQ(d.code, 0u);
  EXPECT_EQ(d.address, 0u);
  gpu.run_now();
  expect_preempted();
  gpu.command(0, FIGMENT_QUEUE_RESUME);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  run_ok(release(FIGMENT_RELEASE_WRITE, kData, 5));
  EXPECT_EQ(data<uint32_t>(0), 5u);
}

TEST_F(Preemption, in_the_middle_of_a_copy_goes_on_where_it_was) {
  constexpr uint64_t kBytes = 16u << 20;
  GpuOptions options = preemptive(FIGMENT_PREEMPT_INSTRUCTION);
  options.host.ram_bytes = 64u << 20;
  Gpu big(options);
  const uint64_t from = big.map_new(kAsid, 0x1000'0000, kBytes);
  const uint64_t to = big.map_new(kAsid, 0x2000'0000, kBytes);
  Ring work(big, 0);
  for (uint64_t i = 0; i < kBytes; i += 8) big.host.store<uint64_t>(from + i, i * 0x9e3779b97f4a7c15);
  work.submit(copy(0x2000'0000, 0x1000'0000, kBytes) + fence(1));
  while (big.host.load<uint64_t>(to + (1u << 20)) == 0) big.step();
  big.command(0, FIGMENT_QUEUE_PREEMPT);
  big.run_now();
  ASSERT_EQ(big.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(big.host.load<uint64_t>(to + (2u << 20)), 0u) << "it stopped soon";
  EXPECT_EQ(big.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 0u);
  // What is done is not done again: bytes that the CPU changes there stay.
  big.host.store<uint64_t>(to + 8, 77);
  big.command(0, FIGMENT_QUEUE_RESUME);
  big.run_all();
  EXPECT_EQ(big.events_of(FIGMENT_EVENT_FENCE).size(), 1u);
  EXPECT_EQ(big.host.load<uint64_t>(to + 8), 77u);
  big.host.store<uint64_t>(to + 8, 8 * 0x9e3779b97f4a7c15);
  EXPECT_EQ(std::memcmp(big.host.memory(from, kBytes), big.host.memory(to, kBytes), kBytes), 0);
}

// Every kind of packet, preempted after each single step, in the queue or moved to another one.
TEST_F(Preemption, at_every_step_changes_no_result) {
  const auto job = [](uint64_t buffer) {
    return fill(kData, 3000, 3, 3) + indirect(buffer, 11 * 8) +
           atomic(FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN, kData + 0x4000, 5, 0, kData + 0x4008) +
           chase(kData + 0x6000, 5, kData + 0x4010) + spin(700) + nop(9) + fence(9);
  };
  const auto play = [&](unsigned every, bool move) {
    GpuOptions options = preemptive(FIGMENT_PREEMPT_INSTRUCTION);
    options.config.step_bytes = 128;
    options.config.access = {.min_ns = 10, .max_ns = 10};
    Gpu other(options);
    const uint64_t bus = other.map_new(kAsid, kData, 16 * kPage);
    Ring work(other, 0);
    const Words buffer = copy(kData + 0x2000, kData, 2500) + indirect(kData + 0x5100, 6 * 8) +
                         wait(FIGMENT_WAIT_EQ, kData + 0x5ff8, 0);
    const Words inner = copy(kData + 0x2100, kData + 0x2000, 900) + timestamp(kData + 0x5f00);
    const auto put = [&](uint64_t at, const Words& words) {
      std::memcpy(other.host.memory(bus + at, words.size() * 8), words.data(), words.size() * 8);
    };
    put(0x5000, buffer);
    put(0x5100, inner);
    for (uint64_t i = 0; i < 6; ++i) {
      other.host.store<uint64_t>(bus + 0x6000 + i * 0x10, kData + 0x6010 + i * 0x10);
    }
    work.submit(job(kData + 0x5000));
    uint32_t queue = 0;
    unsigned preemptions = 0;
    for (unsigned step = 1; step < 10'000; ++step) {
      other.step();
      other.advance(7);
      if (other.read64(FIGMENT_REG_QUEUE(queue) + FIGMENT_QUEUE_READ) == work.write()) break;
      if (every == 0 || step % every != 0) continue;
      ++preemptions;
      other.command(queue, FIGMENT_QUEUE_PREEMPT);
      while (other.queue_state(queue) != FIGMENT_QUEUE_PREEMPTED) {
        other.advance(1);
        other.run_now();
      }
      if (move) {
        other.command(queue, FIGMENT_QUEUE_RESET);
        other.run_now();
        queue = (queue + 1) % 8;
        other.write64(FIGMENT_REG_QUEUE(queue) + FIGMENT_QUEUE_DESC, work.descriptor());
      }
      other.command(queue, FIGMENT_QUEUE_RESUME);
      EXPECT_EQ(other.queue_state(queue), FIGMENT_QUEUE_READY) << other.queue_code(queue);
      // Not preempted again before it has done something.
      other.step();
      other.advance(10);
    }
    other.run_all();
    EXPECT_EQ(other.queue_state(queue), FIGMENT_QUEUE_READY);
    EXPECT_EQ(other.read64(FIGMENT_REG_QUEUE(queue) + FIGMENT_QUEUE_READ), work.write());
    EXPECT_EQ(other.guest_errors(), 0u);
    EXPECT_GE(preemptions, every == 0 ? 0 : 50 / every);
    other.host.store<uint64_t>(bus + 0x5f00, 0);  // the timestamp
    const std::span memory(other.host.memory(bus, 16 * kPage), 16 * kPage);
    return std::vector<std::byte>(memory.begin(), memory.end());
  };
  const auto undisturbed = play(0, false);
  for (const unsigned every : {1u, 2u, 3u, 5u}) {
    for (const bool move : {false, true}) {
      EXPECT_TRUE(play(every, move) == undisturbed) << "every " << every << ", moved " << move;
    }
  }
}

TEST_F(Preemption, of_a_queue_that_waits_and_is_then_released) {
  ring.submit(wait(FIGMENT_WAIT_EQ, kData, 1) + release(FIGMENT_RELEASE_WRITE, kData + 8, 2));
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  preempt_and_expect();
  set_data<uint32_t>(0, 1);
  gpu.run_all(1'000'000);
  EXPECT_EQ(data<uint32_t>(8), 0u);
  resume();
  gpu.run_all(1'000'000);
  EXPECT_EQ(data<uint32_t>(8), 2u);
}

TEST_F(Preemption, of_a_spinning_queue_keeps_the_rest_of_its_time) {
  ring.submit(spin(1000) + fence(1));
  gpu.run_now();
  gpu.advance(400);
  preempt_and_expect();
  gpu.advance(100'000);
  resume();
  const uint64_t resumed = gpu.host.now_ns;
  gpu.run_now();
  gpu.advance(599);
  gpu.run_now();
  EXPECT_TRUE(gpu.events_of(FIGMENT_EVENT_FENCE).empty());
  gpu.advance(1);
  gpu.run_now();
  const auto fences = gpu.events_of(FIGMENT_EVENT_FENCE);
  ASSERT_EQ(fences.size(), 1u);
  EXPECT_EQ(fences[0].time_ns, resumed + 600);
}

TEST_F(Preemption, takes_packets_that_are_announced_meanwhile_from_the_descriptor) {
  ring.submit(spin(1000));
  gpu.run_now();
  preempt_and_expect();
  ring.submit(release(FIGMENT_RELEASE_WRITE, kData, 6));  // its doorbell is not heard
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_WRITE), 16u);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  resume();
  gpu.run_all();
  EXPECT_EQ(data<uint32_t>(0), 6u);
}

TEST_F(Preemption, leaves_the_engine_to_others) {
  Ring other(gpu, 1);
  ring.submit(wait(FIGMENT_WAIT_EQ, kData, 1));
  gpu.run_now();
  preempt_and_expect();
  other.submit(release(FIGMENT_RELEASE_WRITE, kData + 8, 3));
  gpu.run_now();
  EXPECT_EQ(data<uint32_t>(8), 3u);
}

TEST_F(Preemption, completes_what_is_in_flight_and_no_more) {
  GpuOptions options = preemptive(FIGMENT_PREEMPT_INSTRUCTION);
  options.config.access = {.min_ns = 100, .max_ns = 100};
  options.config.step_bytes = 64;
  Gpu slow(options);
  const uint64_t bus = slow.map_new(kAsid, kData, kPage);
  Ring work(slow, 0);
  work.submit(fill(kData, 256, 7, 3));
  slow.run_now();
  slow.advance(100);
  slow.run_now();  // fetched; the first 64 bytes are in flight
  slow.command(0, FIGMENT_QUEUE_PREEMPT);
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_STOPPING);
  EXPECT_EQ(slow.host.load<uint64_t>(bus), 0u);
  slow.advance(100);
  slow.run_now();
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(slow.host.load<uint64_t>(bus + 56), 7u);
  slow.advance(1000);
  slow.run_now();
  EXPECT_EQ(slow.host.load<uint64_t>(bus + 64), 0u);
  // Nothing of it is in flight: an invalidation does not wait.
  const uint64_t seq = slow.invalidate_asid(kAsid);
  EXPECT_EQ(slow.read64(FIGMENT_REG_INVAL_DONE), seq);
}

TEST_F(Preemption, has_a_latency) {
  GpuOptions options = preemptive(FIGMENT_PREEMPT_INSTRUCTION);
  options.config.preemption = {.min_ns = 500, .max_ns = 500};
  Gpu slow(options);
  slow.map_new(kAsid, kData, kPage);
  Ring busy(slow, 0), idle(slow, 1);
  busy.submit(wait(FIGMENT_WAIT_EQ, kData, 1));
  slow.run_now();
  slow.command(0, FIGMENT_QUEUE_PREEMPT);
  slow.command(1, FIGMENT_QUEUE_PREEMPT);
  slow.run_now();
  slow.advance(499);
  slow.run_now();
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_STOPPING);
  EXPECT_EQ(slow.queue_state(1), FIGMENT_QUEUE_STOPPING);
  EXPECT_EQ(slow.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  slow.run_all(1'000'000);
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(slow.queue_state(1), FIGMENT_QUEUE_PREEMPTED);
  const auto events = slow.events_of(FIGMENT_EVENT_PREEMPTED);
  ASSERT_EQ(events.size(), 2u);
  // At the first moment at which it may leave: a look at memory is in no hurry.
  EXPECT_EQ(events[1].time_ns, events[0].time_ns);
  EXPECT_NE(slow.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
}

TEST_F(Preemption, is_overtaken_by_an_error_on_its_way) {
  GpuOptions options = preemptive(FIGMENT_PREEMPT_INSTRUCTION);
  options.config.access = {.min_ns = 100, .max_ns = 100};
  Gpu slow(options);
  slow.map(kAsid, kData, 0x1000'0000, kPage);  // no memory there
  Ring work(slow, 0);
  work.submit(release(FIGMENT_RELEASE_WRITE, kData, 1));
  slow.run_now();
  slow.advance(100);
  slow.run_now();  // the store is in flight
  slow.command(0, FIGMENT_QUEUE_PREEMPT);
  slow.run_all();
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(slow.queue_code(0), 0u + FIGMENT_CODE_BUS);
  const auto events = slow.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_ERROR);
}

TEST_F(Preemption, works_while_engines_are_off) {
  ring.submit(wait(FIGMENT_WAIT_EQ, kData, 1));
  gpu.run_now();
  gpu.write32(FIGMENT_REG_CONTROL, 0);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
}

// Commands in the wrong moment

TEST_F(Preemption, in_other_states_is_a_guest_error) {
  gpu.command(1, FIGMENT_QUEUE_PREEMPT);  // OFF
  EXPECT_EQ(gpu.guest_errors(), 1u);
  gpu.command(0, FIGMENT_QUEUE_RESUME);  // READY
  EXPECT_EQ(gpu.guest_errors(), 2u);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);  // PREEMPTED
  EXPECT_EQ(gpu.guest_errors(), 3u);
  gpu.command(0, FIGMENT_QUEUE_START);
  EXPECT_EQ(gpu.guest_errors(), 4u);
  gpu.write64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC, ring.descriptor() + 256);
  EXPECT_EQ(gpu.guest_errors(), 5u);
}

TEST_F(Preemption, of_a_queue_in_error_is_too_late_and_no_mistake) {
  ring.submit({0xff});
  gpu.run_all();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.guest_errors(), 0u);
  EXPECT_TRUE(gpu.events_of(FIGMENT_EVENT_PREEMPTED).empty());
}

TEST(NoPreemption, refuses_the_commands) {
  Gpu gpu;
  Ring ring(gpu, 0);
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  EXPECT_EQ(gpu.guest_errors(), 1u);
  gpu.command(1, FIGMENT_QUEUE_RESUME);
  EXPECT_EQ(gpu.guest_errors(), 2u);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
}

// Resets

TEST_F(Preemption, and_reset_in_any_order) {
  ring.submit(wait(FIGMENT_WAIT_EQ, kData, 1));
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  auto events = gpu.events();
  ASSERT_EQ(events.size(), 1u) << "the reset came before the preemption had happened";
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_RESET);
  EXPECT_EQ(ring.load().state, 0u + FIGMENT_QUEUE_OFF);

  ring.start();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  figment_descriptor saved = ring.load();
  saved.write += 8;
  gpu.host.store(ring.descriptor(), saved);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  events = gpu.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_PREEMPTED);
  EXPECT_EQ(events[1].type, FIGMENT_EVENT_QUEUE_RESET);
  const figment_descriptor after = ring.load();
  EXPECT_EQ(std::memcmp(&after, &saved, sizeof(saved)), 0) << "PREEMPTED, it is the driver's";
  ring.start();
  run_ok(nop());
}

TEST_F(Preemption, survives_a_device_reset) {
  ring.submit(fill(kData, 512, 9, 3) + wait(FIGMENT_WAIT_EQ, kData + 0x1000, 1) +
              release(FIGMENT_RELEASE_WRITE, kData + 0x1008, 4));
  gpu.run_now();
  preempt_and_expect();
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  gpu.bring_up();
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root);
  gpu.write64(FIGMENT_REG_QUEUE(3) + FIGMENT_QUEUE_DESC, ring.descriptor());
  set_data<uint32_t>(0x1000, 1);
  gpu.command(3, FIGMENT_QUEUE_RESUME);
  gpu.run_all();
  EXPECT_EQ(data<uint32_t>(0x1008), 4u);
  EXPECT_EQ(gpu.queue_state(3), FIGMENT_QUEUE_READY);
}

// Reports

TEST_F(Preemption, reports_come_in_order_and_one_at_a_time) {
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  ring.submit(fence(1) + wait(FIGMENT_WAIT_EQ, kData, 1));
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  ASSERT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  resume();
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_ENGINE), ~0u)
      << "it does not run before its report is in the ring";
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING) << "so does the next one";
  gpu.bring_up();
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_FENCE);
  EXPECT_EQ(events[1].type, FIGMENT_EVENT_PREEMPTED);
  EXPECT_EQ(events[2].type, FIGMENT_EVENT_PREEMPTED);
}

TEST_F(Preemption, of_a_queue_that_waits_for_its_own_report) {
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  ring.submit(fence(1) + fence(2));
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  ASSERT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  gpu.bring_up();
  gpu.run_now();
  resume();
  gpu.run_all();
  const auto fences = gpu.events_of(FIGMENT_EVENT_FENCE);
  ASSERT_EQ(fences.size(), 2u);
  EXPECT_EQ(fences[1].value, 2u);
}

// Between packets only

TEST_F(CommandPreemption, waits_for_the_end_of_the_packet) {
  ring.submit(spin(1000) + release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  gpu.run_all();
  expect_preempted();
  EXPECT_EQ(data<uint32_t>(0), 0u);
  EXPECT_EQ(read_index(), 16u);
  resume();
  gpu.run_all();
  EXPECT_EQ(data<uint32_t>(0), 1u);
}

TEST_F(CommandPreemption, happens_between_the_packets_of_a_buffer_too) {
  const Words buffer = release(FIGMENT_RELEASE_WRITE, kData + 0x1000, 1) +
                       wait(FIGMENT_WAIT_EQ, kData, 1) +
                       release(FIGMENT_RELEASE_WRITE, kData + 0x1008, 2);
  for (size_t i = 0; i < buffer.size(); ++i) set_data(0x2000 + i * 8, buffer[i]);
  ring.submit(indirect(kData + 0x2000, buffer.size() * 8));
  while (data<uint32_t>(0x1000) == 0) gpu.step();
  preempt_and_expect();
  EXPECT_EQ(read_index(), 0u);
  set_data<uint32_t>(0, 1);
  set_data<uint32_t>(0x1000, 0);
  resume();
  gpu.run_all();
  EXPECT_EQ(data<uint32_t>(0x1000), 0u) << "a packet was done twice";
  EXPECT_EQ(data<uint32_t>(0x1008), 2u);
}

TEST_F(CommandPreemption, gets_stuck_on_a_wait_and_a_reset_leads_out) {
  ring.submit(wait(FIGMENT_WAIT_EQ, kData, 1));
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_all(1'000'000'000, 100'000);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  EXPECT_TRUE(gpu.events().empty());
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  ring.start();
  run_ok(nop());
}

TEST_F(CommandPreemption, of_a_packet_that_fails_is_an_error_instead) {
  GpuOptions options = preemptive(FIGMENT_PREEMPT_COMMAND);
  options.config.access = {.min_ns = 100, .max_ns = 100};
  Gpu slow(options);
  const uint64_t bus = slow.map_new(kAsid, kData, kPage);
  slow.host.store<uint64_t>(bus, 0x5555'0000);
  Ring work(slow, 0);
  work.submit(chase(kData, 10, 0));
  slow.run_now();
  slow.advance(100);
  slow.run_now();
  slow.command(0, FIGMENT_QUEUE_PREEMPT);
  slow.run_all();
  EXPECT_EQ(slow.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(slow.queue_code(0), 0u + FIGMENT_CODE_UNMAPPED);
  const auto events = slow.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_QUEUE_ERROR);
}

TEST_F(CommandPreemption, of_a_queue_that_waits_for_its_own_report_comes_after_it) {
  gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);
  ring.submit(fence(1) + fence(2) + fence(3));
  gpu.run_now();
  gpu.command(0, FIGMENT_QUEUE_PREEMPT);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_STOPPING);
  gpu.bring_up();
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
  EXPECT_EQ(read_index(), 48u);
  EXPECT_EQ(gpu.events().size(), 3u) << "two fences and the preemption";
}

// Save areas that nobody should have written

struct BadSave {
  const char* what;
  void (*spoil)(figment_descriptor&);
};
void PrintTo(const BadSave& bad, std::ostream* out) {
  *out << bad.what;
}

class BadSaveAreas : public Preemption, public ::testing::WithParamInterface<BadSave> {};

TEST_P(BadSaveAreas, are_an_error_of_the_queue) {
  set_data<uint64_t>(0x2000, nop()[0]);
  ring.submit(indirect(kData + 0x2000, 8) + spin(1000));
  while (read_index() == 0) gpu.step();
  gpu.run_now();
  preempt_and_expect();
  announce_all();
  figment_descriptor d = ring.load();
  GetParam().spoil(d);
  gpu.host.store(ring.descriptor(), d);
  gpu.command(0, FIGMENT_QUEUE_RESUME);
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), 0u + FIGMENT_CODE_DESCRIPTOR);
  EXPECT_EQ(gpu.queue_address(0), ring.descriptor());
  EXPECT_EQ(std::memcmp(gpu.host.memory(ring.descriptor(), sizeof(d)), &d, sizeof(d)), 0)
      << "it is not written";
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  ring.start();
  run_ok(nop());
}

void set_word(figment_descriptor& d, unsigned word, uint64_t value) {
  std::memcpy(d.save_area + word * 8, &value, 8);
}
// Words of the save area; the format is the device's own, and these tests are the device's.
constexpr unsigned kDepthAndPhase = 1;
constexpr unsigned kPacketAt = 11;
constexpr unsigned kHeader = 12;
constexpr unsigned kFetched = 17;
constexpr unsigned kStage = 21;
const BadSave kBadSaves[] = {
    {"empty", [](figment_descriptor& d) { std::memset(d.save_area, 0, sizeof(d.save_area)); }},
    {"all_ones", [](figment_descriptor& d) { std::memset(d.save_area, 0xff, sizeof(d.save_area)); }},
    {"other_version", [](figment_descriptor& d) { d.save_area[4] = 9; }},
    {"depth", [](figment_descriptor& d) { set_word(d, kDepthAndPhase, 1ull << 32 | 4); }},
    {"phase", [](figment_descriptor& d) { set_word(d, kDepthAndPhase, 7ull << 32); }},
    {"buffer_without_a_packet", [](figment_descriptor& d) { set_word(d, kDepthAndPhase, 1); }},
    {"packet_elsewhere", [](figment_descriptor& d) { set_word(d, kPacketAt, kPage); }},
    {"opcode", [](figment_descriptor& d) { set_word(d, kHeader, 0x77); }},
    {"fetched", [](figment_descriptor& d) { set_word(d, kFetched, 6); }},
    {"stage", [](figment_descriptor& d) { set_word(d, kStage, 9); }},
    {"ring", [](figment_descriptor& d) { d.ring_address = 1; }},
    {"indexes", [](figment_descriptor& d) { d.write = d.read; }},
};
INSTANTIATE_TEST_SUITE_P(, BadSaveAreas, ::testing::ValuesIn(kBadSaves),
                         [](const auto& info) { return std::string(info.param.what); });

// Bits of a good save area flipped at random: refused, or played, and never more.
TEST_F(Preemption, flipped_bits_in_save_areas_harm_nobody) {
  const uint64_t seed = from_environment("FIGMENT_SEED", 1);
  std::mt19937_64 random(seed);
  unsigned refused = 0, played = 0;
  for (unsigned round = 0; round < 3000; ++round) {
    ring.submit(fill(kData, 512, 9, 3) + wait(FIGMENT_WAIT_EQ, kData + 0x1000, round));
    gpu.run_steps(random() % 6);
    gpu.command(0, FIGMENT_QUEUE_PREEMPT);
    gpu.run_now();
    ASSERT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_PREEMPTED);
    announce_all();
    figment_descriptor d = ring.load();
    for (uint64_t flips = random() % 3; flips != 0; --flips) {
      d.save_area[random() % 176] ^= 1 << random() % 8;
    }
    gpu.host.store(ring.descriptor(), d);
    gpu.command(0, FIGMENT_QUEUE_RESUME);
    ++(gpu.queue_state(0) == FIGMENT_QUEUE_READY ? played : refused);
    gpu.run_all(50'000, 100);
    gpu.command(0, FIGMENT_QUEUE_RESET);
    gpu.run_all();
    gpu.events();
    ring.start();
  }
  EXPECT_GT(refused, 500u) << "seed " << seed;
  EXPECT_GT(played, 500u) << "seed " << seed;
  run_ok(release(FIGMENT_RELEASE_WRITE, kData, 5));
}

// Timeslices

class Sharing : public ::testing::TestWithParam<uint32_t> {
 protected:
  static constexpr uint32_t kAsid = 1;
  static constexpr uint64_t kData = 0x10'0000;
};

TEST_P(Sharing, a_higher_priority_takes_the_engine_of_an_endless_job) {
  Gpu gpu(preemptive(GetParam()));
  const uint64_t bus = gpu.map_new(kAsid, kData, kPage);
  Ring low(gpu, 0, {.priority = 1}), high(gpu, 1, {.priority = 2});
  Words endless;
  for (int i = 0; i < 60; ++i) endless = endless + spin(1'000'000);
  low.submit(endless);
  gpu.run_now();
  high.submit(release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.run_all(GetParam() == FIGMENT_PREEMPT_COMMAND ? 1'000'001 : 1);
  EXPECT_EQ(gpu.host.load<uint32_t>(bus), GetParam() == FIGMENT_PREEMPT_NONE ? 0u : 1u);
  gpu.run_all();
  EXPECT_EQ(gpu.host.load<uint32_t>(bus), 1u);
}

TEST_P(Sharing, equals_take_turns_when_the_timeslice_is_over) {
  Gpu gpu(preemptive(GetParam()));
  const uint64_t bus = gpu.map_new(kAsid, kData, kPage);
  Ring one(gpu, 0, {.timeslice_ns = 5000}), two(gpu, 1, {.timeslice_ns = 5000});
  one.submit(spin(4000) + spin(4000) + spin(4000) + release(FIGMENT_RELEASE_WRITE, kData, 1) +
             fence(1));
  two.submit(release(FIGMENT_RELEASE_WRITE, kData + 8, 1) + fence(2));
  const uint64_t begin = gpu.host.now_ns;
  gpu.run_all();
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(gpu.host.load<uint32_t>(bus), 1u);
  EXPECT_EQ(gpu.host.load<uint32_t>(bus + 8), 1u);
  const uint64_t first = events[0].time_ns - begin;
  switch (GetParam()) {
    case FIGMENT_PREEMPT_NONE:
      EXPECT_EQ(events[0].value, 1u);
      EXPECT_EQ(first, 12'000u);
      break;
    case FIGMENT_PREEMPT_COMMAND:
      EXPECT_EQ(events[0].value, 2u);
      EXPECT_EQ(first, 8'000u);
      break;
    case FIGMENT_PREEMPT_INSTRUCTION:
      EXPECT_EQ(events[0].value, 2u);
      EXPECT_EQ(first, 5'000u);
      break;
  }
  EXPECT_EQ(events[1].time_ns - begin, 12'000u) << "and no time was lost";
}

// However short the slice, each turn gets something done.
TEST_P(Sharing, the_shortest_timeslice_starves_nobody) {
  GpuOptions options = preemptive(GetParam());
  options.config.access = {.min_ns = 50, .max_ns = 50};
  options.config.step_bytes = 64;
  Gpu gpu(options);
  gpu.map_new(kAsid, kData, 16 * kPage);
  std::vector<std::unique_ptr<Ring>> rings;
  for (uint32_t q = 0; q < 4; ++q) {
    rings.push_back(std::make_unique<Ring>(gpu, q, Ring::Options{.timeslice_ns = 1}));
    rings.back()->submit(fill(kData + q * kPage, kPage, q, 3) + fence(q));
  }
  gpu.run_all(10'000'000);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 4u);
}

std::string name_of(const ::testing::TestParamInfo<uint32_t>& info) {
  constexpr const char* kNames[] = {"none", "command", "instruction"};
  return kNames[info.param];
}
// Also when each turn begins late: by then the slice is over before anything was done.
TEST_P(Sharing, a_turn_that_begins_late_is_a_turn) {
  GpuOptions options = preemptive(GetParam());
  options.config.engines = 2;
  options.config.step_bytes = 64;
  Gpu gpu(options);
  gpu.map_new(kAsid, kData, 16 * kPage);
  std::vector<std::unique_ptr<Ring>> rings;
  for (uint32_t q = 0; q < 6; ++q) {
    rings.push_back(std::make_unique<Ring>(gpu, q, Ring::Options{.timeslice_ns = 1}));
    rings.back()->submit(fill(kData + q * kPage, kPage, q, 3) + fence(q));
  }
  for (unsigned step = 0; step < 2000; ++step) {
    gpu.step();
    gpu.advance(3);
  }
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_FENCE).size(), 6u);
}

INSTANTIATE_TEST_SUITE_P(, Sharing,
                         ::testing::Values(FIGMENT_PREEMPT_NONE, FIGMENT_PREEMPT_COMMAND,
                                           FIGMENT_PREEMPT_INSTRUCTION),
                         name_of);

}  // namespace

}  // namespace figment::test
