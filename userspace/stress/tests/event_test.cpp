// SPDX-License-Identifier: MIT
//
// The table of events is well-formed, and which rows of it fail a run.
#include "event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "event_report.h"
#include "event_row.h"

namespace figment::stress {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Events, have_names_of_their_own) {
  std::set<std::string_view> names;
  for (const Event* event : events()) {
    EXPECT_TRUE(names.insert(event->name).second) << event->name;
    EXPECT_EQ(event_named(event->name), event);
  }
  EXPECT_EQ(event_named("earthquake"), nullptr);
}

TEST(Events, have_numbers_of_the_list_of_scenarios) {
  for (const Event* event : events()) {
    std::istringstream numbers{std::string(event->numbers)};
    unsigned count = 0;
    for (std::string number; std::getline(numbers, number, ','); ++count) {
      const int n = std::stoi(number);
      EXPECT_TRUE(n >= 1 && n <= 64) << event->name << ": " << number;
    }
    EXPECT_GT(count, 0u) << event->name;
  }
}

TEST(Events, say_what_they_are_and_do_it) {
  for (const Event* event : events()) {
    EXPECT_THAT(event->what, Not(IsEmpty())) << event->name;
    EXPECT_NE(event->run, nullptr) << event->name;
    EXPECT_GT(event->share, 0u) << event->name;
  }
}

TEST(Events, name_kinds_that_exist_and_each_once) {
  for (const Event* event : events()) {
    const auto kinds = kinds_of(*event);
    EXPECT_FALSE(kinds.empty()) << event->name;
    EXPECT_EQ(std::set(kinds.begin(), kinds.end()).size(), kinds.size()) << event->name;
  }
}

TEST(Events, of_which_the_first_happens_to_every_kind) {
  EXPECT_EQ(kinds_of(*events().front()).size(), page_kinds().size());
}

TEST(PageKinds, are_whole_and_lie_in_their_memory) {
  std::set<std::string_view> names;
  for (const PageKind& kind : page_kinds()) {
    EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
    EXPECT_GT(kind.pages, 0u);
    EXPECT_LE(kind.first + kind.pages, kind.area_pages) << kind.name;
  }
}

TEST(Rows, of_dontfork_are_only_for_who_forks) {
  const auto& dontfork = *stress_strategy_named("dontfork");
  EXPECT_TRUE(differs(*event_named("fork"), dontfork));
  EXPECT_FALSE(differs(*event_named("munmap"), dontfork));
  EXPECT_TRUE(differs(*event_named("munmap"), *stress_strategy_named("pin")));
}

TEST(Rows, must_catch_the_control_where_pages_are_copied) {
  EXPECT_TRUE(must_catch(*event_named("fork"), *page_kind_named("4k")));
  EXPECT_FALSE(must_catch(*event_named("fork"), *page_kind_named("memfd")));
  EXPECT_FALSE(must_catch(*event_named("fork"), *page_kind_named("hugetlb")));
  EXPECT_FALSE(must_catch(*event_named("fork-pinned"), *page_kind_named("4k")));
  EXPECT_FALSE(must_catch(*event_named("vfork"), *page_kind_named("4k")));
}

EventRowResult good_row(std::string_view strategy = "fence", std::string_view pages = "4k") {
  return {.strategy = *stress_strategy_named(strategy),
          .event = event_named("fork"),
          .pages = page_kind_named(pages),
          .rounds = 200,
          .event_us = {.count = 200, .min = 1, .p50 = 5000.4, .p99 = 9000.5, .max = 12000},
          .baseline_us = {.count = 40, .min = 1, .p50 = 1500, .p99 = 1600, .max = 1700},
          .gpu_words = 1'000'000};
}

TEST(EventComplaints, there_are_none_about_a_good_row) {
  EXPECT_THAT(complaints(good_row()), IsEmpty());
}

TEST(EventComplaints, one_corrupt_word_fails_a_safe_strategy) {
  EventRowResult row = good_row();
  row.corrupt_words = 1;
  row.first_corruption = "parent, page 3";
  ASSERT_THAT(complaints(row), Not(IsEmpty()));
  EXPECT_THAT(complaints(row).front(), HasSubstr("parent, page 3"));
}

TEST(EventComplaints, the_control_has_to_be_caught_where_it_can) {
  EventRowResult row = good_row("unsafe");
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  row.corrupt_words = 1;
  EXPECT_THAT(complaints(row), IsEmpty());
  row = good_row("unsafe", "memfd");
  EXPECT_THAT(complaints(row), IsEmpty());
}

TEST(EventComplaints, a_refusal_is_right_with_the_documented_errno_only) {
  EventRowResult row = good_row("fence", "hugetlb");
  EXPECT_THAT(complaints(row), Not(IsEmpty())) << "it was not refused";
  row.rounds = row.gpu_words = 0;
  row.refused = EOPNOTSUPP;
  EXPECT_THAT(complaints(row), IsEmpty());
  row.refused = EFAULT;
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  row = good_row();
  row.refused = EOPNOTSUPP;
  EXPECT_THAT(complaints(row), Not(IsEmpty())) << "4 KiB pages are not refused";
}

TEST(EventComplaints, a_row_that_did_nothing_fails_unless_it_was_skipped) {
  EventRowResult row = good_row();
  row.rounds = row.gpu_words = 0;
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  row.skipped = "there is no swap";
  EXPECT_THAT(complaints(row), IsEmpty());
  row.failures = {"kernel: BUG"};
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
}

TEST(EventReport, json_says_what_was_refused_and_what_was_skipped) {
  EventRowResult rows[] = {good_row(), good_row("fence", "hugetlb"), good_row()};
  rows[1].refused = EOPNOTSUPP;
  rows[2].skipped = "no swap";
  const auto json = nlohmann::json::parse(to_json(rows, "7.3.4"));
  EXPECT_EQ(json["kernel"], "7.3.4");
  EXPECT_EQ(json["rows"][0]["event"], "fork");
  EXPECT_EQ(json["rows"][0]["pages"], "4k");
  EXPECT_EQ(json["rows"][0]["strategy"], "fence");
  EXPECT_EQ(json["rows"][0]["forks"], 200);
  EXPECT_EQ(json["rows"][0]["fork_us"]["p99"], 9001);
  EXPECT_TRUE(json["rows"][0]["refused"].is_null());
  EXPECT_TRUE(json["rows"][0]["skipped"].is_null());
  EXPECT_EQ(json["rows"][1]["refused"], "EOPNOTSUPP");
  EXPECT_EQ(json["rows"][2]["skipped"], "no swap");
}

TEST(EventReport, table_fits_its_columns_with_large_numbers) {
  EventRowResult row = good_row("dontfork", "memfd-private");
  row.event = event_named("madv-dontneed-shared");
  row.rounds = 999'999;
  row.event_us = {.p50 = 9'999, .p99 = 99'999, .max = 999'999};
  row.gpu_words = 99'999'999'999;
  row.corrupt_words = 999'999'999;
  row.kernel_reports = 999'999;
  std::istringstream table(event_heading() + "\n" + event_line(row) + "\n");
  for (std::string line; std::getline(table, line);) EXPECT_LE(line.size(), 110u) << line;
}

TEST(EventReport, list_has_every_event_and_kind) {
  const std::string list = list_of_events();
  for (const Event* event : events()) EXPECT_THAT(list, HasSubstr(std::string(event->name)));
  for (const PageKind& kind : page_kinds()) EXPECT_THAT(list, HasSubstr(std::string(kind.name)));
}

}  // namespace
}  // namespace figment::stress
