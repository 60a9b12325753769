// SPDX-License-Identifier: MIT
#include "gtest_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_sources.h"

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kLog =
    "[==========] Running 4 tests from 1 test suite.\n"
    "[ RUN      ] Bind.works\n"
    "[       OK ] Bind.works (12 ms)\n"
    "[ RUN      ] Bind.breaks\n"
    "bind_test.cpp:7: Failure\nExpected equality\n"
    "[  FAILED  ] Bind.breaks (3 ms)\n"
    "[ RUN      ] Bind.needs/vram\n"
    "bind_test.cpp:9: Skipped\nno VRAM\n\n"
    "[  SKIPPED ] Bind.needs/vram (0 ms)\n"
    "[ RUN      ] Bind.counts/0\n"
    "no newline[  FAILED  ] Bind.counts/0, where GetParam() = 8 (1 ms)\n"
    "[==========] 4 tests from 1 test suite ran. (16 ms total)\n"
    "[  FAILED  ] 2 tests, listed below:\n"
    "[  FAILED  ] Bind.breaks\n";

TEST(GtestLog, has_every_verdict_once_however_it_arrives) {
  for (const std::size_t piece : {1ul, 7ul, 4096ul}) {
    GtestLog log;
    std::vector<TestResult> results;
    for (std::size_t at = 0; at < kLog.size(); at += piece) {
      for (auto& result : log.feed(kLog.substr(at, piece))) results.push_back(std::move(result));
    }
    EXPECT_THAT(results,
                ElementsAre(TestResult{"Bind.works", Outcome::passed, "", 12},
                            TestResult{"Bind.breaks", Outcome::failed,
                                       "bind_test.cpp:7: Failure\nExpected equality\n", 3},
                            TestResult{"Bind.needs/vram", Outcome::skipped, "no VRAM", 0},
                            TestResult{"Bind.counts/0", Outcome::failed, "no newline", 1}));
    EXPECT_FALSE(log.unfinished());
  }
}

TEST(GtestLog, names_the_test_that_crashed) {
  GtestLog log;
  EXPECT_THAT(log.feed("[ RUN      ] Bind.crashes\nlast words"), IsEmpty());
  ASSERT_TRUE(log.unfinished());
  EXPECT_EQ(log.unfinished()->name, "Bind.crashes");
  EXPECT_EQ(log.unfinished()->outcome, Outcome::failed);
  EXPECT_EQ(log.unfinished()->detail, "last words");
}

TEST(GtestList, has_full_names_and_no_disabled_tests) {
  EXPECT_THAT(parse_test_list("Running main() from gtest_main.cc\n"
                              "Bind.\n"
                              "  works\n"
                              "  DISABLED_not_yet\n"
                              "Each/Sizes.  # TypeParam = int\n"
                              "  fits/0  # GetParam() = 4096\n"
                              "  fits/big\n"),
              ElementsAre("Bind.works", "Each/Sizes.fits/0", "Each/Sizes.fits/big"));
}

TEST(Selection, is_by_part_or_by_glob) {
  EXPECT_TRUE(is_selected("guest.Bind.works", {}));
  EXPECT_TRUE(is_selected("guest.Bind.works", {"Bind"}));
  EXPECT_TRUE(is_selected("guest.Bind.works", {"nothing", "guest.*"}));
  EXPECT_FALSE(is_selected("guest.Bind.works", {"model"}));
  EXPECT_FALSE(is_selected("guest.Bind.works", {"Bind*"}));
}

TEST(Selection, only_whole_prefixes_rule_sources_out) {
  const std::vector<std::string> all{"guest.", "demo.", "model."};
  EXPECT_TRUE(may_match("guest.", all, {}));
  EXPECT_TRUE(may_match("guest.", all, {"guest.Bind"}));
  EXPECT_FALSE(may_match("model.", all, {"guest.Bind", "demo.*"}));
  EXPECT_TRUE(may_match("model.", all, {"guest.Bind", "Walker"}));
  EXPECT_TRUE(may_match("model.", all, {"*"}));
}

// A program that does what `script` says for each filter that it is run with.
std::vector<TestResult> run_scripted(
    std::vector<std::string> tests,
    const std::function<std::pair<std::string, GtestRun>(const std::string&)>& script) {
  std::vector<TestResult> results;
  run_gtest("p.", std::move(tests),
            [&](const std::string& filter, const auto& output) {
              const auto [text, run] = script(filter);
              output(text);
              return run;
            },
            [&](const TestResult& result) { results.push_back(result); });
  return results;
}

TEST(RunGtest, goes_on_after_a_crash_without_what_is_done) {
  std::vector<std::string> filters;
  const auto results = run_scripted({"A.a", "A.b", "A.c"}, [&](const std::string& filter) {
    filters.push_back(filter);
    if (filters.size() == 1) {
      return std::pair{std::string{"[ RUN      ] A.a\n[       OK ] A.a (1 ms)\n[ RUN      ] A.b\n"},
                       GtestRun{139, ""}};
    }
    return std::pair{std::string{"[ RUN      ] A.c\n[       OK ] A.c (1 ms)\n"}, GtestRun{0, ""}};
  });
  EXPECT_THAT(filters, ElementsAre("A.a:A.b:A.c", "A.c"));
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[1].name, "p.A.b");
  EXPECT_EQ(results[1].outcome, Outcome::failed);
  EXPECT_THAT(results[1].detail, HasSubstr("139"));
  EXPECT_EQ(results[2].outcome, Outcome::passed);
}

TEST(RunGtest, a_program_that_runs_nothing_fails_all) {
  const auto results = run_scripted(
      {"A.a", "A.b"}, [](const std::string&) { return std::pair{std::string{}, GtestRun{1, ""}}; });
  ASSERT_EQ(results.size(), 2u);
  for (const auto& result : results) EXPECT_EQ(result.outcome, Outcome::failed);
}

TEST(RunGtest, a_bad_end_after_good_tests_is_a_failure) {
  const auto results = run_scripted({"A.a"}, [](const std::string&) {
    return std::pair{std::string{"[ RUN      ] A.a\n[       OK ] A.a (1 ms)\n"}, GtestRun{1, ""}};
  });
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].outcome, Outcome::passed);
  EXPECT_EQ(results[1].name, "p.Program.ends_well");
  EXPECT_EQ(results[1].outcome, Outcome::failed);
}

}  // namespace
}  // namespace figment::host
