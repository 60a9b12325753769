// SPDX-License-Identifier: MIT
// The hostile guest (hostile_guest.h), round after round, from a seed. Whatever
// it did, the process lives (sanitizers watch), the rules of the host interface
// hold, each run() ends, and after a reset the device works.
//
// FIGMENT_TEST_SEED and FIGMENT_TEST_ROUNDS change what and how much is done.
#include <cstdio>

#include "hostile_guest.h"

namespace figment::test {

namespace {

TEST(HostileGuest, leaves_a_device_that_a_reset_makes_work) {
  const uint64_t first = from_environment("FIGMENT_TEST_SEED", 1);
  const uint64_t rounds = from_environment("FIGMENT_TEST_ROUNDS", 400);
  uint64_t packets = 0, errors = 0, walks = 0;
  for (uint64_t seed = first; seed < first + 60; ++seed) {
    SCOPED_TRACE("FIGMENT_TEST_SEED=" + std::to_string(seed));
    Hostile guest(seed);
    Gpu gpu(guest.options());
    gpu.host.keep_traces = false;
    guest.prepare(gpu);
    for (uint64_t i = 0; i < rounds; ++i) {
      guest.round(gpu);
      if (::testing::Test::HasFailure()) return;
    }
    packets += gpu.host.count(FIGMENT_TRACE_RETIRE);
    errors += gpu.host.count(FIGMENT_TRACE_QUEUE_ERROR);
    walks += gpu.host.count(FIGMENT_TRACE_WALK);
    if (guest.one_in(2)) {
      gpu.pci_reset();
    } else {
      gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
      gpu.run_all();
    }
    expect_works(gpu);
    if (::testing::Test::HasFailure()) return;
  }
  // The chaos reaches the inside; otherwise this test would show nothing.
  EXPECT_GT(packets, 500u);
  EXPECT_GT(errors, 1000u);
  EXPECT_GT(walks, 1000u);
  std::printf("%llu packets retired, %llu queue errors, %llu walks\n",
              static_cast<unsigned long long>(packets), static_cast<unsigned long long>(errors),
              static_cast<unsigned long long>(walks));
}

// The same seed gives the same run, to the last trace point.

std::vector<TracePoint> trace_of(uint64_t seed, uint64_t host_seed) {
  Hostile guest(seed);
  GpuOptions options = guest.options();
  options.config.access = {.min_ns = 0, .max_ns = 5000};
  options.host.seed = host_seed;
  Gpu gpu(options);
  gpu.map_new(1, 0x10'0000, 64 * kPage);
  std::vector<Ring> rings;
  rings.reserve(4);
  for (uint32_t q = 0; q < 4; ++q) {
    rings.emplace_back(gpu, q);
    for (uint64_t i = 0; i < 20; ++i) {
      rings.back().push(fill(0x10'0000 + q * 0x8000, 5000, i) + fence(i));
    }
    rings.back().ring();
  }
  for (int i = 0; i < 50; ++i) {
    gpu.invalidate_asid(1, FIGMENT_INVAL_EVENT);
    gpu.run_all(10'000);
    gpu.events();
  }
  return gpu.host.traces;
}

TEST(Determinism, the_same_seed_gives_the_same_trace) {
  const auto reference = trace_of(5, 1);
  EXPECT_GT(reference.size(), 500u);
  EXPECT_TRUE(trace_of(5, 1) == reference);
  EXPECT_FALSE(trace_of(5, 2) == reference) << "the random source is not used";
}

}  // namespace

}  // namespace figment::test
