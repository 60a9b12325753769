// SPDX-License-Identifier: MIT
//
// The driver's tracepoints: who took which pages away, and what it has cost; and what else the
// driver decides.
#include "trace_instance.h"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <ctime>
#include <format>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "notifier_trace.h"
#include "process.h"
#include "userptr.h"

namespace figment::guest {
namespace {

using testing::Contains;
using testing::HasSubstr;

/// The number behind `name=` in the first line that has `what`, or 0.
std::uint64_t number(std::string_view text, std::string_view what, std::string_view name) {
  const auto line = text.find(what);
  const auto at = text.find(name, line);
  if (line == text.npos || at == text.npos) return 0;
  std::uint64_t value = 0;
  std::from_chars(text.data() + at + name.size() + 1, text.data() + text.size(), value);
  return value;
}

/// How long a job is held that a notifier waits for.
constexpr auto kHeld = std::chrono::milliseconds(20);

bool is_asleep(pid_t thread) {
  std::ifstream file(std::format("/proc/self/task/{}/stat", thread));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // Behind the name, which may have anything in it.
  const auto state = text.substr(text.rfind(')') + 1, 2);
  return state == " D" || state == " S";
}

class NotifierTrace : public testing::TestWithParam<Strategy> {
 protected:
  NotifierTrace() {
    trace_.set("options/stacktrace", "1");
    trace_.set("events/figment/figment_notifier/enable", "1");
    trace_.set("events/figment/figment_notifier_done/enable", "1");
  }
  /// Takes from the trace until it has `what`.
  void wait_for(std::string_view what) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!text_.contains(what)) {
      text_ += trace_.take();
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "the trace has no " << what << ":\n"
                                                       << text_;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  TraceInstance trace_{"figment-test"};
  std::string text_;
};

INSTANTIATE_TEST_SUITE_P(strategies, NotifierTrace,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault),
                         strategy_name);

TEST_P(NotifierTrace, tells_who_took_pages_from_a_busy_gpu) {
  if (!Device::open().offers(GetParam())) GTEST_SKIP() << "not on offer";
  Gpu gpu(GetParam());
  const bool long_running = info(GetParam()).long_running;
  const Mapping memory = anonymous_memory(kBytes);
  gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_DONE(gpu.store(kData, 1));
  // All of it, with a huge page or without, so that the number of pages is known.
  for (std::uint64_t at = 0; at < kBytes; at += kPageBytes) EXPECT_DONE(gpu.store(kData + at, 1));
  std::ignore = trace_.take();

  // It has begun when it has written; a scheduler may take its time until then.
  CommandList list;
  list.fill({.at = kData, .bytes = 8, .value = 2});
  list = gpu.gate(std::move(list));
  std::optional<Fence> job;
  if (long_running) {
    gpu.begin_on(gpu.queue, list);
  } else {
    job = gpu.start_on(gpu.queue, list);
  }
  const auto word = std::atomic_ref(memory.as<std::uint64_t>()[0]);
  ASSERT_TRUE(stress::poll_until([&] { return word == 2; }, after(kPatience)));
  std::atomic<pid_t> thread = 0;
  std::thread other([&] {
    thread = ::gettid();
    ::madvise(memory.bytes().data(), kBytes, MADV_DONTNEED);
  });
  wait_for("event=CLEAR");
  if (!long_running) {
    EXPECT_TRUE(stress::poll_until([&] { return is_asleep(thread); }, after(kPatience)));
    std::this_thread::sleep_for(kHeld);
  }
  gpu.open_gate();
  other.join();
  wait_for("figment_notifier_done");
  EXPECT_DONE(long_running ? gpu.finish_on(gpu.queue) : outcome(*job));

  SCOPED_TRACE(text_);
  const auto calls = stress::parse_notifier_trace(text_);
  ASSERT_EQ(calls.size(), 1u);
  const auto& call = calls.begin()->first;
  EXPECT_EQ(call.strategy, info(GetParam()).name);
  EXPECT_FALSE(call.svm);
  EXPECT_TRUE(call.busy);
  EXPECT_EQ(call.event, "CLEAR");
  EXPECT_THAT(call.stack, Contains("__x64_sys_madvise"));
  const auto start = user_pointer(memory.bytes().data());
  EXPECT_THAT(text_, HasSubstr(std::format("start={:#x} end={:#x} busy=1 blockable=1", start,
                                           start + kBytes)));
  const auto done = [&](std::string_view name) {
    return number(text_, "figment_notifier_done", name);
  };
  EXPECT_EQ(done("pages"), kBytes / kPageBytes);
  EXPECT_GT(done("total_ns"), 0u);
  EXPECT_GE(done("total_ns"), done("waited_ns"));
  if (!long_running) {
    EXPECT_GE(std::chrono::nanoseconds(done("waited_ns")), kHeld) << "the job was waited for";
  }
  EXPECT_EQ(trace_.lost(), 0u);
}

TEST_P(NotifierTrace, tells_that_the_gpu_was_idle) {
  if (!Device::open().offers(GetParam())) GTEST_SKIP() << "not on offer";
  Gpu gpu(GetParam());
  const Mapping memory = anonymous_memory(kBytes);
  gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_DONE(gpu.store(kData, 1));
  // Its end is known to the process before the driver has heard of it.
  ASSERT_TRUE(stress::poll_until([&] { return gpu.queue.query().jobs >= 1; }, after(kPatience)));
  ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ), 0);
  wait_for("event=PROTECTION_VMA");
  EXPECT_THAT(text_, HasSubstr("busy=0"));
}

TEST(NotifierTraceOfSvm, tells_of_the_mirror) {
  TraceInstance trace("figment-test");
  Gpu gpu(VmConfig{.strategy = Strategy::fault, .svm = true});
  const Mapping memory = anonymous_memory(kBytes);
  const auto words = memory.as<std::uint64_t>();
  EXPECT_DONE(gpu.store(shared_address(words.data()), 1));
  trace.set("options/stacktrace", "1");
  trace.set("events/figment/enable", "1");
  ASSERT_EQ(::munmap(memory.bytes().data(), kBytes), 0);
  const std::string text = trace.take();
  trace.set("events/figment/enable", "0");
  // The mapping is an object that would unmap its address again, which may be another's by then.
  ASSERT_NE(::mmap(memory.bytes().data(), kBytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
            MAP_FAILED);
  SCOPED_TRACE(text);
  stress::NotifierCall unmapped;
  for (const auto& [call, count] : stress::parse_notifier_trace(text)) {
    if (call.event == "UNMAP") unmapped = call;
  }
  EXPECT_TRUE(unmapped.svm);
  EXPECT_EQ(unmapped.strategy, "fault");
  EXPECT_EQ(stress::caller_of(unmapped), "unmap_vmas");
  EXPECT_GE(number(text, "figment_notifier_done", "pages"), 1u);
}

/// Everything that the driver tells while a job writes to memory that is then taken away.
class DriverTrace : public testing::TestWithParam<Strategy> {
 protected:
  std::string trace_of_a_job() {
    Gpu gpu(GetParam());
    const Mapping memory = anonymous_memory(kBytes);
    TraceInstance trace("figment-test");
    trace.set("events/figment/enable", "1");
    gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
    EXPECT_DONE(gpu.store(kData, 1));
    EXPECT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ), 0);
    // The process may know of the end before the driver does.
    std::string text;
    EXPECT_TRUE(stress::poll_until(
        [&] {
          text += trace.take();
          return text.contains(" figment_job_end: ");
        },
        after(kPatience)));
    EXPECT_EQ(trace.lost(), 0u);
    return text;
  }
};

INSTANTIATE_TEST_SUITE_P(strategies, DriverTrace,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault),
                         strategy_name);

TEST_P(DriverTrace, tells_the_life_of_a_job) {
  if (!Device::open().offers(GetParam())) GTEST_SKIP() << "not on offer";
  const std::string text = trace_of_a_job();
  SCOPED_TRACE(text);
  std::vector<std::string> life{"figment_bind", "figment_job_emit", "figment_event",
                                "figment_job_end"};
  if (!info(GetParam()).long_running) life.insert(life.begin() + 1, "figment_job_submit");
  std::size_t at = 0;
  for (const std::string& event : life) {
    const std::size_t found = text.find(" " + event + ": ", at);
    ASSERT_NE(found, text.npos) << event << " is missing, or too early";
    at = found;
  }
  EXPECT_EQ(number(text, "figment_job_emit", " job"), number(text, "figment_job_end", " job"));
  EXPECT_EQ(number(text, "figment_job_emit", " vm"), number(text, "figment_notifier", " vm"));
  EXPECT_GT(number(text, "figment_job_emit", " end"), number(text, "figment_job_emit", " begin"));
  // There the queue is off the device until it has a job.
  EXPECT_EQ(text.contains(" rung=1"), GetParam() != Strategy::preempt);
  EXPECT_THAT(text, HasSubstr("kind=USERPTR address=0x1000000000 "));
  const auto issued = text.find(" figment_invalidate: ");
  ASSERT_NE(issued, text.npos);
  EXPECT_GE(number(text.substr(issued), " figment_invalidated: ", " seq"),
            number(text, " figment_invalidate: ", " seq"));
}

TEST_P(DriverTrace, tells_what_its_strategy_does) {
  if (!Device::open().offers(GetParam())) GTEST_SKIP() << "not on offer";
  const std::string text = trace_of_a_job();
  SCOPED_TRACE(text);
  const auto tells = [&](std::string_view event) {
    return text.contains(std::format(" {}: ", event));
  };
  const bool preempts = GetParam() == Strategy::preempt, faults = GetParam() == Strategy::fault;
  for (const char* const event : {"figment_resume", "figment_preempt", "figment_preempt_done"}) {
    EXPECT_EQ(tells(event), preempts) << event;
  }
  for (const char* const event : {"figment_fault", "figment_fault_done"}) {
    EXPECT_EQ(tells(event), faults) << event;
  }
  if (faults) {
    EXPECT_THAT(text, HasSubstr("address=0x1000000000 error=0"));
  }
  const bool waits = info(GetParam()).long_running;
  for (const char* const event : {"figment_user_fence_wait", "figment_user_fence_wait_done"}) {
    EXPECT_EQ(tells(event), waits) << event;
  }
}

TEST(ClockTrace, compares_the_clocks_of_driver_and_device) {
  const Device device = Device::open();
  TraceInstance trace("figment-test");
  trace.set("events/figment/figment_clock/enable", "1");
  std::uint64_t last_time = 0, last_after = 0;
  for (int i = 0; i < 3; ++i) {
    std::ifstream file("/sys/kernel/debug/dri/" + device.node().bus + "/clock");
    std::uint64_t before = 0, time = 0, after = 0;
    ASSERT_TRUE(file >> before >> time >> after) << "no debugfs";
    EXPECT_GE(before, last_after);
    EXPECT_GE(after, before);
    EXPECT_GT(time, last_time);
    last_time = time;
    last_after = after;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    EXPECT_LE(after, static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                         static_cast<std::uint64_t>(now.tv_nsec));
    EXPECT_THAT(trace.take(),
                HasSubstr(std::format("figment_clock: device={} before={} time={} after={}",
                                      device.node().bus, before, time, after)));
  }
}

}  // namespace
}  // namespace figment::guest
