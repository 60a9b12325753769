// SPDX-License-Identifier: MIT
#include "ktap.h"

#include <format>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace figment::host {
namespace {

using testing::ElementsAre;

std::vector<std::string> told(std::string_view text, int status = 0) {
  std::vector<std::string> lines;
  for (const Subtest& each :
       parse_ktap({.name = "t", .text = std::string(text), .status = status}).subtests) {
    lines.push_back(std::format("{} {}{}", each.name, name_of(each.state),
                                each.reason.empty() ? "" : ": " + each.reason));
  }
  return lines;
}

// As a kernel's log has it, shortened.
constexpr std::string_view kUnit =
    "[    1.0] KTAP version 1\n"
    "[    1.0] 1..1\n"
    "[    1.0]     KTAP version 1\n"
    "[    1.0]     # Subtest: s\n"
    "[    1.0]     # module: m\n"
    "[    1.0]     1..3\n"
    "[    1.1][  T12]     ok 1 first\n"
    "[    1.1]         KTAP version 1\n"
    "[    1.1]         # Subtest: second\n"
    "[    1.1]         ok 1 A queue of jobs\n"
    "[    1.1]     # second: EXPECTATION FAILED at x.c:12\n"
    "[    1.1]         not ok 2 Two queues\n"
    "[    1.1]     # second: pass:1 fail:1 skip:0 total:2\n"
    "[    1.1]     not ok 2 second\n"
    "[    1.1]     ok 3 third # SKIP no need\n"
    "[    1.2] # s: pass:1 fail:1 skip:1 total:3\n"
    "[    1.2] not ok 1 s\n";

TEST(Ktap, results_are_those_with_none_below_them) {
  EXPECT_THAT(told(kUnit),
              ElementsAre("s.first Pass", "s.second.A queue of jobs Pass",
                          "s.second.Two queues Fail: second: EXPECTATION FAILED at x.c:12",
                          "s.third Skip: no need"));
}

TEST(Ktap, a_module_may_be_loaded_several_times) {
  const std::string once =
      "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..1\n    ok 1 a\nok 1 s\n";
  EXPECT_THAT(told(once + once), ElementsAre("s.a Pass", "s.a Pass"));
}

TEST(Ktap, a_sum_that_is_worse_than_its_parts_has_failed) {
  EXPECT_THAT(told("1..1\n    # Subtest: s\n    1..1\n    ok 1 a\n# s: no exit\nnot ok 1 s\n"),
              ElementsAre("s.a Pass", "s Fail: s: no exit"));
}

TEST(Ktap, what_was_planned_has_to_come) {
  EXPECT_THAT(told("TAP version 13\n1..3\nok 1 a\nok 2 b\n"),
              ElementsAre("a Pass", "b Pass", " Fail: 2 of 3 have reported"));
  EXPECT_THAT(told("1..1\n    # Subtest: s\n    1..2\n    ok 1 a\nok 1 s\n"),
              ElementsAre("s.a Pass", "s Fail: 1 of 2 have reported"));
}

TEST(Ktap, a_filter_that_lets_nothing_through_has_failed) {
  EXPECT_THAT(told("KTAP version 1\n1..0\n"), ElementsAre(" Fail: it has nothing to run"));
  EXPECT_THAT(told("TAP version 13\n1..0 # SKIP no device\n", 4), ElementsAre(" Skip: no device"));
}

// As kselftest.h and kselftest_harness.h write it.
TEST(Ktap, of_selftests_has_skips_of_two_kinds_and_expected_failures) {
  EXPECT_THAT(told("TAP version 13\n1..5\n"
                   "#  RUN           hmm.open_close ...\n#            OK  hmm.open_close\n"
                   "ok 1 hmm.open_close\n"
                   "#      SKIP      Not enough huge pages\nok 2 hmm.compound # SKIP Not enough\n"
                   "# [RUN] Basic COW ... with hugetlb\n# need more free huge pages\nok 3 # SKIP "
                   "Basic COW ... with hugetlb\n"
                   "not ok 4 known # XFAIL\n"
                   "# cow.c:7: it is there\nnot ok 5 vmsplice() # 2\n"
                   "# Totals: pass:1 fail:1\n",
                   1),
              ElementsAre("hmm.open_close Pass", "hmm.compound Skip: Not enough",
                          "Basic COW ... with hugetlb Skip: need more free huge pages",
                          "known Pass", "vmsplice() Fail: cow.c:7: it is there"));
}

TEST(Ktap, the_exit_status_says_what_nothing_else_does) {
  EXPECT_THAT(told("# no device\n", 4), ElementsAre(" Skip: no device"));
  EXPECT_THAT(told("1..2\nok 1 a\n", 139), ElementsAre("a Pass", " Crash: exit status 139"));
  EXPECT_THAT(told("1..2\nok 1 a\n", 124), ElementsAre("a Pass", " Timeout: exit status 124"));
  EXPECT_THAT(told("1..1\nok 1 a\n# opening pagemap failed\n", 1),
              ElementsAre("a Pass", " Fail: opening pagemap failed"));
  EXPECT_THAT(told("", 0), ElementsAre()) << "whoever judges it complains";
}

TEST(Ktap, is_not_confused_by_others_in_the_log) {
  EXPECT_THAT(told("ok\nok then\nnot ok\n1..x\n# Subtest: \n[ 1.0] usb 1-1: ok 1\n"),
              ElementsAre());
}

}  // namespace
}  // namespace figment::host
