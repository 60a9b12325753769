// SPDX-License-Identifier: MIT
//
// Waiting for user fences, with this program in the place of the kernel: what it is asked, and
// what is made of each answer.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "fake_driver.h"
#include "figment/queue.h"
#include "figment/sync.h"
#include "figment_drm.h"

namespace figment {
namespace {

constexpr int kFile = FakeDriver::kFile;

class WaitForUserFence : public testing::Test {
 protected:
  int answer(unsigned long request, void* arguments) {
    switch (request) {
      case DRM_IOCTL_FIGMENT_WAIT_USER_FENCE:
        std::memcpy(&asked_, arguments, sizeof(asked_));
        return result_;
      case DRM_IOCTL_FIGMENT_QUEUE_CREATE:
        static_cast<drm_figment_queue_create*>(arguments)->id = 7;
        return 0;
      case DRM_IOCTL_FIGMENT_QUEUE_QUERY:
        static_cast<drm_figment_queue_query*>(arguments)->errors = 4;
        return 0;
    }
    return ENOTTY;
  }

  const FakeDriver driver_{[this](auto... asked) { return answer(asked...); }};
  int result_ = 0;                          // of WAIT_USER_FENCE
  drm_figment_wait_user_fence asked_ = {};  // the last one
  const std::uint64_t word_ = 0;
  const UserFence fence_{.word = &word_, .reference = 5, .compare = Compare::eq, .mask = 0xff};
};

TEST_F(WaitForUserFence, says_what_is_waited_for) {
  EXPECT_TRUE(wait(kFile, fence_, Deadline(std::chrono::nanoseconds(99))));
  EXPECT_EQ(asked_.address, reinterpret_cast<std::uint64_t>(&word_));
  EXPECT_EQ(asked_.reference, 5u);
  EXPECT_EQ(asked_.mask, 0xffu);
  EXPECT_EQ(asked_.compare, unsigned{DRM_FIGMENT_COMPARE_EQ});
  EXPECT_EQ(asked_.deadline_ns, 99);
  EXPECT_EQ(asked_.queue_id, 0u);
  EXPECT_EQ(asked_.errors, 0u);
}

TEST_F(WaitForUserFence, of_a_queue_names_it_and_what_is_known_of_it) {
  EXPECT_EQ(wait(kFile, fence_, {.queue = 7, .errors = 3}, Deadline{}), WaitEnd::holds);
  EXPECT_EQ(asked_.reference, 5u);
  EXPECT_EQ(asked_.queue_id, 7u);
  EXPECT_EQ(asked_.errors, 3u);
}

TEST_F(WaitForUserFence, tells_its_ends_apart) {
  const QueueErrors before{.queue = 7, .errors = 0};
  result_ = ETIME;
  EXPECT_FALSE(wait(kFile, fence_, Deadline{}));
  EXPECT_EQ(wait(kFile, fence_, before, Deadline{}), WaitEnd::deadline);
  result_ = ECANCELED;
  EXPECT_EQ(wait(kFile, fence_, before, Deadline{}), WaitEnd::job_failed);
}

TEST_F(WaitForUserFence, that_the_driver_refuses_is_an_error) {
  result_ = EFAULT;
  EXPECT_THROW(std::ignore = wait(kFile, fence_, Deadline{}), std::system_error);
  EXPECT_THROW(std::ignore = wait(kFile, fence_, {.queue = 7, .errors = 0}, Deadline{}),
               std::system_error);
  result_ = ECANCELED;
  EXPECT_THROW(std::ignore = wait(kFile, fence_, Deadline{}), std::system_error)
      << "no queue, whose job could have failed";
}

TEST_F(WaitForUserFence, begins_with_the_errors_that_the_queue_has_by_then) {
  const Queue queue = Queue::create(FakeDriver::file(), 1, {});
  const QueueErrors before = queue.errors();
  EXPECT_EQ(before.queue, 7u);
  EXPECT_EQ(before.errors, 4u);
}

}  // namespace
}  // namespace figment
