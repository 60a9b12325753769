// SPDX-License-Identifier: MIT
//
// Stacks of notifiers are read right, and belong to the places of the kernel that they come from.
#include "notifier_sites.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "event_report.h"
#include "page_kind.h"

namespace figment::stress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// As Linux 7.3.4 prints it; entries of two CPUs are mixed.
constexpr std::string_view kText =
    R"(  figment-stress-167     [001] .l...    13.332472: figment_notifier: device=0000:00:06.0 vm=0 strategy=fence svm=0 event=CLEAR start=0x7fde00a80000 end=0x7fde00a81000 busy=1 blockable=1
           ksmd-41      [000] .....    13.332480: figment_notifier: device=0000:00:06.0 vm=3 strategy=fault svm=1 event=UNMAP start=0x1000 end=0x2000 busy=0 blockable=1
  figment-stress-167     [001] .l...    13.332480: <stack trace>
 => trace_event_raw_event_figment_notifier
 => figment_notice_begin
 => figment_watched_invalidate_start
 => __mmu_notifier_invalidate_range_start
 => do_wp_page
 => __handle_mm_fault
CPU:0 [LOST 12 EVENTS]
           ksmd-41      [000] .....    13.332490: <stack trace>
 => figment_notice_begin
 => figment_mirror_invalidate
 => drm_gpusvm_notifier_invalidate [drm_gpusvm_helper]
 => __mmu_notifier_invalidate_range_start
 => try_to_unmap_one.isra.0
)";

NotifierCall call(std::string event, std::vector<std::string> stack) {
  return {.strategy = "fence",
          .svm = false,
          .event = std::move(event),
          .busy = true,
          .stack = std::move(stack)};
}

NotifierCall from(std::string caller, std::string event = "CLEAR") {
  return call(std::move(event),
              {"figment_notice_begin", "figment_watched_invalidate_start",
               "__mmu_notifier_invalidate_range_start", std::move(caller), "somebody"});
}

TEST(NotifierTrace, gives_each_call_its_own_stack) {
  const auto calls = parse_notifier_trace(kText);
  ASSERT_THAT(calls, SizeIs(2));
  const auto& [first, first_count] = *calls.rbegin();
  EXPECT_EQ(first.strategy, "fence");
  EXPECT_EQ(first.event, "CLEAR");
  EXPECT_TRUE(first.busy);
  EXPECT_FALSE(first.svm);
  EXPECT_EQ(first_count, 1u);
  EXPECT_THAT(first.stack, ElementsAre("trace_event_raw_event_figment_notifier",
                                       "figment_notice_begin", "figment_watched_invalidate_start",
                                       "__mmu_notifier_invalidate_range_start", "do_wp_page",
                                       "__handle_mm_fault"));
  const auto& second = calls.begin()->first;
  EXPECT_EQ(second.strategy, "fault");
  EXPECT_TRUE(second.svm);
  EXPECT_FALSE(second.busy);
  EXPECT_EQ(caller_of(second), "try_to_unmap_one");
}

TEST(NotifierTrace, counts_what_is_alike_and_keeps_what_has_no_stack) {
  const std::string twice = std::string(kText) + std::string(kText);
  for (const auto& [_, count] : parse_notifier_trace(twice)) EXPECT_EQ(count, 2u);
  const auto alone = parse_notifier_trace(kText.substr(0, kText.find('\n') + 1));
  ASSERT_THAT(alone, SizeIs(1));
  EXPECT_THAT(alone.begin()->first.stack, IsEmpty());
  EXPECT_EQ(site_of(alone.begin()->first), nullptr);
  EXPECT_THAT(parse_notifier_trace(""), IsEmpty());
}

TEST(NotifierTrace, may_come_in_parts) {
  const auto cut = kText.find("  figment-stress-167     [001] .l...    13.332480");
  NotifierTraceParser parser;
  EXPECT_THAT(parser.parse(kText.substr(0, cut)), IsEmpty());
  EXPECT_EQ(parser.parse(kText.substr(cut)), parse_notifier_trace(kText));
  EXPECT_THAT(parser.rest(), IsEmpty());
}

TEST(NotifierTrace, leaves_out_calls_of_a_mirror_that_concern_nobody) {
  const auto far = [](std::uint64_t start, std::uint64_t end) {
    EXPECT_EQ(start, 0x1000u);
    EXPECT_EQ(end, 0x2000u);
    return false;
  };
  const auto calls = parse_notifier_trace(kText, far);
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_FALSE(calls.begin()->first.svm);
}

TEST(NotifierSites, are_those_of_the_kernel_and_the_end_of_a_process) {
  EXPECT_EQ(notifier_sites().size(), 36u + 1u);
  std::set<std::string_view> names;
  std::set<std::string_view> known(notifier_events().begin(), notifier_events().end());
  EXPECT_EQ(known.size(), 8u);
  for (const auto& site : notifier_sites()) {
    EXPECT_TRUE(names.insert(site.name).second) << site.name;
    EXPECT_TRUE(known.contains(site.event)) << site.name;
    EXPECT_EQ(notifier_site_named(site.name), &site);
  }
}

TEST(NotifierSites, are_told_by_their_function_or_by_the_one_that_it_is_part_of) {
  EXPECT_EQ(site_of(from("unmap_vmas", "UNMAP")), notifier_site_named("unmap_vmas"));
  EXPECT_EQ(site_of(from("do_wp_page")), notifier_site_named("wp_page_copy"));
  EXPECT_EQ(site_of(from("change_protection", "PROTECTION_VMA")),
            notifier_site_named("change_pud_range"));
  EXPECT_EQ(
      site_of(call("RELEASE", {"figment_notice_begin", "__mmu_notifier_release", "exit_mmap"})),
      notifier_site_named("mn_itree_release"));
}

TEST(NotifierSites, have_one_type_of_event_each) {
  EXPECT_EQ(site_of(from("unmap_vmas", "CLEAR")), nullptr);
}

TEST(Coverage, counts_calls_of_a_busy_gpu_by_strategy) {
  Coverage coverage;
  NotifierCall idle = from("copy_page_range", "PROTECTION_PAGE");
  idle.busy = false;
  coverage.add({{idle, 5}});
  EXPECT_FALSE(coverage.reached("copy_page_range"));
  NotifierCall mirror = from("copy_page_range", "PROTECTION_PAGE");
  mirror.strategy = "fault";
  mirror.svm = true;
  coverage.add({{from("copy_page_range", "PROTECTION_PAGE"), 2}, {mirror, 1}});
  Coverage more;
  more.add({{mirror, 3}});
  coverage.add(more);
  const auto& site = *notifier_site_named("copy_page_range");
  EXPECT_EQ(coverage.count(site, "fence"), 2u);
  EXPECT_EQ(coverage.count(site, "svm"), 4u);
  EXPECT_EQ(coverage.count(site, "fault"), 0u);
  EXPECT_TRUE(coverage.reached_event("PROTECTION_PAGE", "svm"));
  EXPECT_FALSE(coverage.reached_event("CLEAR", "svm"));
  EXPECT_THAT(coverage.surprises(), IsEmpty());
}

TEST(Coverage, puts_calls_of_a_mirror_down_to_the_strategy_of_the_row) {
  NotifierCall mirror = from("copy_page_range", "PROTECTION_PAGE");
  mirror.strategy = "fault";
  mirror.svm = true;
  Coverage coverage;
  coverage.add({{from("copy_page_range", "PROTECTION_PAGE"), 2}, {mirror, 1}}, "svm-vram");
  const auto& site = *notifier_site_named("copy_page_range");
  EXPECT_EQ(coverage.count(site, "svm-vram"), 1u);
  EXPECT_EQ(coverage.count(site, "svm"), 0u);
  EXPECT_EQ(coverage.count(site, "fence"), 2u);
}

TEST(Coverage, tells_places_that_nobody_knows_with_their_stack) {
  Coverage coverage;
  coverage.add({{from("brand_new_function"), 7}});
  ASSERT_THAT(coverage.surprises(), SizeIs(1));
  EXPECT_THAT(coverage.surprises().front(), HasSubstr("7 calls of CLEAR"));
  EXPECT_THAT(coverage.surprises().front(), HasSubstr("< brand_new_function < somebody"));
}

TEST(Coverage, tells_places_that_were_said_to_be_out_of_reach) {
  Coverage coverage;
  coverage.add({{from("__split_huge_pud"), 1}});
  ASSERT_THAT(coverage.surprises(), SizeIs(1));
  EXPECT_THAT(coverage.surprises().front(), HasSubstr("__split_huge_pud was reached"));
}

TEST(CoverageReport, has_a_line_for_each_place_and_is_json_for_programs) {
  Coverage coverage;
  coverage.add({{from("do_wp_page"), 9}});
  const std::string table = coverage_table(coverage);
  for (const auto& site : notifier_sites()) EXPECT_THAT(table, HasSubstr(std::string(site.name)));
  const auto json = nlohmann::json::parse(to_json({}, coverage, "7.3.4"));
  ASSERT_EQ(json["coverage"].size(), 1u);
  EXPECT_EQ(json["coverage"][0], nlohmann::json({{"site", "wp_page_copy"},
                                                 {"function", "do_wp_page"},
                                                 {"event", "CLEAR"},
                                                 {"strategy", "fence"},
                                                 {"count", 9}}));
  ASSERT_EQ(json["sites"].size(), notifier_sites().size());
  for (const auto& site : json["sites"]) {
    EXPECT_EQ(site["reached"], site["site"] == "wp_page_copy");
    EXPECT_EQ(site["why"].is_null(),
              notifier_site_named(site["site"].get<std::string>())->why.empty());
  }
}

TEST(Events, name_places_that_exist_and_can_be_reached) {
  for (const Event* event : events()) {
    for (const PageKind* kind : kinds_of(*event)) {
      for (const auto name : sites_for(*event, *kind)) {
        const NotifierSite* site = notifier_site_named(name);
        ASSERT_NE(site, nullptr) << event->name << ": " << name;
        EXPECT_TRUE(site->why.empty()) << event->name << ": " << site->why;
      }
    }
  }
}

}  // namespace
}  // namespace figment::stress
