// SPDX-License-Identifier: MIT
// Which queue runs when: engines, priorities, timeslices.
#include <algorithm>
#include <memory>

#include "gpu.h"

namespace figment::test {

namespace {

GpuOptions with_engines(uint32_t engines) {
  GpuOptions options;
  options.config.engines = engines;
  return options;
}

class Scheduler : public ::testing::Test {
 protected:
  explicit Scheduler(uint32_t engines = 1) : gpu(with_engines(engines)) {
    bus = gpu.map_new(1, kLog, kPage);
  }

  Ring& add(uint32_t queue, const Ring::Options& options = {}) {
    rings.push_back(std::make_unique<Ring>(gpu, queue, options));
    return *rings.back();
  }
  // A job that takes `ns` and ends at a boundary.
  static Words job(uint64_t ns) { return spin(ns) + fence(0); }
  // Queues in the order in which they came onto engines.
  std::vector<uint64_t> scheduled() {
    std::vector<uint64_t> queues;
    for (const TracePoint& trace : gpu.host.traces) {
      if (trace.event == FIGMENT_TRACE_SCHEDULE) queues.push_back(trace.arguments[1]);
    }
    return queues;
  }
  // Queues in the order of their fences.
  std::vector<uint64_t> fences() {
    std::vector<uint64_t> queues;
    for (const auto& event : gpu.events_of(FIGMENT_EVENT_FENCE)) queues.push_back(event.queue);
    return queues;
  }
  uint32_t engine(uint32_t q) { return gpu.read32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_ENGINE); }

  static constexpr uint64_t kLog = 0x10'0000;
  Gpu gpu;
  uint64_t bus = 0;
  std::vector<std::unique_ptr<Ring>> rings;
};

class TwoEngines : public Scheduler {
 protected:
  TwoEngines() : Scheduler(2) {}
};

using Order = std::vector<uint64_t>;

TEST_F(TwoEngines, run_two_queues_at_the_same_time) {
  add(0).submit(job(1000));
  add(1).submit(job(1000));
  const uint64_t start = gpu.host.now_ns;
  gpu.run_all();
  EXPECT_EQ(fences().size(), 2u);
  EXPECT_EQ(gpu.host.now_ns, start + 1000);
}

TEST_F(TwoEngines, do_all_64_queues) {
  for (uint32_t q = 0; q < 64; ++q) add(q).submit(job(10) + job(10));
  gpu.run_all();
  Order order = fences();
  ASSERT_EQ(order.size(), 128u);
  std::ranges::sort(order);
  for (uint64_t i = 0; i < 128; ++i) EXPECT_EQ(order[i], i / 2);
}

TEST_F(TwoEngines, a_stuck_queue_does_not_hold_the_other_engine) {
  add(0).submit(spin(~0ull));
  gpu.run_now();
  for (uint32_t q = 1; q < 5; ++q) add(q).submit(job(10));
  gpu.run_all();
  EXPECT_EQ(fences(), (Order{1, 2, 3, 4}));
}

TEST_F(TwoEngines, share_steps_fairly) {
  // Two endless copies; after many steps both have had as many.
  gpu.map_new(1, 0x20'0000, 128 * kPage);
  const Words big = copy(0x20'0000, 0x24'0000, 64 * kPage);
  for (uint32_t q = 0; q < 2; ++q) {
    Ring& ring = add(q);
    for (int i = 0; i < 100; ++i) ring.push(big);
    ring.ring();
  }
  gpu.run_steps(100);
  const uint64_t reads[] = {gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ),
                            gpu.read64(FIGMENT_REG_QUEUE(1) + FIGMENT_QUEUE_READ)};
  EXPECT_GT(reads[0], 0u);
  EXPECT_LE(reads[0] > reads[1] ? reads[0] - reads[1] : reads[1] - reads[0], 32u);
}

TEST_F(Scheduler, two_queues_share_one_engine_in_turn) {
  add(0).submit(job(100) + job(100));
  add(1).submit(job(100) + job(100));
  gpu.run_all();
  // The timeslice is 1 ms: nobody is sent away.
  EXPECT_EQ(scheduled(), (Order{0, 1}));
  EXPECT_EQ(fences(), (Order{0, 0, 1, 1}));
}

TEST_F(Scheduler, a_timeslice_ends_at_the_next_job_boundary) {
  for (uint32_t q = 0; q < 3; ++q) {
    add(q, {.timeslice_ns = 150}).submit(job(100) + job(100) + job(100));
  }
  gpu.run_all();
  EXPECT_EQ(fences(), (Order{0, 0, 1, 1, 2, 2, 0, 1, 2}));
}

TEST_F(Scheduler, a_timeslice_does_not_end_a_job) {
  add(0, {.timeslice_ns = 1}).submit(spin(1000) + nop() + spin(1000) + fence(0));
  add(1, {.timeslice_ns = 1}).submit(job(100));
  gpu.run_all();
  EXPECT_EQ(scheduled(), (Order{0, 1}));
  EXPECT_EQ(fences(), (Order{0, 1}));
}

TEST_F(Scheduler, alone_a_queue_keeps_its_engine) {
  add(0, {.timeslice_ns = 1}).submit(job(100) + job(100) + job(100));
  gpu.run_all();
  EXPECT_EQ(scheduled(), (Order{0}));
}

TEST_F(Scheduler, a_waiting_queue_holds_its_engine) {
  add(0, {.timeslice_ns = 1}).submit(wait(FIGMENT_WAIT_EQ, kLog, 1) + fence(0));
  add(1).submit(job(100));
  gpu.run_all(1'000'000);
  EXPECT_EQ(fences(), (Order{}));
  gpu.host.store<uint32_t>(bus, 1);
  gpu.run_all();
  EXPECT_EQ(fences(), (Order{0, 1}));
}

TEST_F(Scheduler, a_fence_in_a_buffer_is_no_job_boundary) {
  const Words inner = fence(7);
  for (size_t i = 0; i < inner.size(); ++i) gpu.host.store<uint64_t>(bus + i * 8, inner[i]);
  add(0, {.timeslice_ns = 1}).submit(spin(100) + indirect(kLog, 24) + nop() + fence(8));
  add(1).submit(job(100));
  gpu.run_all();
  EXPECT_EQ(scheduled(), (Order{0, 1}));
  EXPECT_EQ(fences(), (Order{0, 0, 1}));
}

TEST_F(Scheduler, the_highest_priority_goes_first) {
  gpu.write32(FIGMENT_REG_CONTROL, 0);
  for (uint32_t q = 0; q < 8; ++q) add(q, {.priority = q % 4}).submit(job(100));
  gpu.write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
  gpu.run_all();
  EXPECT_EQ(scheduled(), (Order{3, 7, 2, 6, 1, 5, 0, 4}));
}

TEST_F(Scheduler, a_higher_priority_takes_over_at_the_next_job_boundary) {
  Ring& low = add(0, {.priority = 0});
  Ring& high = add(1, {.priority = 1});
  low.submit(job(100) + job(100));
  gpu.run_now();
  high.submit(job(100));
  gpu.run_all();
  EXPECT_EQ(fences(), (Order{0, 1, 0})) << "long before the timeslice is over";
}

TEST_F(Scheduler, a_lower_priority_never_takes_over) {
  add(0, {.priority = 1, .timeslice_ns = 1}).submit(job(100) + job(100) + job(100));
  add(1, {.priority = 0}).submit(job(100));
  gpu.run_all();
  EXPECT_EQ(fences(), (Order{0, 0, 0, 1}));
}

TEST_F(Scheduler, engines_that_are_off_take_no_work_and_keep_what_they_have) {
  gpu.write32(FIGMENT_REG_CONTROL, 0);
  Ring& ring = add(0);
  ring.submit(nop() + nop());
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
  EXPECT_EQ(engine(0), ~0u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE, 0u);
  gpu.write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
  gpu.step();
  gpu.write32(FIGMENT_REG_CONTROL, 0);
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
  EXPECT_EQ(engine(0), 0u);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 8u);
  gpu.write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
  gpu.run_now();
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 16u);
}

TEST(DataRate, bounds_how_fast_an_engine_moves_data) {
  GpuOptions options;
  options.config.bytes_per_us = 1000;
  Gpu gpu(options);
  gpu.map_new(1, 0x10'0000, 64 * kPage);
  Ring ring(gpu, 0);
  const uint64_t start = gpu.host.now_ns;
  ring.submit(fill(0x10'0000, 64 * kPage, 1));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY);
  EXPECT_GE(gpu.host.now_ns - start, 64 * kPage);
  EXPECT_LE(gpu.host.now_ns - start, 64 * kPage + 1000);
}

}  // namespace

}  // namespace figment::test
