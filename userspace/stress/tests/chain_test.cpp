// SPDX-License-Identifier: MIT
//
// Plan, limits and results of chains of GPUs, and the story that a trace tells.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "chain_report.h"
#include "chain_trace.h"

namespace figment::stress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// --- plan -----------------------------------------------------------------

std::vector<std::string> names_of(const std::vector<ChainConfig>& plan) {
  std::vector<std::string> names;
  for (const auto& row : plan) names.push_back(std::format("{} {}", info(row.kind).name, row.gpus));
  return names;
}

TEST(ChainPlan, has_as_many_gpus_as_there_are) {
  EXPECT_THAT(names_of(chain_plan({.kinds = {ChainKind::chain}}, 8)),
              ElementsAre("chain 2", "chain 4", "chain 8"));
  EXPECT_THAT(names_of(chain_plan({.kinds = {ChainKind::chain}}, 5)),
              ElementsAre("chain 2", "chain 4"));
  EXPECT_THROW((void)chain_plan({}, 1), std::runtime_error);
  EXPECT_THROW((void)chain_plan({.gpus = {3}}, 2), std::runtime_error);
}

TEST(ChainPlan, has_everything_but_hangs) {
  EXPECT_THAT(names_of(chain_plan({.gpus = {2, 4}}, 4)),
              ElementsAre("chain 2", "chain 4", "two-pass 2", "two-pass 4", "one-pass 2",
                          "one-pass 4", "pressure 4", "kswapd 4", "control 4"));
}

TEST(ChainPlan, hangs_once_and_only_a_gpu_that_is_in_the_chain) {
  const auto plan = chain_plan({.gpus = {2}, .kinds = {ChainKind::hang}, .hang = 1}, 2);
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_EQ(plan[0].rounds, 1u);
  EXPECT_EQ(plan[0].hang, 1u);
  EXPECT_THROW((void)chain_plan({.gpus = {2}, .kinds = {ChainKind::hang}, .hang = 2}, 2),
               std::runtime_error);
}

TEST(ChainPlan, controls_with_the_strategy_that_must_fail) {
  for (const auto& row : chain_plan({}, 2)) {
    EXPECT_EQ(row.strategy().safe, row.kind != ChainKind::control);
    EXPECT_EQ(row.strategy().vm,
              row.kind == ChainKind::control ? Strategy::unsafe : Strategy::fence);
  }
}

TEST(ChainPlan, gives_longer_jobs_to_the_control_so_that_fork_is_seen_not_to_wait) {
  const auto plan = chain_plan({.job = std::chrono::microseconds(100)}, 2);
  EXPECT_EQ(plan.front().job, std::chrono::microseconds(100));
  EXPECT_EQ(plan.back().kind, ChainKind::control);
  EXPECT_GT(plan.back().job, plan.front().job);
}

// --- trace ----------------------------------------------------------------

/// As Linux 7.3.4 prints it.
constexpr std::string_view kText =
    R"(  figment-stress-166     [001] .....    10.000100: drm_sched_job_queue: dev=0000:00:05.0, fence=12:7, ring=figment-queue, job count:0, hw job count:0, client_id:5
  figment-stress-166     [001] .....    10.000200: drm_sched_job_add_dep: fence=22:7 depends on fence=12:7
  figment-stress-166     [001] .....    10.000210: drm_sched_job_queue: dev=0000:00:06.0, fence=22:7, ring=figment-queue, job count:0, hw job count:0, client_id:6
  figment-stress-166     [001] .....    10.001000: figment_notifier: device=0000:00:05.0 vm=0 strategy=fence svm=0 event=PROTECTION_PAGE start=0x7f0000000000 end=0x7f0000100000 busy=1 blockable=1
  figment-stress-166     [001] .....    10.001050: figment_notifier: device=0000:00:06.0 vm=0 strategy=fence svm=0 event=PROTECTION_PAGE start=0x7f0000000000 end=0x7f0000100000 busy=1 blockable=1
  figment-stress-166     [001] .....    10.001100: dma_fence_wait_start: driver=drm_sched timeline=figment-queue context=12 seqno=7
             sh-9        [000] .....    10.002000: figment_notifier: device=0000:00:05.0 vm=4 strategy=fence svm=0 event=CLEAR start=0x7f0000000000 end=0x7f0000001000 busy=1 blockable=1
          <idle>-0       [000] d.h1.    10.006000: dma_fence_signaled: driver=drm_sched timeline=figment-queue context=12 seqno=7
  figment-stress-166     [001] .....    10.006100: dma_fence_wait_end: driver=drm_sched timeline=figment-queue context=12 seqno=7
  figment-stress-166     [001] .....    10.006200: figment_notifier_done: device=0000:00:05.0 vm=0 strategy=fence svm=0 event=PROTECTION_PAGE start=0x7f0000000000 end=0x7f0000100000 blockable=1 total_ns=5100000 waited_ns=5000000 pages=64
  figment-stress-166     [001] .....    10.006300: dma_fence_wait_start: driver=drm_sched timeline=figment-queue context=22 seqno=7
          <idle>-0       [000] d.h1.    10.011000: dma_fence_signaled: driver=drm_sched timeline=figment-queue context=22 seqno=7
  figment-stress-166     [001] .....    10.011050: dma_fence_wait_end: driver=drm_sched timeline=figment-queue context=22 seqno=7
  figment-stress-166     [001] .....    10.011200: figment_notifier_done: device=0000:00:06.0 vm=0 strategy=fence svm=0 event=PROTECTION_PAGE start=0x7f0000000000 end=0x7f0000100000 blockable=1 total_ns=4900000 waited_ns=4750000 pages=64
)";
constexpr pid_t kThread = 166;
constexpr std::uint64_t kStart = 0x7f00'0000'0000;
constexpr std::uint64_t kEnd = 0x7f00'0004'0000;

TEST(ChainTrace, tells_notifiers_of_each_device_and_what_they_waited_for) {
  const auto trace = parse_chain_trace(kText, kThread, kStart, kEnd);
  ASSERT_THAT(trace.notifiers, SizeIs(2));
  const auto& first = trace.notifiers[0];
  EXPECT_EQ(first.device, "0000:00:05.0");
  EXPECT_EQ(first.calls, 1u) << "another thread's notifier is not of this fork";
  EXPECT_NEAR(first.end_us - first.begin_us, 5200, 1);
  EXPECT_NEAR(first.total_us, 5100, 0.01);
  EXPECT_NEAR(first.waited_us, 5000, 0.01);
  ASSERT_THAT(first.waits, SizeIs(1));
  EXPECT_EQ(first.waits[0].fence, (FenceId{12, 7}));
  ASSERT_THAT(trace.notifiers[1].waits, SizeIs(1));
  EXPECT_NEAR(trace.notifiers[1].waits[0].end_us - trace.notifiers[1].waits[0].begin_us, 4750, 1);
  EXPECT_NEAR(trace.end_us() - trace.begin_us(), 10200, 1);
}

TEST(ChainTrace, tells_what_jobs_wait_for) {
  const auto trace = parse_chain_trace(kText, kThread, kStart, kEnd);
  ASSERT_THAT(trace.jobs, SizeIs(2));
  const auto& second = trace.jobs.at({22, 7});
  EXPECT_EQ(second.device, "0000:00:06.0");
  EXPECT_THAT(second.waits_for, ElementsAre(FenceId{12, 7}));
  EXPECT_NEAR(second.signalled_us, 10.011e6, 1);
}

TEST(ChainTrace, is_a_story) {
  const std::string buses[] = {"0000:00:05.0", "0000:00:06.0"};
  const auto lines = chain_story(parse_chain_trace(kText, kThread, kStart, kEnd), kThread, buses);
  EXPECT_THAT(
      lines, ElementsAre(
                 "fork() of 166 at 10.001000 s: 2 GPUs are told, and the pages are the kernel's at "
                 "+10.20 ms",
                 "  the notifier of gpu0 is called at +0.00 ms, ends at +5.20 ms",
                 "    waits 5.00 ms, from +0.10 ms on, for fence gpu0:12:7",
                 "  the notifier of gpu1 is called at +0.05 ms, ends at +10.20 ms",
                 "    waits 4.75 ms, from +5.30 ms on, for fence gpu1:22:7",
                 "      which waits for fence gpu0:12:7, signalled at +5.00 ms"));
}

TEST(ChainTrace, counts_notifiers_of_busy_gpus_by_any_thread) {
  EXPECT_EQ(count_busy_calls(kText, kStart, kEnd), 3u);
  EXPECT_EQ(count_busy_calls(kText, kStart + 0x1000, kEnd), 2u);
  EXPECT_EQ(count_busy_calls(kText, kStart + 0x10'0000, kStart + 0x20'0000), 0u);
  EXPECT_EQ(count_busy_calls(kText, kStart, kEnd, "nobody"), 0u);
}

TEST(ChainTrace, of_a_notifier_without_an_end_is_an_error) {
  const auto cut = kText.substr(0, kText.find("figment_notifier_done"));
  EXPECT_THROW((void)parse_chain_trace(cut, kThread, kStart, kEnd), std::runtime_error);
}

TEST(ChainTrace, with_a_field_missing_is_an_error) {
  EXPECT_THROW(
      (void)parse_chain_trace("  a-1 [000] ..... 1.000000: figment_notifier: device=x\n", 1, 0, 9),
      std::runtime_error);
}

// --- judgement ------------------------------------------------------------

ChainResult row_of(ChainKind kind, unsigned gpus) {
  ChainResult row{.config = {.kind = kind, .gpus = gpus}};
  row.gpu_words = 1000;
  row.story = {"once upon a time"};
  row.idle = {{.notifier_us = 100}, {.notifier_us = 200}};
  return row;
}

TEST(ChainBound, is_the_longest_chain_and_one_and_a_half_idle_notifiers) {
  ChainResult row = row_of(ChainKind::chain, 4);
  row.busy = {{.notifier_us = 40'299, .chain_us = 39'000}, {.notifier_us = 5, .chain_us = 40'000}};
  EXPECT_DOUBLE_EQ(row.limit_us(), 40'300);
  EXPECT_THAT(complaints(row), IsEmpty());
  row.busy[0].notifier_us = 40'301;
  EXPECT_THAT(complaints(row), ElementsAre("a notifier took 40.3 ms, and may take 40.3"));
}

TEST(ChainBound, of_gpus_with_jobs_of_their_own_is_the_slowest_not_the_sum) {
  ChainResult row = row_of(ChainKind::two_pass, 4);
  row.busy = {{.notifier_us = 30'200, .jobs_us = 80'000, .slowest_us = 20'000}};
  EXPECT_THAT(complaints(row), IsEmpty());
  row.busy[0].notifier_us = 60'000;
  EXPECT_THAT(complaints(row), ElementsAre(HasSubstr("may take 30.3")));
}

TEST(ChainBound, fails_the_control_of_one_pass_when_it_does_not_see_the_sum) {
  ChainResult row = row_of(ChainKind::one_pass, 4);
  row.busy = {{.notifier_us = 60'000, .jobs_us = 80'000, .slowest_us = 20'000}};
  EXPECT_THAT(complaints(row), IsEmpty());
  row.busy[0].notifier_us = 20'000;
  EXPECT_THAT(complaints(row), ElementsAre(HasSubstr("blind")));
  row.config.gpus = 2;
  EXPECT_THAT(complaints(row), IsEmpty()) << "with two GPUs the sum is no proof";
}

TEST(ChainBound, and_the_sum_are_apart_from_four_gpus_on) {
  // All GPUs with the same work, and an idle notifier that is nothing beside it.
  EXPECT_GE(one_pass_least(kSumIsSeen * 1.0), apart_limit(1.0, 0) * 4 / 3);
}

TEST(ChainRow, with_corrupt_words_is_wrong_unless_it_is_the_control) {
  ChainResult row = row_of(ChainKind::pressure, 2);
  row.busy_calls = 1;
  EXPECT_THAT(complaints(row), IsEmpty());
  row.corrupt_words = 3;
  row.first_corruption = "page 7";
  EXPECT_THAT(complaints(row), ElementsAre("3 words are corrupt; the first: page 7"));
  row = row_of(ChainKind::control, 2);
  EXPECT_THAT(complaints(row), SizeIs(2));
  row.corrupt_words = 3;
  row.early_forks = 1;
  EXPECT_THAT(complaints(row), IsEmpty());
}

TEST(ChainRow, that_has_not_seen_what_it_is_about_is_wrong) {
  EXPECT_THAT(complaints(row_of(ChainKind::pressure, 2)), ElementsAre(HasSubstr("no page")));
  EXPECT_THAT(complaints(row_of(ChainKind::kswapd, 2)), ElementsAre(HasSubstr("kswapd has not")));
  ChainResult row = row_of(ChainKind::hang, 2);
  EXPECT_THAT(complaints(row), ElementsAre(HasSubstr("the job that hung")));
  row.hang_error = ETIME;
  EXPECT_THAT(complaints(row), IsEmpty());
  row.story.clear();
  EXPECT_THAT(complaints(row), ElementsAre(HasSubstr("tells nothing")));
  row = row_of(ChainKind::chain, 2);
  row.early_forks = 1;
  EXPECT_THAT(complaints(row), ElementsAre(HasSubstr("before the jobs of the chain had ended")));
  row.gpu_words = 0;
  EXPECT_THAT(complaints(row), testing::Contains(HasSubstr("no GPU word")));
}

TEST(ChainReport, has_every_fork_and_what_was_planned) {
  ChainResult rows[] = {row_of(ChainKind::chain, 4)};
  rows[0].busy = {{.fork_us = 42'000.123,
                   .notifier_us = 40'000,
                   .device_us = 11'000,
                   .waited_us = 39'000,
                   .devices = 4,
                   .chain_us = 40'000,
                   .jobs_us = 39'500,
                   .slowest_us = 10'100}};
  const auto json = nlohmann::json::parse(to_json(rows, 9, "7.3.4"));
  EXPECT_EQ(json.at("planned"), 9);
  const auto& row = json.at("rows").at(0);
  EXPECT_EQ(row.at("row"), "chain");
  EXPECT_EQ(row.at("strategy"), "fence");
  EXPECT_THAT(row.at("idle"), SizeIs(2));
  EXPECT_EQ(row.at("busy").at(0).at("fork_us"), 42'000.12);
  EXPECT_EQ(row.at("busy").at(0).at("jobs_us"), 39'500.0);
  EXPECT_EQ(row.at("limit_us"), 40'300.0);
  EXPECT_EQ(row.at("ratio"), 1.0);
  EXPECT_EQ(row.at("story").at(0), "once upon a time");
  EXPECT_EQ(row.at("right"), true);
}

TEST(ChainReport, says_why_a_row_was_skipped) {
  ChainResult row = row_of(ChainKind::pressure, 2);
  row.skipped = "there is no swap";
  EXPECT_THAT(complaints(row), IsEmpty());
  EXPECT_THAT(chain_line(row), HasSubstr("skipped: there is no swap"));
}

TEST(ChainReport, lines_are_as_wide_as_their_heading_says) {
  const std::string heading = chain_heading();
  EXPECT_LE(heading.substr(heading.find('\n') + 1).size(), 100u);
  ChainResult row = row_of(ChainKind::two_pass, 8);
  row.busy = {{.notifier_us = 30'000, .slowest_us = 20'000}};
  EXPECT_THAT(chain_line(row), HasSubstr("20.00"));
  EXPECT_THAT(chain_line(row), HasSubstr("1.50"));
}

}  // namespace
}  // namespace figment::stress
