// SPDX-License-Identifier: MIT
//
// What others' tests print, and what is made of it.
#include "suite.h"

#include <format>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "process.h"
#include "program_logs.h"

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

SuiteTest test_with(std::string name, SubtestState state, std::string reason = {}) {
  return {.name = "t",
          .subtests = {{.name = std::move(name), .state = state, .reason = std::move(reason)}}};
}

std::string told(const SuiteTest& test, const Expectations& expected) {
  return complaints(test, expected, "tests/x");
}

// As a shell does: the program's output and exit status are made up.
std::string step(std::string_view name, std::string_view printed, std::string_view status) {
  return std::format("figment-test: {0} begin\n{1}\nfigment-test: {0} end {2} 12\n", name, printed,
                     status);
}

TEST(Outputs, are_of_one_program_each) {
  const auto outputs =
      parse_outputs("noise\n" + step("a", "one\ntwo", "0") + "noise\n" + step("b:c", "", "98"));
  ASSERT_THAT(outputs, SizeIs(2));
  EXPECT_EQ(outputs[0].name, "a");
  EXPECT_EQ(outputs[0].text, "one\ntwo\n");
  EXPECT_EQ(outputs[0].status, 0);
  EXPECT_EQ(outputs[0].milliseconds, 12u);
  EXPECT_EQ(outputs[1].name, "b:c");
  EXPECT_EQ(outputs[1].status, 98);
}

TEST(Outputs, of_a_guest_that_died_end_as_killed) {
  const auto outputs = parse_outputs("figment-test: a begin\nfigment-test: b begin\nlast words");
  ASSERT_THAT(outputs, SizeIs(2));
  EXPECT_EQ(outputs[0].status, 137);
  EXPECT_EQ(outputs[1].status, 137);
  EXPECT_THAT(outputs[1].text, HasSubstr("last words"));
}

TEST(Outputs, a_program_cannot_end_another_one) {
  const auto outputs = parse_outputs("figment-test: a begin\nfigment-test: b end 0 1\n");
  ASSERT_THAT(outputs, SizeIs(1));
  EXPECT_EQ(outputs[0].status, 137);
}

TEST(Outputs, are_marked_by_a_shell) {
  const Output said =
      capture({"sh", "-c", marked_step("x", "printf half; printf more >&2; exit 7")});
  const auto outputs = parse_outputs(said.text);
  ASSERT_THAT(outputs, SizeIs(1));
  EXPECT_EQ(outputs[0].status, 7);
  EXPECT_THAT(outputs[0].text, HasSubstr("halfmore"));
}

TEST(Status, says_how_a_program_has_ended) {
  const auto state = [](int status) {
    return judged_by_status({.name = "p", .text = "words\n\n", .status = status}, 4).subtests.at(0);
  };
  EXPECT_EQ(state(0).state, SubtestState::pass);
  EXPECT_EQ(state(4).state, SubtestState::skip);
  EXPECT_EQ(state(3).state, SubtestState::fail);
  EXPECT_EQ(state(3).reason, "words");
  EXPECT_EQ(state(124).state, SubtestState::timeout);
  EXPECT_EQ(state(139).state, SubtestState::crash);
}

TEST(List, has_arguments_and_comments) {
  EXPECT_THAT(parse_suite_list("# all\na\n\n  b  -x 1 # why\n"),
              ElementsAre(ListedTest{"a", {}}, ListedTest{"b", {"-x", "1"}}));
}

TEST(Expectations, decide_what_is_told) {
  const SuiteTest failed = test_with("many magics", SubtestState::fail, "magic != 0");
  EXPECT_THAT(told(failed, {}), HasSubstr("t@many magics: Fail: magic != 0"));
  EXPECT_THAT(told(test_with("a", SubtestState::skip), {}), IsEmpty()) << "a skip is no failure";
  EXPECT_THAT(told(failed, parse_expectations("# known\nt@many magics,Fail\n", "", "")), IsEmpty());
  EXPECT_THAT(told(failed, parse_expectations("", "", "# by luck\nt@many *\n")), IsEmpty());
  EXPECT_THAT(
      told(test_with("a", SubtestState::pass), parse_expectations("# known\nt@a,Fail\n", "", "")),
      HasSubstr("t@a: Pass, and tests/x/fails says Fail"));
  EXPECT_THAT(told(failed, parse_expectations("# known\nt@many magics,Crash\n", "", "")),
              HasSubstr("Fail, and tests/x/fails says Crash"));
  EXPECT_THAT(told({.name = "t", .subtests = {}}, {}), HasSubstr("t: it has said nothing"));
}

TEST(Expectations, are_of_whole_names) {
  const SuiteTest failed = test_with("abc", SubtestState::fail, "no");
  EXPECT_THAT(told(failed, parse_expectations("", "", "# by luck\nt@ab\n")),
              HasSubstr("t@abc: Fail"));
}

TEST(Expectations, need_a_reason_for_each_line_and_a_state_that_there_is) {
  EXPECT_NO_THROW(parse_expectations("# both of them\na@b,Fail\na@c,Timeout\n", "", ""));
  EXPECT_THROW(parse_expectations("a@b,Fail\n", "", ""), Failure);
  EXPECT_THROW(parse_expectations("# why\n\na@b,Fail\n", "", ""), Failure);
  EXPECT_THROW(parse_expectations("", "#\na\n", ""), Failure);
  EXPECT_THROW(parse_expectations("# SPDX-License-Identifier: MIT\na@b,Fail\n", "", ""), Failure);
  EXPECT_THROW(parse_expectations("# why\na@b,Broken\n", "", ""), Failure);
  EXPECT_THROW(parse_expectations("# why\na@b\n", "", ""), Failure);
  EXPECT_THROW(parse_expectations("# why\na@b,Pass\n", "", ""), Failure);
}

TEST(Expectations, leave_out_tests_and_subtests_with_their_reasons) {
  const Expectations expected =
      parse_expectations("", "# no display,\n# at all\nt@kms-*\nt@slow\n# elsewhere\nu\n", "");
  EXPECT_TRUE(expected.leaves_out("u"));
  EXPECT_FALSE(expected.leaves_out("t"));
  EXPECT_THAT(expected.left_out_of("t"), ElementsAre("kms-*", "slow"));
  EXPECT_THAT(expected.left_out_of("v"), IsEmpty());
  EXPECT_EQ(expected.skips.at(1).reason, "no display, at all");
  EXPECT_EQ(expected.skips.at(2).reason, "elsewhere");
  // One that was run all the same is not left out.
  EXPECT_THAT(told(test_with("kms-flip", SubtestState::pass), expected),
              HasSubstr("t@kms-flip: it was run, and tests/x/skips says that it is not"));
}

TEST(Table, counts_and_says_why) {
  SuiteTest test = test_with("a", SubtestState::fail, "a | b");
  test.subtests.push_back({.name = "b", .state = SubtestState::pass, .reason = {}});
  test.subtests.push_back({.name = "c", .state = SubtestState::skip, .reason = "no c"});
  const Expectations expected =
      parse_expectations("", "# no display\nu\nv\n# too slow\nt@d\nt@e*\n", "");
  EXPECT_EQ(table_lines("x", {test}, expected),
            "| x | t | 1 | 1 | 1 | `a / b`, `no c` |\n"
            "| x | u, v | | | | not run: no display |\n"
            "| x | t | | | | not run: `d`, `e*`: too slow |\n");
}

// As stress-ng 0.19 prints it, shortened.
TEST(StressNg, that_was_skipped_did_not_pass) {
  const SuiteTest skipped = parse_stress_ng(
      {.name = "swap",
       .text = "stress-ng: info:  [7] swap: skipping stressor, no file for it\n"
               "stress-ng: info:  [6] skipped: 1: swap (1)\nstress-ng: info:  [6] passed: 0\n",
       .status = 0});
  EXPECT_EQ(skipped.subtests.at(0).state, SubtestState::skip);
  EXPECT_THAT(skipped.subtests.at(0).reason, HasSubstr("no file for it"));
  const SuiteTest passed = parse_stress_ng(
      {.name = "vm",
       .text = "stress-ng: info:  [6] skipped: 0\nstress-ng: info:  [6] passed: 1: vm (1)\n",
       .status = 0});
  EXPECT_EQ(passed.subtests.at(0).state, SubtestState::pass);
  const SuiteTest failed = parse_stress_ng(
      {.name = "vm",
       .text = "stress-ng: fail:  [7] vm: detected 3 bit errors\nstress-ng: info:  [6] skipped: 0\n"
               "stress-ng: info:  [6] unsuccessful run completed in 4 secs\n",
       .status = 2});
  EXPECT_EQ(failed.subtests.at(0).state, SubtestState::fail);
  EXPECT_THAT(failed.subtests.at(0).reason, HasSubstr("3 bit errors"));
}

constexpr const char* kDevice =
    "figment 0000:00:04.0 0x1234 0xf1e7\n"
    "--- Devices reported 1 ---\n"
    "device[0]\n"
    "+-> available_nodes 0x05\n"
    "+-> nodes\n"
    "|   +-> nodes[2] /dev/dri/renderD128\n"
    "+-> bustype 0000\n"
    "|   +-> pci\n"
    "|       +-> domain 0000\n"
    "|       +-> bus    00\n"
    "|       +-> dev    04\n"
    "|       +-> func   0\n"
    "+-> deviceinfo\n"
    "    +-> pci\n"
    "        +-> vendor_id     1234\n"
    "        +-> device_id     f1e7\n"
    "--- Opening device node /dev/dri/renderD128 ---\n";

TEST(DrmDevice, tells_of_each_gpu) {
  const auto states = [](std::string text) {
    std::vector<SubtestState> result;
    for (const Subtest& each :
         parse_drmdevice({.name = "d", .text = std::move(text), .status = 0}).subtests) {
      result.push_back(each.state);
    }
    return result;
  };
  constexpr SubtestState kPass = SubtestState::pass, kFail = SubtestState::fail;
  const std::string good = kDevice;
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    return text.replace(text.rfind(from), from.size(), to);
  };
  EXPECT_THAT(states(good), ElementsAre(kPass, kPass));
  EXPECT_THAT(states("figment 0000:00:05.0 0x1234 0xf1e7\n" + good),
              ElementsAre(kPass, kFail, kPass));
  EXPECT_THAT(states(with("f1e7", "f1e8")), ElementsAre(kPass, kFail));
  EXPECT_THAT(states(with("node /dev/dri/renderD128", "nothing")), ElementsAre(kPass, kFail));
  EXPECT_THAT(states(with("nodes[2] /dev/dri/renderD128", "nodes[0] /dev/dri/card0")),
              ElementsAre(kPass, kFail));
  EXPECT_THAT(states("--- Devices reported 0 ---\n"), ElementsAre(kPass, kFail));
}

}  // namespace
}  // namespace figment::host
