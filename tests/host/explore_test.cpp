// SPDX-License-Identifier: MIT
#include "explore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace figment::host {
namespace {

using testing::ElementsAre;

std::vector<std::uint64_t> seeds_of(const SeedRange& range) {
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t i = 0; i < range.count(); ++i) seeds.push_back(range.at(i));
  return seeds;
}

TEST(SeedRange, shards_have_every_seed_once) {
  EXPECT_THAT(seeds_of({.first = 5, .last = 8}), ElementsAre(5, 6, 7, 8));
  EXPECT_THAT(seeds_of({.first = 5, .last = 11, .shard = 1, .shards = 3}), ElementsAre(5, 8, 11));
  EXPECT_THAT(seeds_of({.first = 5, .last = 11, .shard = 3, .shards = 3}), ElementsAre(7, 10));
  EXPECT_THAT(seeds_of({.first = 5, .last = 5, .shard = 2, .shards = 3}), ElementsAre());
}

TEST(SeedResult, survives_its_pipe) {
  const SeedResult result{.seed = ~0ull - 1, .status = 3, .why = "two\nlines \"quoted\"\n"};
  EXPECT_EQ(SeedResult::decode(result.encode()), result);
  EXPECT_FALSE(result.encode().contains('\n'));
  // The guest's bytes may be anything.
  EXPECT_NO_THROW(SeedResult::decode(SeedResult{.seed = 1, .status = 1, .why = "\xff\x01"}.encode()));
}

SeedResult failing_at(std::uint64_t seed, std::initializer_list<std::uint64_t> bad) {
  const bool fails = std::ranges::find(bad, seed) != bad.end();
  return {.seed = seed, .status = fails ? 7 : 0, .why = fails ? "bad" : ""};
}

TEST(Explore, stops_at_the_first_failure) {
  const Exploration result =
      explore({.first = 1, .last = 1000}, {.jobs = 1},
              [](std::uint64_t seed) { return failing_at(seed, {20, 30}); }, {});
  EXPECT_THAT(result.failures, ElementsAre(SeedResult{.seed = 20, .status = 7, .why = "bad"}));
  EXPECT_EQ(result.explored, 20u);
  EXPECT_EQ(result.until_first, 20u);
}

TEST(Explore, collects_all_when_told_to_and_sorts_them) {
  const auto attempt = [](std::uint64_t seed) {
    // The earlier one takes longer.
    if (seed == 3) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return failing_at(seed, {3, 4, 9});
  };
  const Exploration result = explore({.first = 2, .last = 10}, {.jobs = 3, .all = true}, attempt, {});
  ASSERT_EQ(result.failures.size(), 3u);
  EXPECT_EQ(result.failures[0].seed, 3u);
  EXPECT_EQ(result.failures[2].seed, 9u);
  EXPECT_EQ(result.explored, 9u);
  EXPECT_EQ(result.until_first, 2u);
}

TEST(Explore, jobs_run_at_the_same_time) {
  // Each of two waits until the other one has begun.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd reader(ends[0]), writer(ends[1]);
  const auto attempt = [&](std::uint64_t seed) {
    char byte = 0;
    const bool first = seed == 1;
    const bool good = first ? read(reader.get(), &byte, 1) == 1 : write(writer.get(), "x", 1) == 1;
    return SeedResult{.seed = seed, .status = good ? 0 : 1, .why = {}};
  };
  const Exploration result = explore({.first = 1, .last = 2}, {.jobs = 2}, attempt, {});
  EXPECT_TRUE(result.failures.empty());
  EXPECT_EQ(result.explored, 2u);
}

TEST(Explore, ends_what_is_under_way_at_the_deadline) {
  const Exploration result =
      explore({.first = 1, .last = 2},
              {.jobs = 2, .deadline = Clock::now() + std::chrono::milliseconds(50)},
              [](std::uint64_t seed) {
                std::this_thread::sleep_for(std::chrono::hours(1));
                return SeedResult{.seed = seed};
              },
              {});
  EXPECT_TRUE(result.timed_out);
}

TEST(Explore, an_attempt_that_cannot_be_made_is_no_failure_of_a_seed) {
  EXPECT_THROW(explore({.first = 1, .last = 2}, {.jobs = 1},
                       [](std::uint64_t) -> SeedResult { throw Failure("planted by a test"); }, {}),
               Failure);
}

TEST(Story, is_the_end_of_a_text) {
  EXPECT_EQ(last_lines("a\nb\nc\n", 2), "b\nc\n");
  EXPECT_EQ(last_lines("a\nb\nc", 1), "c");
  EXPECT_EQ(last_lines("a\n", 5), "a\n");
  EXPECT_EQ(last_lines("", 5), "");
}

TEST(Story, of_the_device_has_no_lookups) {
  EXPECT_EQ(last_device_events("  1 doorbell     queue=1 write=0x1\n  2 tlb_hit      asid=1\n"
                               "  3 walk         asid=1\n  4 event        index=1\n",
                               9),
            "  1 doorbell     queue=1 write=0x1\n  4 event        index=1\n");
}

}  // namespace
}  // namespace figment::host
