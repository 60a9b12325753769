// SPDX-License-Identifier: MIT
#include "statistics.h"

#include <gtest/gtest.h>

#include <vector>

namespace figment {
namespace {

TEST(Statistics, of_nothing_is_zero) {
  const Summary summary = summarise({});
  EXPECT_EQ(summary.count, 0u);
  EXPECT_EQ(summary.max, 0);
}

TEST(Statistics, of_one_sample_is_that_sample) {
  const double samples[] = {42};
  const Summary summary = summarise(samples);
  EXPECT_EQ(summary.min, 42);
  EXPECT_EQ(summary.p50, 42);
  EXPECT_EQ(summary.p99, 42);
  EXPECT_EQ(summary.max, 42);
}

TEST(Statistics, percentile_is_the_nearest_rank_in_any_order) {
  std::vector<double> samples;
  for (int n = 200; n > 0; --n) samples.push_back(n);
  const Summary summary = summarise(samples);
  EXPECT_EQ(summary.min, 1);
  EXPECT_EQ(summary.p50, 100);
  EXPECT_EQ(summary.p99, 198);
  EXPECT_EQ(summary.max, 200);
}

TEST(Statistics, two_samples_have_the_lower_one_as_median) {
  const double samples[] = {3, 1};
  EXPECT_EQ(summarise(samples).p50, 1);
  EXPECT_EQ(summarise(samples).p99, 3);
}

}  // namespace
}  // namespace figment
