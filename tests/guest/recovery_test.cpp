// SPDX-License-Identifier: MIT
//
// The whole device is reset: by others (FLR, suspend), or by the driver because it misbehaves. Jobs
// go on where they were, or end with an error that says why; nobody hangs. And interrupts: lost,
// late, twice, and without a cause.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <system_error>
#include <thread>
#include <tuple>

#include "debugfs_counts.h"
#include "figment_hw.h"
#include "module_parameter.h"
#include "process.h"
#include "trace_instance.h"
#include "unbound_device.h"
#include "userptr.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Counts : public DebugfsCounts {
 public:
  explicit Counts(const Device& device) : DebugfsCounts(device, "recovery") {}
};

/// errno of writing `text` to a file of the kernel.
int write_file(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return errno;
  return ::write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Rules by which the device misbehaves, until the end of the scope.
class Injection {
 public:
  explicit Injection(const Device& device) : file_(debugfs(device, "inject")) { clear(); }
  Injection(const Injection&) = delete;
  Injection& operator=(const Injection&) = delete;
  ~Injection() { std::ignore = write_file(file_, "clear"); }

  void add(std::string_view rule) { ASSERT_DONE(write_file(file_, rule)) << rule; }
  void clear() { ASSERT_DONE(write_file(file_, "clear")); }

 private:
  std::string file_;
};

/// Adds to a word, often, so that whatever happens to the job comes in its middle. Each addition
/// that gets lost or is done twice is seen.
class Adder {
 public:
  explicit Adder(Strategy strategy) : strategy_(strategy), gpu_(strategy) {
    gpu_.vm.map_userptr({.at = kData, .memory = memory_.bytes()});
  }
  void begin(unsigned additions, std::chrono::microseconds pause) {
    CommandList list;
    for (unsigned n = 0; n < additions; ++n) {
      list.spin(pause).atomic({.kind = AtomicKind::add, .at = kData, .operand = 1});
    }
    expected_ += additions;
    if (info(strategy_).long_running) {
      gpu_.begin_on(gpu_.queue, list);
    } else {
      fence_.emplace(gpu_.start(list));
    }
  }
  [[nodiscard]] int finish() {
    return info(strategy_).long_running ? gpu_.finish_on(gpu_.queue) : outcome(*fence_);
  }
  void expect_right() {
    EXPECT_EQ(memory_.as<std::uint64_t>()[0], expected_) << info(strategy_).name;
    const QueueState state = gpu_.queue.query();
    EXPECT_EQ(state.errors, 0u) << info(strategy_).name << ": " << name(state.last_error);
  }
  Gpu& gpu() { return gpu_; }

 private:
  Strategy strategy_;
  const Mapping memory_ = anonymous_memory(kBytes);
  Gpu gpu_;
  std::optional<Fence> fence_;
  std::uint64_t expected_ = 0;
};

/// One of each strategy that the device offers without leave.
std::vector<std::unique_ptr<Adder>> all_strategies(const Device& device) {
  std::vector<std::unique_ptr<Adder>> adders;
  for (const auto& strategy : kStrategies) {
    if (strategy.safe && device.offers(strategy.strategy)) {
      adders.push_back(std::make_unique<Adder>(strategy.strategy));
    }
  }
  return adders;
}

void expect_works() {
  Gpu gpu;
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
}

// --- FLR --------------------------------------------------------------------------------------

class FunctionReset : public testing::Test {
 protected:
  void SetUp() override {
    if (::access(file().c_str(), W_OK)) GTEST_SKIP() << "no " << file();
    // The time that jobs get to end, where they can not be put aside.
    if (device_.preemption() == Preemption::none) limit_.emplace("job_timeout_ms", "200");
  }
  std::string file() const {
    return std::format("/sys/bus/pci/devices/{}/reset", device_.node().bus);
  }
  void reset() { ASSERT_DONE(write_file(file(), "1")); }

  const Device device_ = Device::open();
  std::optional<ScopedModuleParameter> limit_;
};

TEST_F(FunctionReset, leaves_a_device_that_works) {
  const std::uint64_t before = Counts(device_)["pauses"];
  for (int round = 0; round < 2; ++round) {
    reset();
    expect_works();
  }
  EXPECT_EQ(Counts(device_)["pauses"], before + 2);
  EXPECT_EQ(Counts(device_)["wedged"], 0u);
}

// VMs, queues, mappings, and jobs that have not begun.
TEST_F(FunctionReset, keeps_what_there_was) {
  Gpu gpu;
  const Buffer system = gpu.device.buffer({});
  const Buffer vram = gpu.device.buffer({.bytes = kPageBytes, .placement = Placement::vram});
  gpu.vm.map({.at = kData, .buffer = system});
  gpu.vm.map({.at = kData + 1_MiB, .buffer = vram});
  const Mapping view = vram.map();
  ASSERT_DONE(gpu.store(kData, 5));
  ASSERT_DONE(gpu.store(kData + 1_MiB, 6));
  view.as<std::uint64_t>()[1] = 7;
  Queue other = gpu.vm.queue();
  const Fence gate = gpu.close_gate(other);
  const Fence later = gpu.queue.run({.at = GpuVa{}, .wait = {gate.point()}});
  reset();
  gpu.open_gate();
  if (device_.preemption() == Preemption::instruction) {
    EXPECT_DONE(outcome(gate));
  }
  EXPECT_DONE(outcome(later));
  EXPECT_EQ(gpu.load(kData), 5u);
  EXPECT_EQ(gpu.load(kData + 1_MiB), 6u);
  EXPECT_EQ(gpu.load(kData + 1_MiB + 8), 7u);
  // The CPU's own view of VRAM, which it did not have during the reset.
  EXPECT_EQ(view.as<std::uint64_t>()[0], 6u);
  view.as<std::uint64_t>()[2] = 8;
  EXPECT_EQ(gpu.load(kData + 1_MiB + 16), 8u);
}

// The BAR does not answer for a tenth of a second, and a write to it then would go nowhere.
TEST_F(FunctionReset, loses_no_write_of_a_cpu_to_vram) {
  Gpu gpu;
  const Buffer vram = gpu.device.buffer({.bytes = 16_MiB, .placement = Placement::vram});
  const Mapping view = vram.map();
  const Words words = view.as<std::uint64_t>();
  std::atomic<bool> done = false;
  std::size_t written = 0;
  std::thread writer([&] {
    while (!done && written < words.size()) {
      std::atomic_ref(words[written]).store(written + 1, std::memory_order_relaxed);
      if (++written % 16 == 0) std::this_thread::sleep_for(20us);
    }
  });
  for (int round = 0; round < 2; ++round) {
    reset();
    std::this_thread::sleep_for(5ms);
  }
  done = true;
  writer.join();
  std::size_t lost = 0;
  for (std::size_t n = 0; n < written; ++n) lost += words[n] != n + 1;
  EXPECT_EQ(lost, 0u) << "of " << written;
}

class FunctionResetOf : public FunctionReset, public testing::WithParamInterface<Strategy> {};

INSTANTIATE_TEST_SUITE_P(strategies, FunctionResetOf,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault,
                                         Strategy::pin),
                         strategy_name);

// Two VMs, each with a job in its middle and one behind it, that has not begun.
TEST_P(FunctionResetOf, does_not_hurt_running_jobs) {
  if (!device_.offers(GetParam())) GTEST_SKIP() << "not on offer";
  if (device_.preemption() == Preemption::none) GTEST_SKIP() << "the GPU can put nothing aside";
  // Each packet is short, so a GPU that preempts between packets can do so.
  Adder first(GetParam());
  Adder second(GetParam());
  for (Adder* adder : {&first, &second}) adder->begin(400, 100us);
  std::this_thread::sleep_for(5ms);
  reset();
  for (Adder* adder : {&first, &second}) {
    EXPECT_DONE(adder->finish());
    adder->begin(10, 10us);
    EXPECT_DONE(adder->finish());
    adder->expect_right();
  }
}

TEST_F(FunctionReset, again_and_again_under_load_loses_nothing) {
  if (device_.preemption() == Preemption::none) GTEST_SKIP() << "the GPU can put nothing aside";
  auto adders = all_strategies(device_);
  for (auto& adder : adders) adder->begin(1000, 100us);
  for (int round = 0; round < 4; ++round) {
    reset();
    std::this_thread::sleep_for(5ms);
  }
  for (auto& adder : adders) EXPECT_DONE(adder->finish());
  for (auto& adder : adders) adder->expect_right();
}

// A job that no GPU can put aside in time is lost, and the one behind it is not.
TEST_F(FunctionReset, job_that_is_not_put_aside_is_canceled) {
  if (device_.preemption() == Preemption::instruction) {
    GTEST_SKIP() << "the GPU can put everything aside";
  }
  const ScopedModuleParameter preempt("preempt_timeout_ms", "50");
  const ScopedModuleParameter job("job_timeout_ms", "100");
  Gpu gpu;
  Queue other = gpu.vm.queue();
  const Fence stuck = gpu.close_gate(gpu.queue);
  const Fence behind = gpu.queue.run({.at = GpuVa{}});
  std::this_thread::sleep_for(10ms);
  reset();
  EXPECT_ERRNO(outcome(stuck), ECANCELED);
  EXPECT_DONE(outcome(behind));
  EXPECT_ERRNO(gpu.queue.query().last_error, ECANCELED);
  EXPECT_EQ(other.query().errors, 0u);
}

// --- suspend ----------------------------------------------------------------------------------

/// With the parameter as /sys/power/pm_test has it: how deep it goes. "core" is all the way, but
/// for the last instruction.
class Suspend : public testing::TestWithParam<const char*> {
 protected:
  static constexpr const char* kTest = "/sys/power/pm_test";
  static constexpr const char* kDelay = "/sys/module/suspend/parameters/pm_test_delay";

  void SetUp() override {
    if (!std::getenv("FIGMENT_SUSPEND")) {
      GTEST_SKIP() << "the share and the agent of a guest do not survive it: see host.Suspend";
    }
    if (!read_file("/sys/power/state").contains("mem")) {
      GTEST_SKIP() << "this kernel can not suspend to RAM";
    }
    if (!read_file(kTest).contains("devices")) GTEST_SKIP() << "this kernel has no " << kTest;
  }
  void TearDown() override { std::ignore = write_file(kTest, "none"); }

  void suspend() {
    ASSERT_DONE(write_file(kDelay, "0"));
    ASSERT_DONE(write_file(kTest, GetParam()));
    ASSERT_DONE(write_file("/sys/power/state", "mem"));
  }
};

INSTANTIATE_TEST_SUITE_P(depths, Suspend, testing::Values("devices", "core"),
                         [](const auto& depth) { return depth.param; });

TEST_P(Suspend, jobs_go_on_afterwards) {
  const Device device = Device::open();
  if (device.preemption() == Preemption::none) GTEST_SKIP() << "the GPU can put nothing aside";
  auto adders = all_strategies(device);
  // What is in VRAM stays there.
  Gpu gpu;
  const Buffer vram = gpu.device.buffer({.placement = Placement::vram});
  gpu.vm.map({.at = kData, .buffer = vram});
  const Mapping view = vram.map();
  view.as<std::uint64_t>()[0] = 4711;
  const std::uint64_t before = Counts(device)["pauses"];
  for (int round = 0; round < 2; ++round) {
    for (auto& adder : adders) adder->begin(400, 100us);
    suspend();
    for (auto& adder : adders) EXPECT_DONE(adder->finish());
  }
  for (auto& adder : adders) adder->expect_right();
  EXPECT_EQ(gpu.load(kData), 4711u);
  EXPECT_EQ(view.as<std::uint64_t>()[0], 4711u);
  EXPECT_EQ(Counts(device)["pauses"], before + 2);
  EXPECT_EQ(Counts(device)["jobs_canceled"], 0u);
}

// --- a device that misbehaves -----------------------------------------------------------------

class Misbehaviour : public testing::Test {
 protected:
  void SetUp() override {
    if (!device_.has(Feature::injection)) GTEST_SKIP() << "needs --gpu inject=on";
    injection_.emplace(device_);
  }
  void TearDown() override {
    if (!injection_) return;
    injection_.reset();
    expect_works();
  }
  std::uint64_t count(const std::string& name) const { return Counts(device_)[name]; }

  const Device device_ = Device::open();
  std::optional<Injection> injection_;
};

class Interrupts : public Misbehaviour, public testing::WithParamInterface<const char*> {};

// Whatever happens to the messages, all jobs end, and right.
INSTANTIATE_TEST_SUITE_P(rules, Interrupts,
                         testing::Values("interrupt-lost,every=3,vector=0",
                                         "interrupt-late,every=2,value=30000000",
                                         "interrupt-duplicated,every=1,value=100000",
                                         "interrupt-spurious,every=1,value=200000",
                                         "interrupt-spurious,every=1,value=200000,vector=1"),
                         [](const auto& rule) {
                           std::string text = rule.param;
                           if (text.contains("spurious,every=1,value=200000,vector=1")) {
                             return std::string("error_spurious");
                           }
                           text = text.substr(10, text.find(',') - 10);
                           return text;
                         });

TEST_P(Interrupts, do_no_harm_to_jobs_of_any_strategy) {
  const ScopedModuleParameter period("watchdog_ms", "10");
  auto adders = all_strategies(device_);
  injection_->add(GetParam());
  for (int round = 0; round < 5; ++round) {
    for (auto& adder : adders) adder->begin(5, 100us);
    for (auto& adder : adders) EXPECT_DONE(adder->finish());
  }
  for (auto& adder : adders) adder->expect_right();
}

TEST_F(Misbehaviour, lost_interrupts_are_noticed_and_counted) {
  Gpu gpu;
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
  const std::uint64_t before = count("interrupts_lost");
  injection_->add("interrupt-lost,every=1,vector=0");
  for (int round = 0; round < 3; ++round) {
    EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
  }
  EXPECT_GE(count("interrupts_lost"), before + 3);
}

// The fault that nobody was told of is answered, and so are those that follow.
TEST_F(Misbehaviour, lost_interrupt_of_a_fault_does_not_stall_for_ever) {
  if (!device_.offers(Strategy::fault)) GTEST_SKIP() << "no faults on offer";
  const ScopedModuleParameter period("watchdog_ms", "10");
  Gpu gpu(Strategy::fault);
  const Mapping memory = anonymous_memory(kBytes);
  gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
  const std::uint64_t before = count("interrupts_lost");
  injection_->add("interrupt-lost,every=1,event=fault");
  EXPECT_DONE(gpu.store(kData, 3));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 3u);
  EXPECT_GT(count("interrupts_lost"), before);
}

// A failed job is noticed although the device could not say so.
TEST_F(Misbehaviour, lost_interrupt_of_an_error_does_not_stall_for_ever) {
  const ScopedModuleParameter period("watchdog_ms", "10");
  Gpu gpu;
  injection_->add("interrupt-lost,every=1,event=queue-error");
  EXPECT_ERRNO(gpu.store(kHole, 3), EFAULT);
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
}

TEST_F(Misbehaviour, full_event_ring_is_emptied_without_an_event) {
  Gpu gpu;
  injection_->add("event-full,every=1,value=3600000000000");
  for (int round = 0; round < 5; ++round) {
    EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
  }
}

// The number in memory says that both jobs have ended, but the second one waits.
TEST_F(Misbehaviour, corrupt_completion_ends_no_job_that_has_not) {
  Gpu gpu;
  CommandList list;
  list.spin(1ms);
  // Sequence numbers begin with 1: 1 ^ 3 is the other one.
  injection_->add("completion-corrupt,once,value=3");
  const Fence first = gpu.start(list);
  const Fence second = gpu.close_gate(gpu.queue);
  EXPECT_DONE(outcome(first));
  EXPECT_FALSE(second.wait(after(100ms))) << "it has not run";
  gpu.open_gate();
  EXPECT_DONE(outcome(second));
}

// Numbers that say nothing, or nonsense: the jobs end, the watchdog sees to it.
TEST_F(Misbehaviour, corrupt_completions_hang_no_job) {
  const ScopedModuleParameter period("watchdog_ms", "10");
  const std::uint64_t before = count("completions_corrupt");
  for (const char* mask : {"0xffffffffffffffff", "0x100000000", "0xff"}) {
    injection_->clear();
    injection_->add(std::format("completion-corrupt,every=1,value={}", mask));
    Gpu gpu;
    CommandList list;
    for (int round = 0; round < 3; ++round) EXPECT_DONE(outcome(gpu.start(list.spin(100us))));
    EXPECT_EQ(gpu.queue.query().errors, 0u);
  }
  EXPECT_GT(count("completions_corrupt"), before);
}

TEST_F(Misbehaviour, hanging_packet_costs_its_job) {
  const ScopedModuleParameter limit("job_timeout_ms", "50");
  Gpu gpu;
  Gpu other;
  TraceInstance trace("figment-test");
  trace.set("events/figment/figment_reset/enable", "1");
  injection_->add("hang,once");
  CommandList list;
  EXPECT_ERRNO(outcome(gpu.start(list.spin(1us))), ETIME);
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
  EXPECT_DONE(outcome(other.queue.run({.at = GpuVa{}})));
  EXPECT_THAT(trace.take(), HasSubstr("cause=timeout"));
}

TEST_F(Misbehaviour, preemption_that_is_stuck_costs_the_job) {
  if (!device_.offers(Strategy::preempt)) GTEST_SKIP() << "no preemption on offer";
  const ScopedModuleParameter limit("preempt_timeout_ms", "50");
  Gpu gpu(Strategy::preempt);
  const Mapping memory = anonymous_memory(kBytes);
  gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_DONE(gpu.store(kData, 1));
  injection_->add("preempt-stuck,once");
  gpu.begin_on(gpu.queue, gpu.gate());
  std::this_thread::sleep_for(5ms);
  ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_ERRNO(gpu.finish_on(gpu.queue), ETIME);
  EXPECT_DONE(gpu.store(kData, 2));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 2u);
}

// A queue that can not be reset: its number waits for a report that never gets into the ring. Two
// queues of the same number one after the other do that.
class StuckQueue : public Misbehaviour {
 protected:
  void SetUp() override {
    Misbehaviour::SetUp();
    if (IsSkipped()) return;
    if (!device_.offers(Strategy::preempt)) GTEST_SKIP() << "no long-running VM on offer";
    watchdog_.emplace("watchdog_ms", "0");
  }
  void break_device(Gpu& gpu) {
    injection_->add("interrupt-lost,every=1,vector=1");
    injection_->add("event-full,once,event=queue-reset,value=3600000000000");
    for (int life = 0; life < 2; ++life) {
      Queue queue = gpu.vm.queue();
      gpu.begin_on(queue, gpu.gate());
    }
  }

  std::optional<ScopedModuleParameter> watchdog_;
};

TEST_F(StuckQueue, has_the_device_reset) {
  TraceInstance trace("figment-test");
  trace.set("events/figment/figment_reset/enable", "1");
  const std::uint64_t before = count("device_resets");
  const std::uint64_t canceled = count("jobs_canceled");
  // An innocent with a job in its middle, and one that has not begun.
  Gpu innocent;
  const Fence begun = innocent.close_gate(innocent.queue);
  const Fence next = innocent.queue.run({.at = GpuVa{}});
  Gpu idle(Strategy::pin);
  const Mapping memory = anonymous_memory(kBytes);
  idle.vm.map_userptr({.at = kData, .memory = memory.bytes()});
  Gpu guilty(Strategy::preempt);
  break_device(guilty);
  watchdog_.reset();
  injection_->clear();

  EXPECT_ERRNO(outcome(begun), ECANCELED);
  EXPECT_DONE(outcome(next));
  const QueueState state = innocent.queue.query();
  EXPECT_EQ(state.errors, 1u);
  EXPECT_ERRNO(state.last_error, ECANCELED);
  EXPECT_EQ(state.last_code, unsigned{FIGMENT_CODE_NONE});
  EXPECT_DONE(idle.store(kData, 9));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 9u);
  EXPECT_DONE(guilty.run({}));
  EXPECT_EQ(count("device_resets"), before + 1);
  EXPECT_EQ(count("jobs_canceled"), canceled + 1);
  EXPECT_THAT(trace.take(), HasSubstr("cause=a queue can not be reset"));
}

TEST_F(StuckQueue, gives_the_device_up_when_resets_do_not_help) {
  if (!can_be_unbound(device_)) GTEST_SKIP() << "can not be bound again";
  {
    const ScopedModuleParameter none("device_resets", "0");
    Gpu innocent;
    const UniqueFd begun = innocent.close_gate(innocent.queue).sync_file();
    Gpu guilty(Strategy::preempt);
    try {
      break_device(guilty);
    } catch (const std::system_error& error) {
      EXPECT_ERRNO(error.code().value(), ENODEV);
    }
    EXPECT_TRUE(
        stress::poll_until([&] { return sync_file_result(begun).has_value(); }, after(kPatience)));
    EXPECT_ERRNO(sync_file_result(begun).value_or(0), ENODEV);
    EXPECT_EQ(count("wedged"), 1u);
    EXPECT_ERRNO(raw(device_.fd(), DRM_IOCTL_FIGMENT_VM_CREATE, drm_figment_vm_create{}), ENODEV);
    EXPECT_ERRNO(guilty.run({}), ENODEV);
    EXPECT_ERRNO(raw(innocent.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT,
                     drm_figment_submit{.queue_id = innocent.queue.id()}),
                 ENODEV);
  }
  injection_.reset();
  UnboundDevice(device_).bind();
  expect_works();
}

// Anything that the device reads or writes may fail: packets, page tables, descriptors, events.
// Jobs may be lost, but all of them end, and what was broken works again.
TEST_F(Misbehaviour, bus_errors_hang_nothing) {
  const ScopedModuleParameter period("watchdog_ms", "10");
  const ScopedModuleParameter preempt("preempt_timeout_ms", "50");
  auto adders = all_strategies(device_);
  const Mapping memory = anonymous_memory(kBytes);
  std::uint64_t lost = 0;
  for (int round = 0; round < 15; ++round) {
    injection_->clear();
    // Each time another access is the first one; sooner or later all kinds are met.
    injection_->add(std::format("bus-error,every={},after={}", 29 + 2 * round, 3 * round));
    for (auto& adder : adders) adder->begin(5, 10us);
    for (auto& adder : adders) lost += adder->finish() != 0;
  }
  injection_->clear();
  EXPECT_GT(lost, 0u) << "nothing was injected";
  for (auto& adder : adders) {
    adder->begin(5, 10us);
    EXPECT_DONE(adder->finish());
  }
  EXPECT_EQ(count("wedged"), 0u);
}

// All of it at once, with a seed: jobs of all strategies, and other resets on top.
TEST_F(Misbehaviour, storm_of_interrupts_that_are_not_right_loses_no_job) {
  const ScopedModuleParameter period("watchdog_ms", "10");
  auto adders = all_strategies(device_);
  for (const char* rule :
       {"interrupt-lost,chance=100000", "interrupt-late,chance=100000,value=5000000",
        "interrupt-duplicated,chance=200000,value=50000",
        "interrupt-spurious,chance=500000,value=1000000",
        "event-full,chance=100000,value=2000000"}) {
    injection_->add(rule);
  }
  for (int round = 0; round < 10; ++round) {
    for (auto& adder : adders) adder->begin(10, 50us);
    for (auto& adder : adders) EXPECT_DONE(adder->finish());
  }
  for (auto& adder : adders) adder->expect_right();
}

}  // namespace
}  // namespace figment::guest
