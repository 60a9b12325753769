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

using testing::ElementsAre;
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

TEST(Events, reach_places_that_depend_on_the_kind_of_pages) {
  const Event event{.name = "e", .pages = "4k thp hugetlb", .reaches = "a b thp:c thp:d"};
  EXPECT_THAT(sites_for(event, *page_kind_named("4k")), ElementsAre("a", "b"));
  EXPECT_THAT(sites_for(event, *page_kind_named("thp")), ElementsAre("c", "d"));
  EXPECT_THAT(sites_for(Event{}, *page_kind_named("4k")), IsEmpty());
}

TEST(Events, have_a_row_of_the_quick_table_for_kinds_that_they_have) {
  for (const Event* event : events()) {
    EXPECT_GT(event->quick_kinds, 0u) << event->name;
    EXPECT_LE(event->quick_kinds, kinds_of(*event).size()) << event->name;
  }
}

TEST(Events, of_which_the_first_happens_to_every_kind) {
  EXPECT_EQ(kinds_of(*events().front()).size(), page_kinds().size());
}

TEST(Events, name_strategies_that_exist) {
  for (const Event* event : events()) {
    std::istringstream names{std::string(event->strategies)};
    for (std::string name; names >> name;) {
      EXPECT_NE(stress_strategy_named(name), nullptr) << event->name << ": " << name;
    }
  }
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
  const auto& pages = *page_kind_named("4k");
  EXPECT_TRUE(differs(*event_named("fork"), pages, dontfork));
  EXPECT_FALSE(differs(*event_named("munmap"), pages, dontfork));
  EXPECT_TRUE(differs(*event_named("munmap"), pages, *stress_strategy_named("pin")));
}

TEST(Rows, in_vram_are_only_for_pages_that_go_there) {
  const auto& in_vram = *stress_strategy_named("svm-vram");
  const auto& fork = *event_named("fork");
  for (const char* kind : {"4k", "partial", "thp", "thp-split", "zero"}) {
    EXPECT_TRUE(differs(fork, *page_kind_named(kind), in_vram)) << kind;
  }
  for (const char* kind :
       {"swapped", "hugetlb", "shmem", "memfd", "memfd-private", "file-private"}) {
    EXPECT_FALSE(differs(fork, *page_kind_named(kind), in_vram)) << kind;
    EXPECT_TRUE(differs(fork, *page_kind_named(kind), *stress_strategy_named("svm"))) << kind;
  }
  const auto& pages = *page_kind_named("4k");
  EXPECT_FALSE(differs(*event_named("rebind"), pages, in_vram)) << "nothing is bound";
  EXPECT_FALSE(differs(*event_named("zero-huge"), pages, in_vram)) << "it is beside the range";
}

TEST(Rows, of_moves_are_only_for_memory_that_the_gpu_shares) {
  const auto& pages = *page_kind_named("4k");
  const auto& move = *event_named("vram-move");
  EXPECT_TRUE(differs(move, pages, *stress_strategy_named("svm")));
  EXPECT_TRUE(differs(move, pages, *stress_strategy_named("svm-vram")));
  EXPECT_FALSE(differs(move, pages, *stress_strategy_named("fault")));
  EXPECT_FALSE(differs(*event_named("vram-full"), pages, *stress_strategy_named("svm")));
}

TEST(Rows, reach_a_notifier_where_the_kernel_touches_the_pages) {
  const auto& pageout = *event_named("madv-pageout");
  const auto& pages = *page_kind_named("4k");
  const auto reach = [&](const Event& event, std::string_view strategy) {
    return must_reach(event, pages, *stress_strategy_named(strategy));
  };
  EXPECT_THAT(reach(pageout, "svm"), testing::Contains("try_to_unmap_one"));
  EXPECT_THAT(reach(pageout, "svm-vram"), testing::IsEmpty());
  EXPECT_THAT(reach(pageout, "pin"), testing::IsEmpty());
  EXPECT_THAT(reach(*event_named("munmap"), "svm-vram"), testing::Contains("unmap_vmas"));
  for (const char* strategy : {"preempt", "fault", "svm"}) {
    EXPECT_THAT(reach(*event_named("fork-both"), strategy), testing::Contains("wp_page_copy"));
  }
  EXPECT_THAT(reach(*event_named("fork-both"), "fence"), testing::IsEmpty()) << "by luck only";
}

TEST(Rows, must_catch_the_control_where_pages_are_copied) {
  EXPECT_TRUE(must_catch(*event_named("fork"), *page_kind_named("4k")));
  EXPECT_FALSE(must_catch(*event_named("fork"), *page_kind_named("memfd")));
  EXPECT_FALSE(must_catch(*event_named("fork"), *page_kind_named("file-shared")));
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

TEST(EventComplaints, a_row_in_vram_that_never_was_there_fails) {
  EventRowResult row = good_row("svm-vram");
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  row.vram_pages = 1;
  EXPECT_THAT(complaints(row), IsEmpty());
  EXPECT_THAT(complaints(good_row("svm")), IsEmpty());
}

TEST(EventComplaints, a_refusal_is_right_with_the_documented_errno_only) {
  EventRowResult row = good_row("pin", "file-shared");
  EXPECT_THAT(complaints(row), Not(IsEmpty())) << "it was not refused";
  row.rounds = row.gpu_words = 0;
  row.refused = EOPNOTSUPP;
  EXPECT_THAT(complaints(row), IsEmpty());
  row.refused = EFAULT;
  EXPECT_THAT(complaints(row), Not(IsEmpty()));
  for (auto wrong : {good_row(), good_row("fence", "file-shared")}) {
    EXPECT_THAT(complaints(wrong), IsEmpty());
    wrong.refused = EOPNOTSUPP;
    EXPECT_THAT(complaints(wrong), Not(IsEmpty())) << wrong.pages->name << " is not refused";
  }
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
  EventRowResult rows[] = {good_row(), good_row("pin", "file-shared"), good_row()};
  rows[1].refused = EOPNOTSUPP;
  rows[2].skipped = "no swap";
  const auto json = nlohmann::json::parse(to_json(rows, Coverage{}, "7.3.4"));
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

TEST(EventReport, catalogue_says_why_memory_is_refused_and_only_then) {
  const auto catalogue = nlohmann::json::parse(catalogue_json());
  EXPECT_EQ(catalogue["events"].size(), events().size());
  EXPECT_EQ(catalogue["strategies"].size(), kStressStrategies.size());
  ASSERT_EQ(catalogue["pages"].size(), page_kinds().size());
  for (const auto& kind : catalogue["pages"]) {
    EXPECT_EQ(kind["refused"].is_null(), kind["why"] == "") << kind;
  }
}

TEST(EventReport, json_has_the_complaints_about_a_row) {
  EventRowResult row = good_row("fence", "4k");
  row.failures = {"kernel: BUG"};
  const auto json = nlohmann::json::parse(to_json(std::span(&row, 1), Coverage{}, "k"));
  EXPECT_EQ(json["rows"][0]["complaints"], nlohmann::json({"kernel: BUG"}));
  EXPECT_EQ(json["rows"][0]["right"], false);
}

}  // namespace
}  // namespace figment::stress
