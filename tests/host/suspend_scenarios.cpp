// SPDX-License-Identifier: MIT
//
// The machine sleeps while its GPU works. The share and the channels of the agent do not survive
// that in the guest, so the test talks to the serial console, and is judged by the log of that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Suspend, jobs_go_on_when_the_machine_wakes_up) {
  const Finished run = run_figment(
      {"run", "--timeout", "180", "--append", "no_console_suspend", "--", "sh", "-c",
       "cp $(command -v figment-guest-tests) /tmp/tests; cd /tmp; exec > /dev/ttyS0 2>&1; "
       "PATH=/usr/bin FIGMENT_SUSPEND=1 GTEST_COLOR=no ./tests --gtest_filter='*Suspend.*'; "
       "echo b > /proc/sysrq-trigger"});
  EXPECT_EQ(run.status, 3) << "a guest that is gone";
  constexpr std::string_view kMark = "console log: ";
  const std::size_t at = run.err.find(kMark);
  ASSERT_NE(at, run.err.npos) << run.err;
  const std::size_t begin = at + kMark.size();
  const std::string log = read_file(run.err.substr(begin, run.err.find('\n', begin) - begin));
  EXPECT_THAT(log, AllOf(HasSubstr("PM: suspend exit"), HasSubstr("[  PASSED  ] 2 tests"),
                         Not(HasSubstr("SKIPPED"))));
  EXPECT_THAT(run.err, Not(HasSubstr("kernel report")));
}

}  // namespace
}  // namespace figment::host
