// SPDX-License-Identifier: MIT
//
// Completion by user fences, with this program in the place of the GPU, which executes the last
// packets of jobs, and of the driver, which is asked to wait.
#include "completion.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "fake_driver.h"
#include "figment_drm.h"

namespace figment::stress {
namespace {

constexpr GpuVa kAt{0x2'0000'0000};

class UserFencesOf : public testing::Test {
 protected:
  /// The words that the driver is asked about hold what is waited for.
  static bool holds(const drm_figment_wait_user_fence& asked) {
    EXPECT_EQ(asked.compare, unsigned{DRM_FIGMENT_COMPARE_GE});
    EXPECT_EQ(asked.mask, ~std::uint64_t{0});
    return *reinterpret_cast<const std::uint64_t*>(asked.address) >= asked.reference;
  }

  int answer(unsigned long request, void* arguments) {
    if (request != DRM_IOCTL_FIGMENT_WAIT_USER_FENCE) return ENOTTY;
    std::memcpy(&asked_.emplace_back(), arguments, sizeof(drm_figment_wait_user_fence));
    if (holds(asked_.back())) return 0;
    if (asked_.back().queue_id == failing_) return ECANCELED;
    meanwhile_();
    return holds(asked_.back()) ? 0 : ETIME;
  }

  /// The packets with which job n of a lane ends.
  std::vector<std::uint64_t> end_of(unsigned lane, Sequence n) {
    CommandList list;
    fences_.add_end(list, lane, n);
    EXPECT_EQ(list.bytes(), UserFences::kEndBytes);
    return {list.words().begin(), list.words().end()};
  }
  std::uint64_t& at(std::uint64_t address) {
    EXPECT_EQ(address % 8, 0u);
    return words_.at((address - kAt.value) / 8);
  }
  /// Whether the last packet, and no other one, has an event.
  bool execute(std::span<const std::uint64_t> packets) {
    while (!packets.empty()) {
      const auto flags = static_cast<std::uint32_t>(packets[0] >> 32);
      const auto length = (packets[0] & FIGMENT_PACKET_QWORDS) >> 16;
      switch (packets[0] & FIGMENT_PACKET_OPCODE) {
        case FIGMENT_OP_RELEASE:
          if (flags & FIGMENT_RELEASE_WRITE) at(packets[1]) = packets[2];
          if (flags & FIGMENT_RELEASE_EVENT) return length == packets.size();
          break;
        case FIGMENT_OP_ATOMIC:
          EXPECT_EQ(flags, FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_64);
          at(packets[1]) += packets[2];
          break;
        default:
          ADD_FAILURE() << "a packet that does not belong here";
      }
      packets = packets.subspan(length);
    }
    return false;
  }
  void end(unsigned lane, Sequence n) { EXPECT_TRUE(execute(end_of(lane, n))); }
  /// What a Stamper does after a wait.
  void collect() {
    for (unsigned lane = 0; lane < 2; ++lane) lanes_[lane].completed = fences_.ended(lane);
  }

  const FakeDriver driver_{[this](auto... asked) { return answer(asked...); }};
  std::vector<drm_figment_wait_user_fence> asked_;
  unsigned failing_ = 0;  // a queue
  std::function<void()> meanwhile_ = [] {};
  std::array<std::uint64_t, UserFences::words(2)> words_ = {};
  std::array<QueueProgress, 2> lanes_;
  UserFences fences_{FakeDriver::kFile, kAt, words_, {{.queue = 7}, {.queue = 8, .errors = 3}}};
};

TEST_F(UserFencesOf, tell_the_last_job_of_each_lane) {
  EXPECT_EQ(fences_.ended(0), 0u);
  end(0, 1);
  end(0, 2);
  end(1, 1);
  EXPECT_EQ(fences_.ended(0), 2u);
  EXPECT_EQ(fences_.ended(1), 1u);
}

TEST_F(UserFencesOf, have_nothing_for_a_submit_to_signal) {
  EXPECT_TRUE(fences_.signals(0, 1).empty());
}

TEST_F(UserFencesOf, end_one_wait_with_a_job_of_any_lane) {
  for (const unsigned lane : {0u, 1u, 1u, 0u}) {
    const Sequence n = lanes_[lane].completed + 1;
    meanwhile_ = [&] { end(lane, n); };
    EXPECT_EQ(fences_.wait(lanes_, after(std::chrono::hours(1))), WaitEnd::holds);
    collect();
    EXPECT_EQ(lanes_[lane].completed, n);
  }
}

TEST_F(UserFencesOf, know_of_a_job_that_has_ended_before) {
  end(1, 1);
  EXPECT_EQ(fences_.wait(lanes_, Deadline{}), WaitEnd::holds);
  EXPECT_EQ(asked_.size(), 1u);
}

TEST_F(UserFencesOf, end_no_wait_before_the_lane_tells_of_the_job) {
  const auto packets = end_of(0, 1);
  for (std::size_t done = 0; done < packets.size();) {
    const auto length = (packets[done] & FIGMENT_PACKET_QWORDS) >> 16;
    execute(std::span(packets).subspan(done, length));
    done += length;
    const bool ended = fences_.wait(lanes_, Deadline{}) == WaitEnd::holds;
    EXPECT_TRUE(!ended || fences_.ended(0) == 1) << "after word " << done;
    EXPECT_TRUE(ended || done < packets.size()) << "the whole job";
  }
}

TEST_F(UserFencesOf, look_at_the_errors_of_each_lane_in_turn) {
  int waits = 0;
  meanwhile_ = [&] {
    if (++waits == 3) end(0, 1);
  };
  EXPECT_EQ(fences_.wait(lanes_, after(std::chrono::hours(1))), WaitEnd::holds);
  ASSERT_EQ(asked_.size(), 3u);
  EXPECT_EQ(asked_[0].queue_id, 7u);
  EXPECT_EQ(asked_[0].errors, 0u);
  EXPECT_EQ(asked_[1].queue_id, 8u);
  EXPECT_EQ(asked_[1].errors, 3u);
  EXPECT_EQ(asked_[2].queue_id, 7u);
}

TEST_F(UserFencesOf, tell_of_a_failed_job_of_any_lane) {
  for (const unsigned queue : {7u, 8u}) {
    failing_ = queue;
    EXPECT_EQ(fences_.wait(lanes_, after(std::chrono::hours(1))), WaitEnd::job_failed);
  }
}

TEST_F(UserFencesOf, end_a_wait_at_its_deadline) {
  const auto deadline = after(std::chrono::milliseconds(1));
  EXPECT_EQ(fences_.wait(lanes_, deadline), WaitEnd::deadline);
  EXPECT_GE(Clock::now(), deadline);
  EXPECT_EQ(asked_.back().deadline_ns,
            std::chrono::nanoseconds(deadline.time_since_epoch()).count());
}

}  // namespace
}  // namespace figment::stress
