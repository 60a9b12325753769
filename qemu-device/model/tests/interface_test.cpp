// SPDX-License-Identifier: MIT
// The C interface: the table, the defaults, what create() refuses, the names of
// trace points.
#include <algorithm>
#include <string>

#include "gpu.h"

namespace figment::test {

namespace {

const struct figment_model_api* api() {
  return figment_model_api(FIGMENT_MODEL_ABI);
}

TEST(Interface, is_there_for_its_abi_only) {
  ASSERT_NE(api(), nullptr);
  EXPECT_EQ(api()->abi, FIGMENT_MODEL_ABI);
  EXPECT_EQ(figment_model_api(FIGMENT_MODEL_ABI + 1), nullptr);
  EXPECT_EQ(figment_model_api(0), nullptr);
}

TEST(Interface, has_the_defaults_of_the_contract) {
  figment_model_config config;
  std::memset(&config, 0xee, sizeof(config));
  api()->defaults(&config);
  EXPECT_EQ(config.engines, 2u);
  EXPECT_EQ(config.queues, 64u);
  EXPECT_EQ(config.asids, 256u);
  EXPECT_EQ(config.va_bits, 48u);
  EXPECT_EQ(config.preempt, 0u + FIGMENT_PREEMPT_NONE);
  EXPECT_FALSE(config.faults);
  EXPECT_FALSE(config.inject);
  EXPECT_EQ(config.tlb_entries, 4096u);
  EXPECT_EQ(config.walk_cache_entries, 1024u);
  EXPECT_EQ(config.retention_ns, FIGMENT_MODEL_NEVER);
  EXPECT_EQ(config.step_bytes, 65536u);
  EXPECT_EQ(config.bytes_per_us, 0u);
  EXPECT_EQ(config.timeslice_ns, 1'000'000u);
  EXPECT_EQ(config.poll_ns, 2'000u);
  for (const auto& latency : {config.doorbell, config.invalidate, config.access, config.event}) {
    EXPECT_EQ(latency.min_ns, 0u);
    EXPECT_EQ(latency.max_ns, 0u);
  }
}

// What create() says to a config; "" when it takes it.
std::string refusal(void (*change)(figment_model_config&)) {
  FakeHost host;
  const figment_model_host interface = host.interface();
  figment_model_config config;
  api()->defaults(&config);
  change(config);
  char error[200] = "";
  figment_model* model = api()->create(&config, &interface, error, sizeof(error));
  EXPECT_EQ(model == nullptr, error[0] != '\0');
  if (model) api()->destroy(model);
  return error;
}

TEST(Interface, refuses_what_is_out_of_range_and_says_what_is_allowed) {
  using C = figment_model_config;
  EXPECT_EQ(refusal([](C&) {}), "");
  EXPECT_EQ(refusal([](C& c) { c.engines = 0; }), "engines is 0, but must be from 1 to 16");
  EXPECT_EQ(refusal([](C& c) { c.engines = 17; }), "engines is 17, but must be from 1 to 16");
  EXPECT_EQ(refusal([](C& c) { c.queues = 257; }), "queues is 257, but must be from 1 to 256");
  EXPECT_EQ(refusal([](C& c) { c.asids = 0; }), "asids is 0, but must be from 1 to 1024");
  EXPECT_EQ(refusal([](C& c) { c.va_bits = 57; }), "va_bits is 57, but must be 48");
  EXPECT_EQ(refusal([](C& c) { c.preempt = 3; }), "preempt is 3, but must be from 0 to 2");
  EXPECT_EQ(refusal([](C& c) { c.tlb_entries = 15; }),
            "tlb_entries is 15, but must be from 16 to 65536");
  EXPECT_EQ(refusal([](C& c) { c.walk_cache_entries = 65537; }),
            "walk_cache_entries is 65537, but must be from 0 to 65536");
  EXPECT_EQ(refusal([](C& c) { c.prefetch_pages = 65; }),
            "prefetch_pages is 65, but must be from 0 to 64");
  EXPECT_EQ(refusal([](C& c) { c.preemption = {.min_ns = 2, .max_ns = 1}; }),
            "latency preemption is 2..1 ns, but its minimum must not exceed its maximum");
  EXPECT_EQ(refusal([](C& c) { c.step_bytes = 63; }),
            "step_bytes is 63, but must be from 64 to 1048576");
  EXPECT_EQ(refusal([](C& c) { c.access = {.min_ns = 2, .max_ns = 1}; }),
            "latency access is 2..1 ns, but its minimum must not exceed its maximum");
  EXPECT_EQ(refusal([](C& c) { c.interrupt = {.min_ns = 2, .max_ns = 1}; }),
            "latency interrupt is 2..1 ns, but its minimum must not exceed its maximum");
  EXPECT_EQ(refusal([](C& c) { c.step_bytes_min = 63; }),
            "step_bytes_min is 63, but must be 0, or from 64 to 65536");
  EXPECT_EQ(refusal([](C& c) { c.step_bytes_min = c.step_bytes + 1; }),
            "step_bytes_min is 65537, but must be 0, or from 64 to 65536");
}

TEST(Interface, takes_the_extremes) {
  using C = figment_model_config;
  EXPECT_EQ(refusal([](C& c) {
              c.engines = 1;
              c.queues = 1;
              c.asids = 1;
              c.tlb_entries = 16;
              c.walk_cache_entries = 0;
              c.step_bytes = 64;
              c.retention_ns = 0;
              c.poll_ns = 0;
              c.timeslice_ns = 0;
            }),
            "");
  EXPECT_EQ(refusal([](C& c) {
              c.engines = 16;
              c.queues = FIGMENT_QUEUES_MAX;
              c.asids = FIGMENT_ASIDS_MAX;
              c.tlb_entries = 65536;
              c.walk_cache_entries = 65536;
              c.step_bytes = 1 << 20;
              c.access = {.min_ns = 0, .max_ns = UINT64_MAX};
            }),
            "");
}

TEST(Interface, an_error_fits_the_buffer_it_is_given) {
  FakeHost host;
  const figment_model_host interface = host.interface();
  figment_model_config config;
  api()->defaults(&config);
  config.engines = 0;
  char error[8];
  std::memset(error, 'x', sizeof(error));
  EXPECT_EQ(api()->create(&config, &interface, error, 5), nullptr);
  EXPECT_STREQ(error, "engi");
  EXPECT_EQ(error[5], 'x');
  EXPECT_EQ(api()->create(&config, &interface, nullptr, 0), nullptr);
}

TEST(Interface, names_every_trace_point) {
  for (unsigned event = 0; event < FIGMENT_TRACE_COUNT; ++event) {
    EXPECT_STRNE(api()->trace_name(event), "?");
    const std::string format = api()->trace_format(event);
    EXPECT_LE(std::ranges::count(format, '%'), 4);
  }
  EXPECT_STREQ(api()->trace_name(FIGMENT_TRACE_DOORBELL), "doorbell");
  EXPECT_STREQ(api()->trace_name(FIGMENT_TRACE_GUEST_ERROR), "guest_error");
  EXPECT_STREQ(api()->trace_name(FIGMENT_TRACE_COUNT), "?");
  EXPECT_STREQ(api()->trace_format(FIGMENT_TRACE_COUNT), "");
}

TEST(Interface, run_does_no_more_steps_than_asked) {
  Gpu gpu;
  Ring ring(gpu, 0);
  for (int i = 0; i < 10; ++i) ring.push(nop());
  ring.ring();
  EXPECT_EQ(gpu.run_steps(0).steps, 0u);
  const auto progress = gpu.run_steps(4);
  EXPECT_EQ(progress.steps, 4u);
  EXPECT_LE(progress.next_ns, gpu.host.now_ns) << "there is more to do at once";
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 32u);
  EXPECT_EQ(gpu.run_steps(100).steps, 6u);
  EXPECT_EQ(gpu.run_steps(100).next_ns, FIGMENT_MODEL_NEVER);
}

TEST(Interface, tells_the_host_what_was_written_and_no_more) {
  Gpu gpu;
  Ring ring(gpu, 0);
  gpu.map_new(1, 0x10'0000, 64 * kPage);
  const uint64_t before = gpu.host.touched_bytes();
  ring.submit(fill(0x10'0000, 64 * kPage, 1));
  gpu.run_all();
  const uint64_t touched = gpu.host.touched_bytes() - before;
  EXPECT_GE(touched, 64 * kPage);
  EXPECT_LE(touched, 65 * kPage) << "the data, and once the page with the descriptor";
}

}  // namespace

}  // namespace figment::test
