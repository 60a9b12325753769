// SPDX-License-Identifier: MIT
//
// Processes that share a device, inherit it, fork under it, and are killed with it.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "guest.h"
#include "module_parameter.h"
#include "process.h"
#include "row.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;

TEST_F(GpuTest, child_can_use_the_device_that_it_inherits) {
  EXPECT_EQ(in_child([&] { return outcome(gpu_.queue.run({.at = GpuVa{}})); }), 0);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(GpuTest, child_that_closes_the_device_takes_nothing_away) {
  EXPECT_EQ(in_child([&] { return ::close(gpu_.device.fd()) == 0 ? 0 : 1; }), 0);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(GpuTest, jobs_of_a_child_work_on_the_memory_of_the_process_that_bound_it) {
  const Mapping memory = anonymous_memory(kPageBytes);
  const Userptr userptr = gpu_.vm.userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_EQ(in_child([&] {
              if (gpu_.store(kData, 42) != 0) return 1;
              return memory.as<std::uint64_t>()[0] == 42 ? 2 : 0;  // this copy is the child's
            }),
            0);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 42u);
}

TEST_F(GpuTest, memory_of_a_process_that_has_gone_is_no_longer_reached) {
  const Mapping memory = anonymous_memory(kPageBytes);
  EXPECT_EQ(in_child([&] {
              gpu_.vm.map_userptr({.at = kData, .memory = memory.bytes()});
              return gpu_.store(kData, 1);
            }),
            0);
  EXPECT_ERRNO(gpu_.store(kData, 2), EFAULT);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 0u);
  gpu_.vm.unmap({.at = kData, .bytes = kPageBytes});
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST(Processes, do_not_reach_each_others_memory) {
  // Parent and child each map a secret at the same address of their own device file.
  Gpu mine;
  const Mapping memory = anonymous_memory(kPageBytes);
  memory.as<std::uint64_t>()[0] = 1;
  const Userptr userptr = mine.vm.userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_EQ(mine.load(kData), 1u);
  EXPECT_EQ(in_child([&] {
              Gpu theirs;
              if (theirs.try_load(kData) != EFAULT) return 1;
              const Mapping own = anonymous_memory(kPageBytes);
              theirs.vm.map_userptr({.at = kData, .memory = own.bytes()});
              if (theirs.store(kData, 2) != 0) return 2;
              return own.as<std::uint64_t>()[0] == 2 ? 0 : 3;
            }),
            0);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 1u);
  EXPECT_EQ(mine.load(kData), 1u);
}

struct Death {
  const char* during;
  std::function<void(Gpu&)> act;  // does not return for long
};
void PrintTo(const Death& param, std::ostream* out) {
  *out << param.during;
}

class Killed : public testing::TestWithParam<Death> {};

void spin_for_long(Gpu& gpu) {
  CommandList list;
  list.spin(std::chrono::seconds(50));
  std::ignore = gpu.start(list);
}

INSTANTIATE_TEST_SUITE_P(
    moments, Killed,
    testing::Values(Death{"job",
                          [](Gpu& gpu) {
                            spin_for_long(gpu);
                            ::pause();
                          }},
                    Death{"wait",
                          [](Gpu& gpu) {
                            CommandList list;
                            list.spin(std::chrono::seconds(50));
                            std::ignore = gpu.start(list).wait(after(kPatience));
                          }},
                    Death{"userptr_job",
                          [](Gpu& gpu) {
                            const Mapping memory = anonymous_memory(1_MiB);
                            gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
                            CommandList list;
                            for (int n = 0; n < 5000; ++n)
                              list.fill({.at = kData, .bytes = 1_MiB, .value = 1});
                            std::ignore = gpu.start(list);
                            ::pause();
                          }},
                    Death{"munmap_that_waits",
                          [](Gpu& gpu) {
                            const Mapping memory = anonymous_memory(1_MiB);
                            gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
                            CommandList list;
                            list.spin(std::chrono::seconds(1)).fill({.at = kData, .bytes = 8});
                            std::ignore = gpu.start(list);
                          }},
                    Death{"submits",
                          [](Gpu& gpu) {
                            for (;;) std::ignore = gpu.queue.run({.at = GpuVa{}});
                          }},
                    Death{"binds",
                          [](Gpu& gpu) {
                            const Buffer buffer = gpu.device.buffer({.bytes = 4_MiB});
                            for (;;) {
                              gpu.vm.map({.at = kData, .buffer = buffer});
                              gpu.vm.unmap({.at = kData, .bytes = 1_MiB});
                            }
                          }}),
    [](const auto& info) { return info.param.during; });

TEST_P(Killed, process_leaves_a_gpu_that_works) {
  Gpu witness;
  for (const auto delay : {1ms, 20ms, 100ms}) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      stress::die_with_parent();
      try {
        Gpu gpu;
        std::ignore = ::write(ready[1], "r", 1);
        GetParam().act(gpu);
      } catch (...) {
      }
      ::_exit(1);
    }
    char byte;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    std::this_thread::sleep_for(delay);
    ::kill(child, SIGKILL);
    EXPECT_TRUE(stress::poll_until([&] { return stress::has_ended(child); }, after(kPatience)))
        << "cannot be killed";
    std::ignore = stress::exit_status(child, after(kPatience));
    EXPECT_DONE(outcome(witness.queue.run({.at = GpuVa{}})));
    // What it held is free again.
    Gpu next;
    EXPECT_DONE(outcome(next.queue.run({.at = GpuVa{}})));
  }
}

TEST_F(GpuTest, wait_that_a_signal_interrupts_goes_on) {
  static std::atomic<int> signals = 0;
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) { ++signals; };  // without SA_RESTART
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t self = ::pthread_self();
  std::atomic<bool> done = false;
  std::thread sender([&] {
    while (!done) {
      ::pthread_kill(self, SIGUSR1);
      std::this_thread::sleep_for(1ms);
    }
  });
  const Mapping memory = anonymous_memory(1_MiB);
  for (int n = 0; n < 50; ++n) {
    gpu_.vm.map_userptr({.at = kData, .memory = memory.bytes()});
    CommandList list;
    list.spin(5ms).fill({.at = kData, .bytes = 8, .value = static_cast<std::uint64_t>(n)});
    EXPECT_DONE(gpu_.run(list));
    EXPECT_EQ(memory.as<std::uint64_t>()[0], static_cast<std::uint64_t>(n));
  }
  done = true;
  sender.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_GT(signals, 0);
}

// Fork under GPU writes, judged by the oracle of docs/oracle.md: short rows of what
// figment-stress does at length.

stress::RowResult short_row(const stress::StressStrategy& strategy,
                            const stress::Scenario& scenario) {
  return stress::run_row({.strategy = strategy,
                          .scenario = scenario,
                          .processes = 2,
                          .bytes = 1_MiB,
                          .time = strategy.safe ? 700ms : 1500ms,
                          .min_forks = 8});
}

std::string underscored(std::string_view name) {
  std::string result(name);
  std::ranges::replace(result, '-', '_');
  return result;
}

using ScenarioAndStrategy = std::tuple<stress::Scenario, stress::StressStrategy>;

class Fork : public testing::TestWithParam<ScenarioAndStrategy> {};

std::vector<stress::StressStrategy> safe_strategies() {
  std::vector<stress::StressStrategy> safe;
  std::ranges::copy_if(stress::kStressStrategies, std::back_inserter(safe),
                       &stress::StressStrategy::safe);
  return safe;
}

std::string name_of(const testing::TestParamInfo<ScenarioAndStrategy>& info) {
  const auto& [scenario, strategy] = info.param;
  return underscored(scenario.name) + "_" + underscored(strategy.name);
}

INSTANTIATE_TEST_SUITE_P(scenarios, Fork,
                         testing::Combine(testing::ValuesIn(stress::kScenarios),
                                          testing::ValuesIn(safe_strategies())),
                         name_of);

TEST_P(Fork, under_gpu_writes_corrupts_nothing) {
  const auto& [scenario, strategy] = GetParam();
  if (!Device::open().offers(strategy.vm)) GTEST_SKIP() << "not on offer";
  const auto row = short_row(strategy, scenario);
  EXPECT_EQ(row.corrupt_words, 0u);
  for (const auto& complaint : complaints(row)) ADD_FAILURE() << complaint;
}

class ForkControl : public testing::TestWithParam<stress::Scenario> {};

INSTANTIATE_TEST_SUITE_P(scenarios, ForkControl, testing::ValuesIn(stress::kScenarios),
                         [](const auto& info) { return underscored(info.param.name); });

TEST_P(ForkControl, without_a_strategy_is_caught) {
  const ScopedModuleParameter allow_unsafe("allow_unsafe", "1");
  const auto row = short_row(stress::of_driver(Strategy::unsafe), GetParam());
  EXPECT_GT(row.corrupt_words, 0u);
  for (const auto& complaint : complaints(row)) ADD_FAILURE() << complaint;
}

}  // namespace
}  // namespace figment::guest
