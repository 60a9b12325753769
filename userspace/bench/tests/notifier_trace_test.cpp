// SPDX-License-Identifier: MIT
#include "notifier_trace.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace figment::bench {
namespace {

std::string line(std::string_view rest) {
  return "  fork-1 [000] .....  9.5: figment_notifier_done: device=0000:00:05.0 vm=3 "
         "strategy=fence "
         "svm=0 event=UNMAP " +
         std::string(rest);
}

TEST(NotifierTrace, adds_what_touches_the_range) {
  NotifierSum sum;
  add_line(line("start=0x1000 end=0x3000 blockable=1 total_ns=500 waited_ns=200 pages=2"), 0x2000,
           0x1000, sum);
  add_line(line("start=0x2000 end=0x9000 blockable=1 total_ns=50 waited_ns=0 pages=7"), 0x2000,
           0x1000, sum);
  EXPECT_EQ(sum.notifications, 2u);
  EXPECT_EQ(sum.total_ns, 550);
  EXPECT_EQ(sum.waited_ns, 200);
}

TEST(NotifierTrace, leaves_out_ranges_beside_it) {
  NotifierSum sum;
  add_line(line("start=0x1000 end=0x2000 blockable=1 total_ns=5 waited_ns=2 pages=1"), 0x2000,
           0x1000, sum);
  add_line(line("start=0x3000 end=0x4000 blockable=1 total_ns=5 waited_ns=2 pages=1"), 0x2000,
           0x1000, sum);
  EXPECT_EQ(sum.notifications, 0u);
}

TEST(NotifierTrace, leaves_out_other_lines) {
  NotifierSum sum;
  add_line("# tracer: nop", 0, ~0ull, sum);
  add_line("  fork-1 [000] .....  9.5: figment_notifier: start=0x1000 end=0x2000", 0, 0x9000, sum);
  EXPECT_EQ(sum.notifications, 0u);
}

TEST(NotifierTrace, refuses_what_cannot_be) {
  NotifierSum sum;
  EXPECT_THROW(add_line(line("start=0x1000 end=0x2000 total_ns=5 pages=1"), 0, 0x9000, sum),
               std::runtime_error);
  EXPECT_THROW(
      add_line(line("start=0x1000 end=0x2000 total_ns=5 waited_ns=6 pages=1"), 0, 0x9000, sum),
      std::runtime_error);
}

}  // namespace
}  // namespace figment::bench
