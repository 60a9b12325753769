// SPDX-License-Identifier: MIT
#include "notifier_timer.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <tuple>

namespace figment {
namespace {

std::string line(std::string_view rest) {
  return "  fork-1 [000] .....  9.5: figment_notifier_done: device=0000:00:05.0 vm=3 "
         "strategy=fence svm=0 event=UNMAP " +
         std::string(rest) + "\n";
}

TEST(NotifierTimer, adds_all_lines_of_its_event) {
  const auto times = parse_notifier_times(
      "# tracer: nop\n  fork-1 [000] .....  9.4: figment_notifier: device=x vm=1 busy=1\n" +
      line("start=0x1000 end=0x2000 blockable=1 total_ns=1500 waited_ns=1200 pages=1") +
      line("start=0x7000 end=0x8000 blockable=1 total_ns=500 waited_ns=0 pages=1"));
  EXPECT_EQ(times.count, 2u);
  EXPECT_EQ(times.total_ns, 2000u);
  EXPECT_EQ(times.waited_ns, 1200u);
  EXPECT_EQ(parse_notifier_times("").count, 0u);
}

TEST(NotifierTimer, counts_what_touches_the_range_and_nothing_beside_it) {
  const auto times = parse_notifier_times(
      line("start=0x1000 end=0x2000 blockable=1 total_ns=1 waited_ns=1 pages=1") +
          line("start=0x1000 end=0x3000 blockable=1 total_ns=500 waited_ns=200 pages=2") +
          line("start=0x2000 end=0x9000 blockable=1 total_ns=50 waited_ns=0 pages=7") +
          line("start=0x3000 end=0x4000 blockable=1 total_ns=1 waited_ns=1 pages=1"),
      {.start = 0x2000, .end = 0x3000});
  EXPECT_EQ(times.count, 2u);
  EXPECT_EQ(times.total_ns, 550u);
  EXPECT_EQ(times.waited_ns, 200u);
}

TEST(NotifierTimer, refuses_what_cannot_be) {
  EXPECT_THROW(std::ignore = parse_notifier_times(line("start=0x1000 end=0x2000 total_ns=5")),
               std::runtime_error);
  EXPECT_THROW(std::ignore = parse_notifier_times(
                   line("start=0x1000 end=0x2000 total_ns=5 waited_ns=6 pages=1")),
               std::runtime_error);
}

}  // namespace
}  // namespace figment
