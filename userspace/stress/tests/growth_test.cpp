// SPDX-License-Identifier: MIT
//
// The plan and the results of the growth measurement, and what a trace of notifiers adds up to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "growth_report.h"

namespace figment::stress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StressStrategy strategy(std::string_view name) {
  for (const auto& one : growth_strategies(growth_axes().front())) {
    if (one.name == name) return one;
  }
  throw std::logic_error("no such strategy");
}

GrowthResult good_row() {
  return {.axis = "bytes",
          .strategy = strategy("fence"),
          .point = {.processes = 2, .ranges = 3, .bytes = 1_MiB},
          .none_us = {900.123},
          .idle_us = {1000.5, 1200},
          .busy_us = {5000},
          .bind_us = {300, 310},
          .first_job_us = {800},
          .rewrite_us = {9000},
          .jobs = 7,
          .gpu_words = 4096};
}

TEST(Growth, axes_grow_in_one_thing_only_and_as_far_as_they_say) {
  const GrowthAxis& processes = *growth_axis_named("processes");
  EXPECT_EQ(processes.points.front().processes, 1u);
  EXPECT_EQ(processes.points.back().processes, 64u);
  const GrowthAxis& ranges = *growth_axis_named("ranges");
  EXPECT_EQ(ranges.points.back().ranges, 4096u);
  for (const auto& point : ranges.points) EXPECT_EQ(point.process_bytes(), 16_MiB);
  const GrowthAxis& bytes = *growth_axis_named("bytes");
  EXPECT_EQ(bytes.points.front().bytes, 1_MiB);
  EXPECT_EQ(bytes.points.back().bytes, 1_GiB);
  EXPECT_EQ(growth_axis_named("sideways"), nullptr);
}

TEST(Growth, shared_virtual_memory_is_measured_beside_the_strategies) {
  EXPECT_TRUE(strategy("svm").svm);
  EXPECT_EQ(strategy("svm").vm, Strategy::fault);
  std::vector<std::string_view> names;
  for (const auto& one : growth_strategies(*growth_axis_named("bytes"))) names.push_back(one.name);
  EXPECT_THAT(names, ElementsAre("fence", "preempt", "fault", "svm", "pin"));
  EXPECT_TRUE(strategy("svm-vram").vram) << "its distribution is measured";
}

TEST(Growth, json_has_every_sample_and_what_was_planned) {
  const GrowthResult rows[] = {good_row()};
  const auto json = nlohmann::json::parse(to_json(rows, 9, "7.3.4"));
  EXPECT_EQ(json.at("planned"), 9);
  const auto& row = json.at("rows").at(0);
  EXPECT_EQ(row.at("fork_us_samples").at("none"), nlohmann::json({900.12}));
  EXPECT_EQ(row.at("fork_us_samples").at("idle"), nlohmann::json({1000.5, 1200.0}));
  EXPECT_EQ(row.at("ranges"), 3);
  EXPECT_TRUE(row.at("notifiers").is_null()) << "nothing was traced";
  EXPECT_TRUE(row.at("skipped").is_null());
  EXPECT_EQ(row.at("right"), true);
}

TEST(Growth, a_row_without_forks_or_with_corrupt_words_is_wrong_unless_it_is_the_control) {
  EXPECT_THAT(complaints(good_row()), IsEmpty());
  GrowthResult row = good_row();
  row.busy_us.clear();
  EXPECT_THAT(complaints(row), ElementsAre(HasSubstr("no fork")));
  row = good_row();
  row.corrupt_words = 3;
  row.first_corruption = "page 7";
  EXPECT_THAT(complaints(row), ElementsAre("3 words are corrupt; the first: page 7"));
  row.strategy = strategy("unsafe");
  EXPECT_THAT(complaints(row), IsEmpty());
}

TEST(Growth, a_skipped_row_says_so_in_both_forms) {
  GrowthResult row{.axis = "bytes", .strategy = strategy("pin"), .skipped = "too <little>"};
  EXPECT_THAT(complaints(row), IsEmpty());
  EXPECT_THAT(growth_line(row), HasSubstr("skipped: too <little>"));
  EXPECT_EQ(
      nlohmann::json::parse(to_json(std::span(&row, 1), 1, "k")).at("rows").at(0).at("skipped"),
      "too <little>");
}

}  // namespace
}  // namespace figment::stress
