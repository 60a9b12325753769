// SPDX-License-Identifier: MIT
//
// The forms of the results, and which results fail a run.
#include "report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace figment::stress {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

RowResult good_row() {
  return {.strategy = *stress_strategy_named("fence"),
          .scenario = "child-writes",
          .forks = 250,
          .fork_us = {.count = 250, .min = 1, .p50 = 5000.4, .p99 = 9000.5, .max = 12000},
          .baseline_fork_us = {.count = 40, .min = 1, .p50 = 1500, .p99 = 1600, .max = 1700},
          .jobs = 10,
          .gpu_words = 1'000'000};
}

TEST(Report, json_has_exactly_the_agreed_form) {
  const RowResult rows[] = {good_row()};
  EXPECT_EQ(to_json(rows, "7.3.4"), R"({"version":1,"kernel":"7.3.4","rows":[{"strategy":"fence",)"
                                    R"("scenario":"child-writes","forks":250,)"
                                    R"("fork_us":{"p50":5000,"p99":9001,"max":12000},)"
                                    R"("baseline_fork_us":{"p50":1500,"p99":1600,"max":1700},)"
                                    R"("gpu_words":1000000,"corrupt_words":0,"kernel_reports":0}]})"
                                    "\n");
}

TEST(Report, json_without_rows_has_an_empty_list) {
  EXPECT_EQ(to_json({}, "k"), "{\"version\":1,\"kernel\":\"k\",\"rows\":[]}\n");
}

TEST(Report, table_fits_a_hundred_columns_with_large_numbers) {
  RowResult row = good_row();
  row.strategy = *stress_strategy_named("dontfork");
  row.scenario = "parent-writes";
  row.forks = 999'999;
  row.fork_us = {.p50 = 99'999, .p99 = 999'999, .max = 999'999};
  row.baseline_fork_us = {.p50 = 9'999, .p99 = 99'999, .max = 99'999};
  row.gpu_words = 999'999'999'999;
  row.corrupt_words = 999'999'999;
  row.kernel_reports = 9'999'999;
  std::istringstream table(table_heading() + "\n" + table_line(row) + "\n");
  for (std::string line; std::getline(table, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(Complaints, there_are_none_about_a_good_row) {
  EXPECT_THAT(complaints(good_row()), IsEmpty());
}

TEST(Complaints, one_corrupt_word_fails_a_safe_strategy) {
  RowResult row = good_row();
  row.corrupt_words = 1;
  row.first_corruption = "parent, page 3";
  ASSERT_THAT(complaints(row), Not(IsEmpty()));
  EXPECT_THAT(complaints(row).front(), HasSubstr("parent, page 3"));
}

TEST(Complaints, corruption_is_what_the_control_is_for) {
  RowResult row = good_row();
  row.strategy = *stress_strategy_named("unsafe");
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  row.corrupt_words = 1;
  EXPECT_THAT(complaints(row), IsEmpty());
}

TEST(Complaints, a_row_that_did_nothing_fails) {
  RowResult row = good_row();
  row.forks = 0;
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  row = good_row();
  row.gpu_words = 0;
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
}

TEST(Complaints, a_row_in_vram_that_never_was_there_fails) {
  RowResult row = good_row();
  row.strategy = *stress_strategy_named("svm-vram");
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  row.vram_pages = 1;
  EXPECT_THAT(complaints(row), IsEmpty());
}

TEST(Complaints, a_failed_process_fails_the_row) {
  RowResult row = good_row();
  row.failures = {"process 0: a child died of signal 9 (Killed)"};
  EXPECT_EQ(complaints(row), row.failures);
}

}  // namespace
}  // namespace figment::stress
