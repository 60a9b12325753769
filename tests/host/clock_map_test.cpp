// SPDX-License-Identifier: MIT
#include "clock_map.h"

#include <gtest/gtest.h>

#include "process.h"

namespace figment::host {
namespace {

TEST(ClockMap, one_look_tells_by_how_much_the_clocks_differ) {
  const ClockMap map({{.before = 1000, .device = 5000, .after = 1020}});
  EXPECT_EQ(map.to_guest(5000), 1010u);
  EXPECT_EQ(map.to_guest(6000), 2010u);
  EXPECT_EQ(map.to_guest(4500), 510u);
  EXPECT_EQ(map.uncertainty_ns(), 10u);
}

TEST(ClockMap, between_looks_it_follows_the_rate) {
  // The device's clock goes twice as fast.
  const ClockMap map({{.before = 3'000, .device = 14'000, .after = 3'000},
                      {.before = 1'000, .device = 10'000, .after = 1'000}});
  EXPECT_EQ(map.to_guest(10'000), 1'000u);
  EXPECT_EQ(map.to_guest(12'000), 2'000u);
  EXPECT_EQ(map.to_guest(14'000), 3'000u);
  EXPECT_EQ(map.looks(), 2u);
}

TEST(ClockMap, a_look_that_was_interrupted_does_not_count) {
  const ClockMap map({{.before = 1'000, .device = 1'005, .after = 1'010},
                      {.before = 2'000, .device = 2'990, .after = 3'000},
                      {.before = 4'000, .device = 4'005, .after = 4'010}});
  EXPECT_EQ(map.looks(), 2u);
  EXPECT_EQ(map.to_guest(2'990), 2'990u);
  EXPECT_EQ(map.uncertainty_ns(), 5u);
}

TEST(ClockMap, there_has_to_be_a_look_and_no_clock_goes_back) {
  EXPECT_THROW(ClockMap({}), Failure);
  EXPECT_THROW(ClockMap({{.before = 2, .device = 1, .after = 1}}), Failure);
  EXPECT_THROW(
      ClockMap({{.before = 1, .device = 9, .after = 1}, {.before = 5, .device = 8, .after = 5}}),
      Failure);
  EXPECT_THROW(
      ClockMap({{.before = 1, .device = 8, .after = 6}, {.before = 5, .device = 9, .after = 7}}),
      Failure);
  EXPECT_THROW(ClockMap({{.before = 1, .device = ~0ull, .after = 1}}), Failure);
}

TEST(ClockMap, any_time_has_a_place) {
  const ClockMap map({{.before = 1000, .device = 5000, .after = 1000}});
  EXPECT_EQ(map.to_guest(0), 0u) << "before the guest had a clock";
  EXPECT_GT(map.to_guest(~0ull), map.to_guest(1u << 30));
}

}  // namespace
}  // namespace figment::host
