// SPDX-License-Identifier: MIT
//
// User fences: words that jobs write and a process waits for.
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "userptr.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Memory of the process at kData; its first word is the fence, its second a gate.
class UserFenceTest : public GpuTest {
 protected:
  UserFenceTest() { gpu_.vm.map_userptr({.at = kData, .memory = memory_.bytes()}); }

  [[nodiscard]] std::atomic_ref<std::uint64_t> word() { return std::atomic_ref(words_[0]); }
  [[nodiscard]] std::atomic_ref<std::uint64_t> gate() { return std::atomic_ref(words_[1]); }
  [[nodiscard]] bool wait(std::uint64_t reference, Deadline deadline = after(kPatience)) {
    return figment::wait(gpu_.device.fd(), {.word = words_.data(), .reference = reference},
                         deadline);
  }
  [[nodiscard]] int wait_raw(drm_figment_wait_user_fence request) {
    return raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_WAIT_USER_FENCE, request);
  }
  /// A request that holds at once.
  [[nodiscard]] drm_figment_wait_user_fence holding() {
    return {.address = user_pointer(words_.data()),
            .reference = 0,
            .mask = ~0ull,
            .compare = DRM_FIGMENT_COMPARE_GE,
            .deadline_ns = 0};
  }

  Mapping memory_ = anonymous_memory(kPageBytes);
  Words words_ = memory_.as<std::uint64_t>();
};

TEST_F(UserFenceTest, is_written_by_a_job) {
  CommandList list;
  list.spin(20ms).release({.at = kData, .value = 7, .event = true});
  const Fence fence = gpu_.start(list);
  EXPECT_TRUE(wait(7));
  EXPECT_EQ(word(), 7u);
  EXPECT_DONE(outcome(fence));
}

TEST_F(UserFenceTest, in_a_buffer_is_as_good) {
  const Buffer buffer = gpu_.device.buffer({});
  const GpuVa at = kData + 1_MiB;
  gpu_.vm.map({.at = at, .buffer = buffer});
  const Mapping view = buffer.map();
  CommandList list;
  list.spin(20ms).release({.at = at, .value = 7, .event = true});
  const Fence fence = gpu_.start(list);
  EXPECT_TRUE(figment::wait(gpu_.device.fd(),
                            {.word = view.as<std::uint64_t>().data(), .reference = 7},
                            after(kPatience)));
  EXPECT_DONE(outcome(fence));
}

// Some waits for a job that goes on after its RELEASE, until the CPU lets it.
TEST_F(UserFenceTest, with_an_event_wakes_sooner_than_without) {
  const auto median_time = [&](bool event) {
    std::vector<Clock::duration> times;
    for (int round = 0; round < 11; ++round) {
      const auto begin = Clock::now();
      word() = gate() = 0;
      CommandList list;
      list.spin(1ms).release({.at = kData, .value = 1, .event = event});
      list.wait({.at = kData + 8, .compare = Compare::eq, .reference = 1});
      const Fence fence = gpu_.start(list);
      EXPECT_TRUE(wait(1));
      gate() = 1;
      EXPECT_DONE(outcome(fence));
      times.push_back(Clock::now() - begin);
    }
    std::ranges::sort(times);
    return times[times.size() / 2];
  };
  const auto without = median_time(false);
  const auto with = median_time(true);
  EXPECT_LT(2 * with, without);
}

TEST_F(UserFenceTest, that_a_cpu_writes_is_noticed) {
  std::thread other([&] {
    std::this_thread::sleep_for(30ms);
    word() = 3;
  });
  EXPECT_TRUE(wait(3));
  other.join();
}

TEST_F(UserFenceTest, wakes_all_who_wait) {
  std::atomic<int> woken = 0;
  std::vector<std::thread> waiters;
  for (std::uint64_t n = 1; n <= 4; ++n) {
    waiters.emplace_back([&, n] { woken += wait(n); });
  }
  for (std::uint64_t n = 1; n <= 4; ++n) {
    CommandList list;
    list.spin(5ms).release({.at = kData, .value = n, .event = true});
    EXPECT_DONE(gpu_.run(list));
  }
  for (auto& waiter : waiters) waiter.join();
  EXPECT_EQ(woken, 4);
}

TEST_F(UserFenceTest, compares_as_told) {
  struct {
    Compare compare;
    bool below, same, above;  // whether 4, 5, 6 satisfy a reference of 5
  } const cases[] = {
      {Compare::eq, false, true, false}, {Compare::ne, true, false, true},
      {Compare::lt, true, false, false}, {Compare::le, true, true, false},
      {Compare::gt, false, false, true}, {Compare::ge, false, true, true},
  };
  const auto holds = [&](std::uint64_t value, Compare compare, std::uint64_t mask) {
    word() = value;
    return figment::wait(gpu_.device.fd(),
                         {.word = words_.data(), .reference = 5, .compare = compare, .mask = mask},
                         Deadline{});
  };
  for (const auto& [compare, below, same, above] : cases) {
    SCOPED_TRACE(static_cast<unsigned>(compare));
    EXPECT_EQ(holds(4, compare, ~0ull), below);
    EXPECT_EQ(holds(5, compare, ~0ull), same);
    EXPECT_EQ(holds(6, compare, ~0ull), above);
    EXPECT_EQ(holds(0xffff'0000'0000'0005, compare, 0xffff), same) << "what is masked counts not";
  }
  EXPECT_TRUE(holds(~0ull, Compare::gt, ~0ull)) << "unsigned";
}

TEST_F(UserFenceTest, ends_at_the_deadline) {
  const auto deadline = after(50ms);
  EXPECT_FALSE(wait(1, deadline));
  EXPECT_GE(Clock::now(), deadline) << "too early";
  EXPECT_FALSE(wait(1, Deadline{}));
  EXPECT_TRUE(wait(0, Deadline{})) << "what holds needs no time";
  auto request = holding();
  request.reference = 1;
  for (const std::int64_t ns : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN}) {
    request.deadline_ns = ns;
    EXPECT_ERRNO(wait_raw(request), ETIME) << ns;
  }
}

TEST_F(UserFenceTest, that_is_malformed_is_refused) {
  EXPECT_DONE(wait_raw(holding()));
  auto request = holding();
  request.address += 4;
  EXPECT_ERRNO(wait_raw(request), EINVAL);
  request = holding();
  request.compare = DRM_FIGMENT_COMPARE_GE + 1;
  EXPECT_ERRNO(wait_raw(request), EINVAL);
  request = holding();
  request.flags = 1;
  EXPECT_ERRNO(wait_raw(request), EINVAL);
}

TEST_F(UserFenceTest, that_cannot_be_read_is_a_fault) {
  auto request = holding();
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{0xffff'8000'0000'0000}, ~std::uint64_t{7}}) {
    request.address = address;
    EXPECT_ERRNO(wait_raw(request), EFAULT) << std::hex << address;
  }
  // Also when it goes while somebody waits for it.
  const Mapping gone = anonymous_memory(kPageBytes);
  std::thread other([&] {
    std::this_thread::sleep_for(30ms);
    ::munmap(gone.bytes().data(), kPageBytes);
  });
  request = holding();
  request.address = user_pointer(gone.bytes().data());
  request.reference = 1;
  request.deadline_ns = INT64_MAX;
  EXPECT_ERRNO(wait_raw(request), EFAULT);
  other.join();
}

TEST_F(UserFenceTest, of_a_job_that_fails_stays_as_it_was) {
  CommandList list;
  list.fill({.at = kHole, .bytes = 8, .value = 1}).release({.at = kData, .value = 1, .event = true});
  EXPECT_ERRNO(gpu_.run(list), EFAULT);
  EXPECT_FALSE(wait(1, Deadline{}));
}

TEST_F(UserFenceTest, wait_that_a_signal_interrupts_goes_on) {
  static std::atomic<int> signals = 0;
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) { ++signals; };  // without SA_RESTART
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t self = ::pthread_self();
  std::thread sender([&] {
    for (int n = 0; n < 20; ++n) {
      std::this_thread::sleep_for(2ms);
      ::pthread_kill(self, SIGUSR1);
    }
    word() = 1;
  });
  EXPECT_TRUE(wait(1));
  sender.join();
  // Raw it ends: whoever wants to look at something else can.
  word() = 0;
  std::atomic<bool> done = false;
  std::thread killer([&] {
    while (!done) {
      std::this_thread::sleep_for(2ms);
      ::pthread_kill(self, SIGUSR1);
    }
  });
  auto request = holding();
  request.reference = 1;
  request.deadline_ns = INT64_MAX;
  const int result = ::ioctl(gpu_.device.fd(), DRM_IOCTL_FIGMENT_WAIT_USER_FENCE, &request);
  const int error = errno;
  done = true;
  killer.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(result, -1);
  EXPECT_ERRNO(error, EINTR);
  EXPECT_GT(signals, 0);
}

}  // namespace
}  // namespace figment::guest
