// SPDX-License-Identifier: MIT
#include "igt_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "process.h"

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// As IGT 2 prints it, shortened.
constexpr std::string_view kLog = R"(noise of before
figment-igt: core_auth begin
IGT-Version: 2.4 (x86_64) (Linux: 7.3.4 x86_64)
Starting subtest: basic-auth
Subtest basic-auth: SUCCESS (0.005s)
Starting subtest: many-magics
(core_auth:91) CRITICAL: Test assertion failure function test_many_magics, file ../tests/core_auth.c:160:
(core_auth:91) CRITICAL: Failed assertion: magic != 0
Stack trace:
Subtest many-magics: FAIL (0.132s)
figment-igt: core_auth end 98 1234
figment-igt: sw_sync begin
Test requirement not met in function igt_require_sw_sync, file ../lib/sw_sync.c:265:
Test requirement: kernel_has_sw_sync()
Subtest alloc_fence: SKIP (0.000s)
Subtest alloc_merge_fence: SKIP (0.000s)
figment-igt: sw_sync end 77 12
figment-igt: core_setmaster_vs_auth begin
SUCCESS (0.014s)
figment-igt: core_setmaster_vs_auth end 0 3
)";

std::vector<std::string> names_of(const IgtTest& test) {
  std::vector<std::string> names;
  for (const IgtSubtest& each : test.subtests) names.push_back(each.name);
  return names;
}

TEST(IgtLog, has_tests_with_their_subtests_and_what_they_say_of_them) {
  const auto tests = parse_igt_log(kLog);
  ASSERT_THAT(tests, SizeIs(3));
  EXPECT_EQ(tests[0].name, "core_auth");
  EXPECT_EQ(tests[0].milliseconds, 1234u);
  EXPECT_THAT(names_of(tests[0]), ElementsAre("basic-auth", "many-magics"));
  EXPECT_EQ(tests[0].subtests[0].state, IgtState::pass);
  EXPECT_EQ(tests[0].subtests[1].state, IgtState::fail);
  EXPECT_EQ(tests[0].subtests[1].reason, "magic != 0");
  EXPECT_THAT(tests[1].subtests,
              ElementsAre(Field(&IgtSubtest::reason, "kernel_has_sw_sync()"),
                          Field(&IgtSubtest::reason, "kernel_has_sw_sync()")));
  EXPECT_THAT(names_of(tests[2]), ElementsAre(""));
  EXPECT_EQ(tests[2].subtests[0].state, IgtState::pass);
}

TEST(IgtLog, the_subtest_in_which_a_test_ended_has_crashed_or_timed_out) {
  const std::string begun = igt_begin("t") + "\nStarting subtest: a\nSubtest a: SUCCESS (0.1s)\n" +
                            "Starting subtest: b\n";
  const auto last = [&](std::string_view end) {
    const auto tests = parse_igt_log(begun + std::string(end));
    return tests.at(0).subtests.back();
  };
  EXPECT_EQ(last(igt_end("t", "139", "7")).state, IgtState::crash);
  EXPECT_EQ(last(igt_end("t", "124", "7")).state, IgtState::timeout);
  EXPECT_EQ(last("").state, IgtState::crash) << "the guest has died";
  EXPECT_EQ(last(igt_begin("u") + "\n" + igt_end("u", "0", "7")).name, "b");
  EXPECT_EQ(last(igt_end("t", "98", "7")).state, IgtState::fail);
}

TEST(IgtLog, a_crash_after_all_subtests_and_a_test_that_says_nothing_are_told) {
  const auto crashed = parse_igt_log(igt_begin("t") + "\nStarting subtest: a\n" +
                                     "Subtest a: SUCCESS (0.1s)\n" + igt_end("t", "134", "7"));
  EXPECT_THAT(igt_complaints(crashed.at(0), {}), HasSubstr("t: Crash: exit status 134"));
  const auto silent = parse_igt_log(igt_begin("t") + "\n" + igt_end("t", "0", "7"));
  EXPECT_THAT(igt_complaints(silent.at(0), {}), HasSubstr("t: Fail"));
}

// As the test dmabuf does.
TEST(IgtLog, a_reason_may_come_behind_the_skip) {
  const auto tests = parse_igt_log(igt_begin("t") + "\nStarting subtest: a\nSubtest a: SKIP (0.0s)\n" +
                                   "Test requirement: !igt_list_empty(&tests)\n" +
                                   igt_end("t", "77", "7"));
  EXPECT_EQ(tests.at(0).subtests.at(0).reason, "!igt_list_empty(&tests)");
}

TEST(IgtExpectations, decide_what_is_told) {
  const auto tests = parse_igt_log(kLog);
  EXPECT_THAT(igt_complaints(tests[0], {}), HasSubstr("core_auth@many-magics: Fail: magic != 0"));
  EXPECT_THAT(igt_complaints(tests[1], {}), IsEmpty()) << "a skip is no failure";
  const auto expected = parse_igt_expectations("# known\ncore_auth@many-magics,Fail\n", "", "");
  EXPECT_THAT(igt_complaints(tests[0], expected), IsEmpty());
  const auto flaky = parse_igt_expectations("", "", "# by luck\ncore_auth@many-*\n");
  EXPECT_THAT(igt_complaints(tests[0], flaky), IsEmpty());
  const auto mended = parse_igt_expectations("# known\ncore_auth@basic-auth,Fail\n", "", "");
  EXPECT_THAT(igt_complaints(tests[0], mended),
              HasSubstr("core_auth@basic-auth: Pass, and tests/igt/fails says Fail"));
  const auto worse = parse_igt_expectations("# known\ncore_auth@many-magics,Crash\n", "", "");
  EXPECT_THAT(igt_complaints(tests[0], worse), HasSubstr("Fail, and tests/igt/fails says Crash"));
}

TEST(IgtExpectations, need_a_reason_for_each_line_and_a_state_that_there_is) {
  EXPECT_NO_THROW(parse_igt_expectations("# both of them\na@b,Fail\na@c,Timeout\n", "", ""));
  EXPECT_THROW(parse_igt_expectations("a@b,Fail\n", "", ""), Failure);
  EXPECT_THROW(parse_igt_expectations("# why\n\na@b,Fail\n", "", ""), Failure);
  EXPECT_THROW(parse_igt_expectations("", "#\na\n", ""), Failure);
  EXPECT_THROW(parse_igt_expectations("# SPDX-License-Identifier: MIT\na@b,Fail\n", "", ""), Failure);
  EXPECT_THROW(parse_igt_expectations("# why\na@b,Broken\n", "", ""), Failure);
  EXPECT_THROW(parse_igt_expectations("# why\na@b\n", "", ""), Failure);
  EXPECT_THROW(parse_igt_expectations("# why\na@b,Pass\n", "", ""), Failure);
}

TEST(IgtExpectations, leave_subtests_out) {
  const auto expected = parse_igt_expectations("", "# no display\nt@kms-*\nt@slow\nu\n", "");
  EXPECT_EQ(igt_selection("t", expected), "*,!kms-*,!slow");
  EXPECT_EQ(igt_selection("v", expected), "");
}

TEST(IgtTable, counts_and_says_why) {
  const std::string table = igt_table(parse_igt_log(kLog));
  EXPECT_THAT(table, HasSubstr("| core_auth | 1 | 1 | 0 | `magic != 0` |\n"));
  EXPECT_THAT(table, HasSubstr("| sw_sync | 0 | 0 | 2 | `kernel_has_sw_sync()` |\n"));
}

}  // namespace
}  // namespace figment::host
