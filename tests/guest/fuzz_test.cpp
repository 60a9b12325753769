// SPDX-License-Identifier: MIT
//
// Hostile user space against the driver (ioctl_fuzz.h). Whatever it did: no report in the log, a
// GPU that works, and nothing left of what it made. FIGMENT_FUZZ_SEED and FIGMENT_FUZZ_OPERATIONS
// change what and how much is done.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

#include "fault_injection.h"
#include "footprint.h"
#include "guest.h"
#include "ioctl_fuzz.h"
#include "module_parameter.h"
#include "process.h"

namespace figment::guest {
namespace {

constexpr unsigned kRounds = 4;
constexpr unsigned kThreads = 3;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

class HostileUser : public testing::Test {
 protected:
  HostileUser() {
    void* shared =
        ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) fail(errno, "mmap");
    tally_ = new (shared) Tally{};
  }
  ~HostileUser() override { ::munmap(tally_, sizeof(Tally)); }

  /// Processes one after the other, of several threads each; every other one is killed half way.
  /// After each, what it had is gone (`before` is what there was), and the GPU works.
  void play(bool may_fail, const Footprint& before) {
    const std::uint64_t seed = from_environment("FIGMENT_FUZZ_SEED", 1);
    const auto operations =
        static_cast<unsigned>(from_environment("FIGMENT_FUZZ_OPERATIONS", 1500));
    std::printf("FIGMENT_FUZZ_SEED=%llu FIGMENT_FUZZ_OPERATIONS=%u\n",
                static_cast<unsigned long long>(seed), operations);
    for (unsigned round = 0; round < kRounds; ++round) {
      const std::uint64_t done = tally_->all();
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        stress::die_with_parent();
        if (may_fail) FaultSettings::may_fail();
        ::_exit(life(seed + round, operations));
      }
      if (round % 2 == 1) {
        std::ignore = stress::poll_until(
            [&] { return stress::has_ended(child) || tally_->all() - done > operations; },
            after(kPatience));
        ::kill(child, SIGKILL);
      }
      ASSERT_TRUE(
          stress::poll_until([&] { return stress::has_ended(child); }, after(4 * kPatience)))
          << "a hostile process does not end";
      int status = 0;
      ::waitpid(child, &status, 0);
      // Where its own memory may be refused it ends in many ways.
      if (round % 2 == 0 && !may_fail) {
        EXPECT_EQ(status, 0) << "seed " << seed + round;
      }
      // Children of one that was killed have its file for a moment longer, and all its queues.
      EXPECT_EQ(Footprint::after(before), before) << "something is left";
      Gpu gpu;
      EXPECT_DONE(gpu.run(CommandList().spin(std::chrono::microseconds(10))));
    }
    EXPECT_EQ(tally_->odd_error, 0)
        << name_of(static_cast<Op>(tally_->odd_op.load())) << " gave " << name(tally_->odd_error);
  }

  Tally* tally_;

 private:
  int life(std::uint64_t seed, unsigned operations) {
    try {
      Stage stage(*tally_);
      std::vector<std::jthread> threads;
      for (unsigned n = 0; n < kThreads; ++n) {
        threads.emplace_back([&, n] { stage.play(seed * 1000 + n, operations); });
      }
    } catch (const std::exception&) {
      return 1;
    }
    return 0;
  }
};

TEST_F(HostileUser, leaves_a_gpu_that_works_and_nothing_else) {
  const ScopedModuleParameter timeout("job_timeout_ms", "100");
  const Footprint before = Footprint::take();
  play(false, before);
  EXPECT_EQ(Footprint::after(before), before) << "something is left";
  for (std::size_t op = 0; op < kOps; ++op) {
    std::printf("%-14s %6llu done, %6llu refused\n", name_of(static_cast<Op>(op)),
                static_cast<unsigned long long>(tally_->done[op].load()),
                static_cast<unsigned long long>(tally_->refused[op].load()));
    EXPECT_GT(tally_->done[op], 0u) << name_of(static_cast<Op>(op)) << " never did anything";
  }
}

TEST_F(HostileUser, whose_allocations_fail_leaves_a_gpu_that_works) {
  if (const std::string missing = FaultSettings::missing(); !missing.empty()) {
    GTEST_SKIP() << missing;
  }
  if (const std::string missing = FaultSettings::functions_missing(); !missing.empty()) {
    GTEST_SKIP() << missing;
  }
  const ScopedModuleParameter timeout("job_timeout_ms", "100");
  const Footprint before = Footprint::take();
  {
    FaultSettings faults;
    faults.fail_at_random(2);
    for (const char* function :
         {"figment_bo_pin", "figment_import_map", "figment_pt_stock_fill", "figment_queue_create",
          "figment_syncs_collect", "figment_userptr_create", "figment_userptr_pin",
          "figment_vm_begin_job", "figment_vm_create"}) {
      EXPECT_TRUE(faults.fail_function(function, ENOMEM, 3)) << function;
    }
    play(true, before);
  }
  EXPECT_EQ(Footprint::after(before), before) << "something is left";
}

}  // namespace
}  // namespace figment::guest
