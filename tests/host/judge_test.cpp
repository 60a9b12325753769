// SPDX-License-Identifier: MIT
//
// The judge, on logs that kernels have written: tests/host/logs.
#include "judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "process.h"

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string log(const std::string& name) { return read_file(fs::path(FIGMENT_TEST_LOGS) / name); }

std::vector<std::string> kinds(const std::string& text, const std::string& noise = "") {
  std::vector<std::string> found;
  for (const KernelReport& report : Judge(noise).reports(text)) found.push_back(report.kind);
  return found;
}

TEST(Judge, a_healthy_boot_has_no_reports) { EXPECT_THAT(kinds(log("healthy.log")), IsEmpty()); }

TEST(Judge, a_forced_panic_is_found) {
  const auto reports = Judge("").reports(log("sysrq-crash.log"));
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back().kind, "panic");
  EXPECT_EQ(reports.back().line, "Kernel panic - not syncing: sysrq triggered crash");
}

TEST(Judge, says_in_which_line_it_was) {
  const auto reports = Judge("").reports("[    1.0] fine\n[    1.1] BUG: Bad page state\n");
  EXPECT_THAT(reports, ElementsAre(KernelReport{"bad page", "BUG: Bad page state", 2}));
}

TEST(Judge, a_report_has_its_trace_up_to_its_end) {
  const auto reports = Judge("").reports(
      "[ 1.0][ T1] ------------[ cut here ]------------\n"
      "[ 1.0][ T1] WARNING: x.c:1 at f+0x1/0x2 [figment], CPU#0: t/1\n"
      "[ 1.0][ T1] Modules linked in: figment\n"
      "[ 1.0][ T1] Call Trace:\n[ 1.0][ T1]  <TASK>\n[ 1.0][ T1]  g+0x3/0x4 [figment]\n"
      "[ 1.0][ T1]  </TASK>\n[ 1.0][ T1] ---[ end trace 0000000000000000 ]---\n"
      "[ 1.1][ T1] something else+0x1/0x2\n");
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_THAT(reports[0].trace, ElementsAre("Modules linked in: figment", "Call Trace:", "<TASK>",
                                            "g+0x3/0x4 [figment]"));
}

TEST(Judge, a_kasan_report_has_the_traces_of_allocation_and_free) {
  const auto reports = Judge("").reports(
      "==================\nBUG: KASAN: slab-use-after-free in f+0x1/0x2\n <TASK>\n f+0x1/0x2\n"
      " </TASK>\n\nAllocated by task 1:\n a+0x1/0x2\n\nFreed by task 1:\n b+0x1/0x2\n"
      "The buggy address belongs to the object\n==================\nlater+0x1/0x2\n");
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].trace.back(), "b+0x1/0x2");
}

TEST(Judge, a_line_without_a_call_trace_has_none) {
  const auto reports = Judge("").reports("BUG: Bad rss-counter state\nfine\nfine\n");
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_THAT(reports[0].trace, IsEmpty());
}

struct Line {
  const char* name;
  const char* text;
  const char* kind;
};

class JudgedLines : public testing::TestWithParam<Line> {};

TEST_P(JudgedLines, has_a_kind) {
  EXPECT_THAT(kinds(GetParam().text), ElementsAre(GetParam().kind));
}

INSTANTIATE_TEST_SUITE_P(
    Each, JudgedLines,
    testing::Values(
        Line{"warning", "[   12.3] WARNING: CPU: 1 PID: 42 at mm/gup.c:123 f+0x1/0x2", "warning"},
        Line{"warning_with_caller", "[   12.3] [   T42] WARNING: mm/gup.c:123 at f", "warning"},
        Line{"warning_caller_glued", "[   12.3][   T42] WARNING: mm/gup.c:123 at f", "warning"},
        Line{"no_stamp", "WARNING: CPU: 0 PID: 1 at x.c:1", "warning"},
        Line{"carriage_return", "[ 1.0] Oops: 0000 [#1] SMP\r\n", "oops"},
        Line{"null", "[ 1.0] BUG: kernel NULL pointer dereference, address: 8", "oops"},
        Line{"bug_on", "[ 1.0] kernel BUG at drivers/gpu/drm/figment/x.c:7!", "oops"},
        Line{"protection", "[ 1.0] Oops: general protection fault, probably for non-canonical", "oops"},
        Line{"kasan", "[ 1.0] BUG: KASAN: slab-use-after-free in f+0x1/0x2", "kasan"},
        Line{"kfence", "[ 1.0] BUG: KFENCE: out-of-bounds read in f", "kfence"},
        Line{"ubsan", "[ 1.0] UBSAN: array-index-out-of-bounds in f.c:3:1", "ubsan"},
        Line{"circular", "[ 1.0] WARNING: possible circular locking dependency detected", "lockdep"},
        Line{"recursive", "[ 1.0] WARNING: possible recursive locking detected", "lockdep"},
        Line{"rcu_usage", "[ 1.0] WARNING: suspicious RCU usage", "lockdep"},
        Line{"hung", "[ 1.0] INFO: task kworker/0:1:12 blocked for more than 120 seconds.", "hung task"},
        Line{"stall", "[ 1.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "stall"},
        Line{"lockup", "[ 1.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s!", "lockup"},
        Line{"refcount", "[ 1.0] refcount_t: underflow; use-after-free.", "refcount"},
        Line{"iommu", "[ 1.0] DMAR: [DMA Write NO_PASID] Request device [00:04.0] fault addr 0x1000", "iommu"},
        Line{"dma", "[ 1.0] figment 0000:00:03.0: DMA-API: device driver frees DMA memory", "dma"},
        Line{"bad_page", "[ 1.0] BUG: Bad page map in process figment-stress", "bad page"},
        Line{"rss", "[ 1.0] BUG: Bad rss-counter state mm:1 type:MM_ANONPAGES val:3", "bad page"},
        Line{"leak", "[ 1.0] kmemleak: 3 new suspected memory leaks (see /sys/...)", "kmemleak"},
        Line{"odebug", "[ 1.0] ODEBUG: free active (active state 0) object", "debug object"},
        Line{"drm_mm", "[ 1.0] [drm:x] *ERROR* Memory manager not clean during takedown.", "leak"},
        Line{"sleep", "[ 1.0] BUG: sleeping function called from invalid context at x.c:1",
             "atomic sleep"},
        Line{"double_add", "[ 1.0] list_add double add: new=1, prev=1, next=2.", "list"},
        Line{"panic", "[ 1.0] Kernel panic - not syncing: Attempted to kill init!", "panic"}),
    [](const auto& info) { return std::string{info.param.name}; });

TEST(Judge, ordinary_lines_that_look_alike_are_no_reports) {
  EXPECT_THAT(kinds("[ 1.0] Warning: unable to open an initial console.\n"
                    "[ 1.0] pci 0000:00:01.0: DEBUG: nothing\n"
                    "[ 1.0] kmemleak: Kernel memory leak detector initialized\n"
                    "[ 1.0] rcu: Preemptible hierarchical RCU implementation.\n"
                    "[ 1.0] figment: loading out-of-tree module taints kernel.\n"
                    "[ 1.0] INFO: lockdep is turned off.\n"),
              IsEmpty());
}

TEST(Judge, noise_is_ignored_by_expression) {
  const std::string line = "[ 1.0] WARNING: known: nothing to see\n";
  EXPECT_THAT(kinds(line), ElementsAre("warning"));
  EXPECT_THAT(kinds(line, "^WARNING: known: \\w+  # says so itself\n"), IsEmpty());
  EXPECT_THAT(kinds(line, "# a comment\n\n^WARNING: other  # no match\n"), ElementsAre("warning"));
}

TEST(Judge, noise_needs_a_reason_and_a_good_expression) {
  EXPECT_THROW(Judge("^WARNING: known\n"), std::runtime_error);
  EXPECT_THROW(Judge("^WARNING: (  # never closed\n"), std::runtime_error);
}

TEST(Judge, the_known_noise_of_this_checkout_is_well_formed) {
  EXPECT_NO_THROW(Judge(read_file(FIGMENT_KNOWN_NOISE)));
}

}  // namespace
}  // namespace figment::host
