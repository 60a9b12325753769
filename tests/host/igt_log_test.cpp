// SPDX-License-Identifier: MIT
#include "igt_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::Field;

// As IGT 2 prints it, shortened.
constexpr std::string_view kAuth = R"(IGT-Version: 2.4 (x86_64) (Linux: 7.3.4 x86_64)
Starting subtest: basic-auth
Subtest basic-auth: SUCCESS (0.005s)
Starting subtest: many-magics
(core_auth:91) CRITICAL: Test assertion failure function test_many_magics, file ../tests/core_auth.c:160:
(core_auth:91) CRITICAL: Failed assertion: magic != 0
Stack trace:
Subtest many-magics: FAIL (0.132s)
)";
constexpr std::string_view kSwSync =
    R"(Test requirement not met in function igt_require_sw_sync, file ../lib/sw_sync.c:265:
Test requirement: kernel_has_sw_sync()
Subtest alloc_fence: SKIP (0.000s)
Subtest alloc_merge_fence: SKIP (0.000s)
)";

SuiteTest parsed(std::string_view text, int status) {
  return parse_igt({.name = "t", .text = std::string(text), .status = status, .milliseconds = 7});
}

TEST(IgtLog, has_subtests_and_what_is_said_of_them) {
  const SuiteTest auth = parsed(kAuth, 98);
  EXPECT_EQ(auth.milliseconds, 7u);
  EXPECT_THAT(auth.subtests, ElementsAre(Field(&Subtest::name, "basic-auth"),
                                         Field(&Subtest::name, "many-magics")));
  EXPECT_EQ(auth.subtests[0].state, SubtestState::pass);
  EXPECT_EQ(auth.subtests[1].state, SubtestState::fail);
  EXPECT_EQ(auth.subtests[1].reason, "magic != 0");
  EXPECT_THAT(parsed(kSwSync, 77).subtests,
              ElementsAre(Field(&Subtest::reason, "kernel_has_sw_sync()"),
                          Field(&Subtest::reason, "kernel_has_sw_sync()")));
  const SuiteTest whole = parsed("SUCCESS (0.014s)\n", 0);
  EXPECT_THAT(whole.subtests, ElementsAre(Field(&Subtest::name, "")));
  EXPECT_EQ(whole.subtests[0].state, SubtestState::pass);
}

TEST(IgtLog, the_subtest_in_which_a_test_ended_has_crashed_or_timed_out) {
  const auto last = [](int status) {
    return parsed("Starting subtest: a\nSubtest a: SUCCESS (0.1s)\nStarting subtest: b\n", status)
        .subtests.back();
  };
  EXPECT_EQ(last(139).state, SubtestState::crash);
  EXPECT_EQ(last(139).name, "b");
  EXPECT_EQ(last(124).state, SubtestState::timeout);
  EXPECT_EQ(last(98).state, SubtestState::fail);
}

TEST(IgtLog, a_crash_after_all_subtests_and_a_test_that_says_nothing_are_told) {
  const SuiteTest crashed = parsed("Starting subtest: a\nSubtest a: SUCCESS (0.1s)\n", 134);
  EXPECT_EQ(crashed.subtests.back().state, SubtestState::crash);
  EXPECT_EQ(crashed.subtests.back().reason, "exit status 134");
  EXPECT_EQ(parsed("", 0).subtests.back().state, SubtestState::fail);
}

// As the test dmabuf does.
TEST(IgtLog, a_reason_may_come_behind_the_skip) {
  const SuiteTest test = parsed(
      "Starting subtest: a\nSubtest a: SKIP (0.0s)\nTest requirement: !igt_list_empty(&tests)\n",
      77);
  EXPECT_EQ(test.subtests.at(0).reason, "!igt_list_empty(&tests)");
}

TEST(IgtSelection, leaves_subtests_out) {
  EXPECT_EQ(igt_selection({"kms-*", "slow"}), "*,!kms-*,!slow");
  EXPECT_EQ(igt_selection({}), "");
}

}  // namespace
}  // namespace figment::host
