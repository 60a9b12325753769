// SPDX-License-Identifier: MIT
#include "process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace figment::stress {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Optional;

pid_t child(void (*life)()) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    life();
    ::_exit(0);
  }
  return pid;
}

TEST(Reap, is_silent_about_a_good_child) {
  EXPECT_EQ(reap(child([] {}), after(60s)), std::nullopt);
}

TEST(Reap, tells_a_bad_status) {
  EXPECT_THAT(reap(child([] { ::_exit(3); }), after(60s)), Optional(HasSubstr("status 3")));
}

TEST(Reap, tells_a_crash) {
  EXPECT_THAT(reap(child([] { ::raise(SIGKILL); }), after(60s)), Optional(HasSubstr("signal 9")));
}

TEST(Reap, kills_a_child_that_stays) {
  const pid_t pid = child([] { ::pause(); });
  EXPECT_FALSE(has_ended(pid));
  EXPECT_THAT(reap(pid, after(0s)), Optional(HasSubstr("was killed")));
}

}  // namespace
}  // namespace figment::stress
