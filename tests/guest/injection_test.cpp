// SPDX-License-Identifier: MIT
//
// A GPU that misbehaves on purpose, one kind after the other, and what the driver makes of it: the
// answer on the fence, that nothing else suffers, and that all is well afterwards.
#include <gmock/gmock.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "figment_hw.h"
#include "figment_inject_rule.h"
#include "guest.h"
#include "inject_file.h"
#include "module_parameter.h"
#include "process.h"
#include "userptr.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// Begins and ends without rules. Jobs have little time, as some never end.
template <typename Fixture>
class WithRules : public Fixture {
 protected:
  using Fixture::Fixture;

  void SetUp() override {
    if (!this->gpu_.device.has(Feature::injection)) {
      GTEST_SKIP() << "this GPU does not misbehave for its guest: --gpu inject=on";
    }
    ASSERT_DONE(inject_.write("clear"));
  }
  void TearDown() override {
    if (!inject_.is_there()) return;
    EXPECT_DONE(inject_.write("clear"));
  }
  void arm(const std::string& rule) { ASSERT_DONE(inject_.write(rule)); }

  InjectFile inject_{this->gpu_.device};
};

/// Before the queue is made that it counts for.
struct ShortTimeout {
  ScopedModuleParameter timeout{"job_timeout_ms", "300"};
};
class ShortGpuTest : ShortTimeout, public GpuTest {};

class InjectRule : public WithRules<GpuTest> {};
class Injected : public WithRules<ShortGpuTest> {
 protected:
  /// A job that leaves a number, and does nothing that could hang.
  int count() {
    CommandList list;
    return gpu_.run(list.atomic({.kind = AtomicKind::add, .at = kData, .operand = 1}));
  }
  std::uint64_t counted() const { return view_.as<std::uint64_t>()[0]; }
  void SetUp() override {
    WithRules::SetUp();
    gpu_.vm.map({.at = kData, .buffer = buffer_});
  }

  Buffer buffer_ = gpu_.device.buffer({});
  Mapping view_ = buffer_.map();
};

// --- the file ---

TEST_F(InjectRule, is_listed_as_it_was_written_until_it_is_cleared) {
  arm("hang,queue=3,after=2\n");
  arm("interrupt-late,chance=1000,event=fence,value=0x3e8");
  EXPECT_THAT(inject_.lines(),
              ElementsAre("0: hang,queue=3,after=2: struck 0",
                          "1: interrupt-late,chance=1000,event=fence,value=0x3e8: struck 0"));
  arm("clear\n");
  EXPECT_THAT(inject_.lines(), IsEmpty());
}

TEST_F(InjectRule, of_each_kind_can_be_armed) {
  for (const figment_inject_kind& kind : figment_inject_kinds) {
    // Nothing must come of it; what is removed can not be brought back from here.
    std::string rule = std::string(kind.name) + ",after=1000000000";
    if (kind.value_min != 0) rule += ",value=" + std::to_string(kind.value_min);
    if (kind.aims & FIGMENT_AIM_QUEUE) rule += ",queue=0";
    if (kind.aims & FIGMENT_AIM_ENGINE) rule += ",engine=0";
    if (kind.aims & FIGMENT_AIM_VECTOR) rule += ",vector=1";
    if (kind.aims & FIGMENT_AIM_EVENT) rule += ",event=fence";
    if (kind.aims & FIGMENT_AIM_ADDRESS) rule += ",address=0x1000-0x1fff";
    EXPECT_DONE(inject_.write(rule)) << rule;
  }
  EXPECT_EQ(inject_.lines().size(), std::size(figment_inject_kinds));
}

TEST_F(InjectRule, that_says_what_it_can_not_is_refused) {
  const auto& info = gpu_.device.info();
  const std::vector<std::string> wrong = {"hnag",
                                          "",
                                          "hang,",
                                          "hang,,queue=1",
                                          "hang,every",
                                          "hang,every=",
                                          "hang,every=0",
                                          "hang,once=1",
                                          "hang,once,every=2",
                                          "hang,queue=1,queue=1",
                                          "hang,value=1",
                                          "hang,vector=0",
                                          "hang,colour=1",
                                          "hang,chance=1000001",
                                          "hang,after=-1",
                                          "hang,after=+1",
                                          "hang,after=1x",
                                          "hang,after=0x",
                                          "hang,after=99999999999999999999",
                                          "hang,address=2-1",
                                          "hang,address=1-",
                                          "hang,address=-1",
                                          "hang,queue=4294967296",
                                          "hang,queue=" + std::to_string(info.queues),
                                          "hang,engine=" + std::to_string(info.engines),
                                          "interrupt-late",
                                          "interrupt-late,value=0",
                                          "interrupt-late,value=3600000000001",
                                          "interrupt-lost,vector=2",
                                          "interrupt-lost,event=fences",
                                          "interrupt-spurious,value=999",
                                          "completion-corrupt,value=1,event=fault",
                                          "clear,hang",
                                          "hang,after=" + std::string(1000, '1')};
  for (const std::string& rule : wrong) {
    EXPECT_ERRNO(inject_.write(rule), EINVAL) << rule;
  }
  EXPECT_THAT(inject_.lines(), IsEmpty());
}

TEST_F(InjectRule, needs_room) {
  for (unsigned n = 0; n < FIGMENT_INJECT_RULES_MAX; ++n) arm("hang,after=1000000000");
  EXPECT_ERRNO(inject_.write("hang"), ENOSPC);
  EXPECT_EQ(inject_.lines().size(), std::size_t{FIGMENT_INJECT_RULES_MAX});
}

// --- interrupts ---

TEST_F(Injected, interrupt_that_is_lost_is_made_good) {
  const std::uint64_t before = recoveries(gpu_.device, "interrupts_lost");
  arm("interrupt-lost,event=fence");
  EXPECT_DONE(count());
  EXPECT_EQ(inject_.strikes(), 1u);
  EXPECT_GT(recoveries(gpu_.device, "interrupts_lost"), before);
  EXPECT_DONE(count());
  EXPECT_EQ(counted(), 2u);
}

TEST_F(Injected, interrupt_that_is_late_is_waited_for) {
  arm("interrupt-late,event=fence,value=5000000");
  EXPECT_DONE(count());
  EXPECT_EQ(inject_.strikes(), 1u);
  EXPECT_DONE(count());
}

TEST_F(Injected, interrupt_that_comes_twice_does_no_harm) {
  arm("interrupt-duplicated,event=fence,every=1,value=1000");
  for (int n = 0; n < 10; ++n) EXPECT_DONE(count());
  EXPECT_GT(inject_.strikes(), 0u);
  EXPECT_EQ(counted(), 10u);
}

TEST_F(Injected, interrupts_without_a_cause_do_no_harm) {
  arm("interrupt-spurious,every=1,value=1000000");
  arm("interrupt-spurious,every=1,value=1000000,vector=1");
  ASSERT_TRUE(stress::poll_until([&] { return inject_.strikes(0) >= 5 && inject_.strikes(1) >= 5; },
                                 after(kPatience)));
  EXPECT_DONE(count());
  EXPECT_EQ(counted(), 1u);
}

TEST_F(Injected, event_ring_that_is_full_loses_nothing) {
  arm("event-full,event=fence,every=2,value=2000000");
  for (int n = 0; n < 6; ++n) EXPECT_DONE(count());
  EXPECT_GT(inject_.strikes(), 0u);
  EXPECT_EQ(counted(), 6u);
}

// --- jobs ---

// Of the packets of users, which are where guest.cpp has them: those of rings are elsewhere.
constexpr const char* kUserPackets = "address=0x2000000000-0x20000fffff";

TEST_F(Injected, hang_costs_the_job_and_nothing_else) {
  Queue other = gpu_.vm.queue();
  CommandList one;
  one.atomic({.kind = AtomicKind::add, .at = kData, .operand = 1});
  CommandList elsewhere;
  elsewhere.atomic({.kind = AtomicKind::add, .at = kData + 8, .operand = 1});

  arm(std::string("hang,") + kUserPackets);
  const Fence stuck = gpu_.start(one);
  const Fence next = gpu_.start(one);
  // Not before the rule has struck: it is for the first packet that comes.
  ASSERT_TRUE(stress::poll_until([&] { return inject_.strikes() == 1; }, after(kPatience)));
  std::uint64_t others = 0;
  while (!stuck.wait(Deadline{})) {
    EXPECT_DONE(gpu_.run_on(other, elsewhere));
    ++others;
  }
  EXPECT_ERRNO(outcome(stuck), ETIME);
  EXPECT_DONE(outcome(next));
  EXPECT_DONE(count());
  EXPECT_EQ(counted(), 2u);
  EXPECT_GT(others, 0u);
  EXPECT_EQ(view_.as<std::uint64_t>()[1], others);
  EXPECT_EQ(other.query().errors, 0u);
  const QueueState state = gpu_.queue.query();
  EXPECT_EQ(state.errors, 1u);
  EXPECT_ERRNO(state.last_error, ETIME);
}

TEST_F(Injected, bus_that_does_not_answer_costs_the_job) {
  EXPECT_DONE(count());
  arm("bus-error");
  EXPECT_ERRNO(count(), EIO);
  EXPECT_EQ(inject_.strikes(), 1u);
  EXPECT_EQ(gpu_.queue.query().last_code, unsigned{FIGMENT_CODE_BUS});
  EXPECT_DONE(count());
  EXPECT_EQ(counted(), 2u);
}

TEST_F(Injected, vram_that_does_not_answer_costs_the_job) {
  const GpuVa at = kData + 1_GiB;
  const Buffer vram = gpu_.device.buffer({.bytes = kPageBytes, .placement = Placement::vram});
  gpu_.vm.map({.at = at, .buffer = vram});
  ASSERT_DONE(gpu_.store(at, 7));
  arm("vram-error");
  EXPECT_ERRNO(gpu_.try_load(at), EIO);
  EXPECT_EQ(inject_.strikes(), 1u);
  EXPECT_EQ(gpu_.queue.query().last_address, at.value);
  EXPECT_EQ(gpu_.load(at), 7u);
}

// The number that tells the end of a job is not the one of any job: nobody believes it, and that
// the job has ended is found all the same.
TEST_F(Injected, completion_that_is_corrupt_is_not_believed) {
  EXPECT_DONE(count());
  arm("completion-corrupt,value=0x100000000");
  EXPECT_DONE(count());
  EXPECT_EQ(inject_.strikes(), 1u);
  EXPECT_DONE(count());
  EXPECT_EQ(counted(), 3u);
  EXPECT_EQ(gpu_.queue.query().errors, 0u);
}

// --- preemption ---

class InjectedPreemption : public WithRules<UserptrFixture> {
 protected:
  InjectedPreemption() : WithRules(Strategy::preempt) {}
  void SetUp() override {
    WithRules::SetUp();
    if (IsSkipped()) return;
    ASSERT_DONE(bind(memory_.bytes()));
  }
  /// A job that has begun, and stays.
  void begin_long() {
    CommandList list;
    list.release({.at = kData, .value = 1, .event = true});
    gpu_.begin_on(gpu_.queue, gpu_.gate(list));
    const UserFence begun{.word = memory_.as<std::uint64_t>().data(), .reference = 1};
    ASSERT_TRUE(wait(gpu_.device.fd(), begun, after(kPatience)));
  }
  void take_pages() { EXPECT_EQ(::madvise(memory_.bytes().data(), kBytes, MADV_DONTNEED), 0); }

  const ScopedModuleParameter limit_{"preempt_timeout_ms", "200"};
  const Mapping memory_ = anonymous_memory(kBytes);
};

TEST_F(InjectedPreemption, that_never_ends_costs_the_job) {
  begin_long();
  arm("preempt-stuck");
  take_pages();
  EXPECT_EQ(inject_.strikes(), 1u);
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue), ETIME);
  EXPECT_DONE(gpu_.store(kData, 2));
  EXPECT_EQ(memory_.as<std::uint64_t>()[0], 2u);
  EXPECT_EQ(gpu_.queue.query().errors, 1u);
}

TEST_F(InjectedPreemption, that_is_slow_is_waited_for) {
  begin_long();
  arm("preempt-slow,value=5000000");
  take_pages();
  EXPECT_EQ(inject_.strikes(), 1u);
  gpu_.open_gate();
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
  EXPECT_EQ(gpu_.queue.query().errors, 0u);
}

// --- removal ---

// Only the host brings the device back. A scenario of the host runs this, and answers; the second
// GPU is the one that goes.
class Removal : public testing::Test {
 protected:
  static void write_file(const std::string& path) {
    std::ofstream file(path);
    file << 1 << std::flush;
    ASSERT_TRUE(file) << path;
  }
  static std::uint16_t vendor_of(const std::string& device) {
    std::ifstream config(device + "/config", std::ios::binary);
    std::uint16_t vendor = 0;
    config.read(reinterpret_cast<char*>(&vendor), sizeof(vendor));
    return vendor;
  }
};

TEST_F(Removal, ends_all_jobs_until_the_host_brings_the_device_back) {
  const std::size_t nodes = Device::nodes().size();
  ASSERT_EQ(nodes, 2u) << "run with --gpus 2";
  const std::string pci = "/sys/bus/pci/devices/" + Device::nodes()[1].bus;
  {
    const ShortTimeout timeout;
    Gpu gpu(VmConfig{}, 1);
    const InjectFile inject(gpu.device);
    ASSERT_DONE(inject.write("clear"));
    const Fence running = gpu.close_gate(gpu.queue);
    // The driver looks whether it is armed, which is the first opportunity.
    ASSERT_DONE(inject.write("removed"));
    EXPECT_ERRNO(inject.write("clear"), ENODEV);
    EXPECT_ERRNO(outcome(running), ENODEV);
    EXPECT_ERRNO(gpu.run(CommandList{}), ENODEV);
  }
  EXPECT_EQ(vendor_of(pci), 0xffff);
  std::printf("the device is gone\n");
  std::fflush(stdout);
  ASSERT_TRUE(
      stress::poll_until([&] { return vendor_of(pci) == FIGMENT_PCI_VENDOR_ID; }, after(kPatience)))
      << "nobody has brought it back";
  // As after power-on: the kernel has to give it addresses anew.
  write_file(pci + "/remove");
  write_file("/sys/bus/pci/rescan");
  ASSERT_TRUE(
      stress::poll_until([&] { return Device::nodes().size() == nodes; }, after(kPatience)));
  Gpu again(VmConfig{}, 1);
  EXPECT_DONE(again.run(CommandList{}));
}

TEST(NoInjection, has_no_file) {
  const Device device = Device::open();
  ASSERT_FALSE(device.has(Feature::injection)) << "needs --gpu inject=off";
  EXPECT_FALSE(InjectFile(device).is_there());
}

}  // namespace
}  // namespace figment::guest
