// SPDX-License-Identifier: MIT
//
// On a GPU that can put a job aside only between two packets: a packet that never ends is never
// left, and the kernel still gets the pages.
#include <chrono>
#include <thread>
#include <tuple>

#include "module_parameter.h"
#include "userptr.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class CommandPreemption : public UserptrFixture {
 protected:
  CommandPreemption() : UserptrFixture(Strategy::preempt) {}
  void SetUp() override {
    ASSERT_EQ(gpu_.device.preemption(), Preemption::command) << "needs --gpu preempt=command";
    ASSERT_DONE(bind(memory_.bytes()));
  }
  /// A job that has begun, and stays in a packet.
  void begin_stuck() {
    CommandList list;
    list.release({.at = kData, .value = 1, .event = true});
    gpu_.begin_on(gpu_.queue, gpu_.gate(list));
    const UserFence begun{.word = memory_.as<std::uint64_t>().data(), .reference = 1};
    ASSERT_TRUE(wait(gpu_.device.fd(), begun, after(kPatience)));
  }
  /// The kernel wants the pages. How long it had to wait.
  [[nodiscard]] Clock::duration take_pages() {
    const auto begin = Clock::now();
    EXPECT_EQ(::madvise(memory_.bytes().data(), kBytes, MADV_DONTNEED), 0);
    return Clock::now() - begin;
  }

  const ScopedModuleParameter limit_{"preempt_timeout_ms", "100"};
  const Mapping memory_ = anonymous_memory(kBytes);
};

TEST_F(CommandPreemption, job_that_does_not_leave_in_time_is_lost) {
  begin_stuck();
  EXPECT_GE(take_pages(), 100ms) << "the device still had the pages";
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue), ETIME);
  // The queue is as good as new.
  EXPECT_DONE(gpu_.store(kData, 2));
  EXPECT_EQ(memory_.as<std::uint64_t>()[0], 2u);
  EXPECT_EQ(gpu_.queue.query().errors, 1u);
}

TEST_F(CommandPreemption, jobs_behind_a_lost_one_are_executed) {
  const GpuVa code = kData + 1_GiB;
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = code, .buffer = buffer});
  CommandList list;
  list.fill({.at = kData, .bytes = 8, .value = 7});
  list.write_to(buffer.map().bytes());
  begin_stuck();
  gpu_.queue.submit({.at = code, .bytes = list.bytes()});
  std::ignore = take_pages();
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue), ETIME);
  const UserFence written{.word = memory_.as<std::uint64_t>().data(), .reference = 7};
  EXPECT_TRUE(wait(gpu_.device.fd(), written, after(kPatience)));
}

TEST_F(CommandPreemption, job_of_short_packets_is_put_aside_and_goes_on) {
  constexpr int kPackets = 200;
  constexpr auto kPacket = 100us;
  int in_time = 0;
  for (int round = 0; round < 200 && in_time < 20; ++round) {
    CommandList list;
    for (int n = 0; n < kPackets; ++n) list.spin(kPacket);
    list.fill({.at = kData, .bytes = 8, .value = 5});
    const auto begin = Clock::now();
    gpu_.begin_on(gpu_.queue, list);
    std::this_thread::sleep_for(1ms);
    std::ignore = take_pages();
    // On a loaded machine the job may have ended by then, and what it wrote went with the pages.
    const bool was_in_time = Clock::now() - begin < kPackets * kPacket;
    EXPECT_DONE(gpu_.finish_on(gpu_.queue));
    if (!was_in_time) continue;
    ++in_time;
    EXPECT_EQ(memory_.as<std::uint64_t>()[0], 5u);
  }
  EXPECT_GT(in_time, 0);
}

TEST_F(CommandPreemption, faults_are_not_on_offer) {
  EXPECT_FALSE(gpu_.device.offers(Strategy::fault));
  drm_figment_vm_create request = {.strategy = DRM_FIGMENT_STRATEGY_FAULT};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_CREATE, request), EOPNOTSUPP);
}

}  // namespace
}  // namespace figment::guest
