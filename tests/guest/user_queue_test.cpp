// SPDX-License-Identifier: MIT
//
// User queues: what they do when everybody plays by the rules, while the kernel takes queues off
// the device and pages away.
#include "user_queue.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <print>
#include <random>
#include <thread>

#include "debugfs_counts.h"
#include "figment_hw.h"
#include "process.h"
#include "trace_instance.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class UserQueues : public UserQueueFixture {};

INSTANTIATE_TEST_SUITE_P(strategies, UserQueues,
                         testing::Values(Strategy::preempt, Strategy::fault), strategy_name);

TEST_P(UserQueues, execute_what_their_process_writes) {
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  EXPECT_EQ(queue.read(), 0u);
  for (int round = 0; round < 20; ++round) expect_works(queue);
  EXPECT_EQ(queue.read(), queue.written());
  EXPECT_EQ(queue.query().errors, 0u);
}

// Packets go round the end of the ring, and whoever is too fast waits.
TEST_P(UserQueues, execute_in_order_in_a_ring_that_is_full) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserQueue queue = gpu_.vm.user_queue({.at = kRing, .ring_bytes = 4_KiB});
  constexpr std::uint64_t kJobs = 2000;
  std::uint64_t last = 0;
  for (std::uint64_t n = 1; n <= kJobs; ++n) {
    CommandList list;
    list.atomic({.kind = AtomicKind::cas, .at = kData, .operand = n, .compare = n - 1});
    if (n % 3 == 0) list.nop(static_cast<std::uint16_t>(n % 7 + 1));
    last = queue.submit(list, n % 50 ? UserQueue::Tell::by_the_way : UserQueue::Tell::at_once);
  }
  EXPECT_EQ(queue.wait(last, after(kPatience)), WaitEnd::holds);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], kJobs);
  EXPECT_GT(queue.written(), 10 * 4_KiB);
}

TEST_P(UserQueues, stand_beside_each_other_and_beside_others) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  std::vector<UserQueue> queues;
  for (std::uint64_t n = 0; n < 4; ++n) {
    queues.push_back(gpu_.vm.user_queue({.at = kRing + n * 1_MiB}));
  }
  std::uint64_t last = 0;
  CommandList add;
  add.atomic({.kind = AtomicKind::add, .at = kData, .operand = 1});
  for (int round = 0; round < 50; ++round) {
    for (auto& queue : queues) last = queue.submit(add);
    EXPECT_DONE(gpu_.run(add));
  }
  for (auto& queue : queues) EXPECT_EQ(queue.wait(last, after(kPatience)), WaitEnd::holds);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 250u);
}

// Also the ring itself may be taken away: it is memory like any other.
TEST_P(UserQueues, may_have_their_ring_in_memory_of_the_process) {
  const Mapping ring = anonymous_memory(2 * kPageBytes);
  gpu_.vm.map_userptr({.at = kRing, .memory = ring.bytes()});
  UserQueue queue =
      gpu_.vm.user_queue({.at = kRing, .ring_bytes = kPageBytes, .memory = ring.bytes()});
  for (int round = 0; round < 20; ++round) {
    expect_works(queue);
    ASSERT_EQ(in_child([] { return 0; }), 0);
    // To another page, with the same packets.
    ASSERT_EQ(::madvise(ring.bytes().data(), kPageBytes, MADV_COLD), 0);
    ASSERT_EQ(::mprotect(ring.bytes().data(), kPageBytes, PROT_READ), 0);
    ASSERT_EQ(::mprotect(ring.bytes().data(), kPageBytes, PROT_READ | PROT_WRITE), 0);
  }
}

// Or in VRAM, from which others may drive it out.
TEST_P(UserQueues, find_their_ring_again_when_it_was_evicted) {
  const std::uint64_t bytes = gpu_.device.info().vram_bytes / 4;
  if (bytes == 0) GTEST_SKIP() << "the GPU has no VRAM";
  const auto evictions = [&] { return DebugfsCounts(gpu_.device, "buffers")["buffer_evictions"]; };
  const BufferConfig vram = {.bytes = bytes, .placement = Placement::vram};
  const Buffer ring = gpu_.device.buffer(vram);
  const Mapping view = ring.map();
  gpu_.vm.map({.at = kRing, .buffer = ring});
  UserQueue queue =
      gpu_.vm.user_queue({.at = kRing, .ring_bytes = kPageBytes, .memory = view.bytes()});
  for (int round = 0; round < 3; ++round) {
    expect_works(queue);
    const std::uint64_t before = evictions();
    const std::array others = {gpu_.device.buffer(vram), gpu_.device.buffer(vram),
                               gpu_.device.buffer(vram), gpu_.device.buffer(vram)};
    EXPECT_GT(evictions(), before);
    expect_works(queue);
  }
}

TEST_P(UserQueues, end_a_wait_in_the_kernel_at_once) {
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  expect_works(queue);
  // Each would take a tenth of a second if nobody told of it.
  const auto begin = Clock::now();
  CommandList list;
  list.spin(1ms);
  for (int round = 0; round < 50; ++round) {
    ASSERT_EQ(queue.wait(queue.submit(list), after(kPatience)), WaitEnd::holds);
  }
  EXPECT_LT(Clock::now() - begin, 4s);
}

// --- taken off the device ---------------------------------------------------------------------

// A userfaultfd whose pages come when the test says so: until then nothing that needs them resumes.
class Missing {
 public:
  explicit Missing(std::span<std::byte> memory)
      : memory_(memory), fd_(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC))) {
    if (!fd_) fail(errno, "userfaultfd");
    uffdio_api api = {.api = UFFD_API};
    if (::ioctl(fd_.get(), UFFDIO_API, &api)) fail(errno, "UFFDIO_API");
    uffdio_register range = {.range = this->range(), .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (::ioctl(fd_.get(), UFFDIO_REGISTER, &range)) fail(errno, "UFFDIO_REGISTER");
  }
  void provide() {
    uffdio_zeropage zero = {.range = range()};
    while (::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &zero)) {
      if (errno != EAGAIN) fail(errno, "UFFDIO_ZEROPAGE");
      zero = {.range = range()};
    }
  }

 private:
  [[nodiscard]] uffdio_range range() const {
    return {reinterpret_cast<std::uint64_t>(memory_.data()), memory_.size()};
  }
  std::span<std::byte> memory_;
  UniqueFd fd_;
};

class PreemptedUserQueue : public UserQueueFixture {};

INSTANTIATE_TEST_SUITE_P(strategies, PreemptedUserQueue, testing::Values(Strategy::preempt),
                         strategy_name);

// The device hears no doorbell for as long as the pages are missing. Nobody rings again.
TEST_P(PreemptedUserQueue, does_what_was_rung_for_while_it_was_away) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  expect_works(queue);
  Missing missing(memory.bytes());
  for (int round = 0; round < 5; ++round) {
    disturb(memory.bytes());
    std::uint64_t last = 0;
    for (int job = 0; job < 3; ++job) last = queue.submit({});
    EXPECT_EQ(queue.wait(last, after(50ms)), WaitEnd::deadline) << "it is on the device";
    missing.provide();
    // A mutant waits here in vain: not for as long as anything may take.
    ASSERT_EQ(queue.wait(last, after(20s)), WaitEnd::holds);
  }
}

// What it waits for is up to user space, which may be what destroys it.
TEST_P(PreemptedUserQueue, is_destroyed_while_it_waits_for_pages) {
  const Mapping memory = anonymous_memory(kPageBytes);
  auto gpu = std::make_unique<Gpu>(GetParam());
  gpu->vm.map_userptr({.at = kData, .memory = memory.bytes()});
  auto queue = std::make_unique<UserQueue>(gpu->vm.user_queue({.at = kRing}));
  UserQueue other = gpu->vm.user_queue({.at = kRing + 1_MiB});
  ASSERT_EQ(queue->wait(queue->submit({}), after(kPatience)), WaitEnd::holds);
  const Missing missing(memory.bytes());
  disturb(memory.bytes());
  queue->submit({});
  other.submit({});
  EXPECT_EQ(other.wait(1, after(20ms)), WaitEnd::deadline);
  queue.reset();
  // And the VM with the other one, which its file has until the end.
  gpu.reset();
  EXPECT_THROW(std::ignore = other.query(), std::system_error);
  expect_healthy();
}

// A job is in its middle, and more is written meanwhile.
TEST_P(PreemptedUserQueue, goes_on_where_it_was) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  const Buffer sum = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData + 1_MiB, .buffer = sum});
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  CommandList list;
  for (int n = 0; n < 100; ++n) {
    list.spin(50us).atomic({.kind = AtomicKind::add, .at = kData + 1_MiB, .operand = 1});
  }
  Missing missing(memory.bytes());
  std::uint64_t last = 0;
  for (int round = 0; round < 10; ++round) {
    last = queue.submit(list);
    std::this_thread::sleep_for(1ms);
    disturb(memory.bytes());
    last = queue.submit(list);
    missing.provide();
    ASSERT_EQ(queue.wait(last, after(kPatience)), WaitEnd::holds);
  }
  EXPECT_EQ(sum.map().as<std::uint64_t>()[0], 2000u);
}

// What was put aside is in the descriptor, and a reset of the device does not change it.
TEST_P(PreemptedUserQueue, goes_on_after_a_reset_of_the_device) {
  if (!gpu_.device.has(Feature::injection)) GTEST_SKIP() << "needs --gpu inject=on";
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  const Buffer sum = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData + 1_MiB, .buffer = sum});
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  expect_works(queue);
  CommandList list;
  for (int n = 0; n < 400; ++n) {
    list.spin(50us).atomic({.kind = AtomicKind::add, .at = kData + 1_MiB, .operand = 1});
  }
  Missing missing(memory.bytes());
  std::uint64_t last = queue.submit(list);
  std::this_thread::sleep_for(5ms);
  disturb(memory.bytes());
  last = queue.submit(list);
  make_driver_reset(gpu_.device);
  missing.provide();
  EXPECT_EQ(queue.wait(last, after(kPatience)), WaitEnd::holds) << name(queue.query().last_error);
  EXPECT_EQ(sum.map().as<std::uint64_t>()[0], 800u);
}

// A doorbell may come at any moment of a preemption and of the way back. If one is lost, its job
// ends only with the next preemption, and there is none: the queue is left alone until the job has
// ended.
TEST_P(UserQueues, hear_every_doorbell) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  TraceInstance trace("figment-test");
  trace.set("events/figment/figment_doorbell/enable", "1");
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  std::atomic<unsigned> asked = 0;
  std::atomic<unsigned> done = 0;
  const std::jthread disturber([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (asked == done) continue;
      const unsigned round = asked;
      disturb(memory.bytes());
      done = round;
    }
  });
  std::minstd_rand random(4711);
  const Deadline deadline = after(20s);
  unsigned rounds = 0;
  for (; rounds < 3000 && Clock::now() < deadline; ++rounds) {
    memory.as<std::uint64_t>()[0] = rounds;
    ++asked;
    // Sooner or later in its way off the device and back.
    const auto until = Clock::now() + std::chrono::microseconds(random() % 2000);
    while (Clock::now() < until) {
    }
    const std::uint64_t number = queue.submit({});
    if (queue.wait(number, after(10s)) != WaitEnd::holds) {
      ADD_FAILURE() << "a doorbell was lost in round " << rounds;
      break;
    }
  }
  const std::string rung = trace.take();
  RecordProperty("rounds", static_cast<int>(rounds));
  std::println("{} rounds, the driver rang {} times", rounds, std::ranges::count(rung, '\n'));
  EXPECT_EQ(queue.query().errors, 0u);
}

// Somebody rings all the time, as fast as the ring allows, while queues come and go.
TEST_P(UserQueues, that_are_rung_all_the_time_lose_nothing) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  const Buffer sum = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData + 1_MiB, .buffer = sum});
  UserQueue queue = gpu_.vm.user_queue({.at = kRing, .ring_bytes = 4_KiB});
  std::jthread disturber([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) disturb(memory.bytes());
  });
  CommandList list;
  list.atomic({.kind = AtomicKind::add, .at = kData + 1_MiB, .operand = 1});
  std::uint64_t last = 0;
  const Deadline deadline = after(10s);
  while (last < 20000 && Clock::now() < deadline) {
    last = queue.submit(list, UserQueue::Tell::by_the_way);
  }
  disturber.request_stop();
  disturber.join();
  EXPECT_EQ(queue.wait(last, after(kPatience)), WaitEnd::holds)
      << name(queue.query().last_error) << " " << queue.query().last_address;
  EXPECT_EQ(sum.map().as<std::uint64_t>()[0], last);
}

// --- fork() -----------------------------------------------------------------------------------

// The queue adds to all words of a page, again and again, in memory that is shared with each child
// until somebody writes: a child sees sums of one moment, which never change, and no addition is
// lost.
TEST_P(UserQueues, write_while_their_process_forks) {
  const Mapping memory = anonymous_memory(kBytes);
  const Words words = memory.as<std::uint64_t>();
  ASSERT_DONE(bind(memory.bytes()));
  // The ring is such memory, too, and its process writes it all the time.
  const Mapping ring = anonymous_memory(5 * kPageBytes);
  gpu_.vm.map_userptr({.at = kRing, .memory = ring.bytes()});
  UserQueue queue =
      gpu_.vm.user_queue({.at = kRing, .ring_bytes = 4 * kPageBytes, .memory = ring.bytes()});
  CommandList list;
  for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
    list.atomic({.kind = AtomicKind::add, .at = kData + page * kPageBytes, .operand = 1});
  }
  constexpr int kForks = 30;
  std::atomic<bool> stop = false;
  std::uint64_t last = 0;
  std::thread submitter([&] {
    while (!stop) last = queue.submit(list, UserQueue::Tell::by_the_way);
  });
  int wrong = 0;
  for (int n = 0; n < kForks; ++n) {
    wrong += in_child([&] {
               std::array<std::uint64_t, kBytes / kPageBytes> before;
               for (std::uint64_t page = 0; page < before.size(); ++page) {
                 before[page] = std::atomic_ref(words[page * 512]).load();
               }
               // In the order of the packets, and the queue is stopped in the middle of one list.
               for (std::uint64_t page = 1; page < before.size(); ++page) {
                 if (before[page] > before[page - 1] || before[page] + 1 < before[0]) return 1;
               }
               std::this_thread::sleep_for(5ms);
               for (std::uint64_t page = 0; page < before.size(); ++page) {
                 if (std::atomic_ref(words[page * 512]).load() != before[page]) return 2;
               }
               return 0;
             }) != 0;
  }
  stop = true;
  submitter.join();
  EXPECT_EQ(wrong, 0);
  ASSERT_EQ(queue.wait(last, after(kPatience)), WaitEnd::holds);
  for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
    EXPECT_EQ(words[page * 512], last) << "page " << page;
  }
}

// --- shared virtual memory --------------------------------------------------------------------

// Nothing is bound: an array is the ring, and the packets have addresses of this process.
TEST(UserQueueSvm, has_its_ring_anywhere) {
  if (!Device::open().offers(Strategy::fault)) GTEST_SKIP() << "no faults on offer";
  Gpu gpu({.strategy = Strategy::fault, .svm = true});
  const Mapping memory = anonymous_memory(3 * kPageBytes);
  const auto at = [&](std::uint64_t offset) {
    return GpuVa{user_pointer(&memory.bytes()[offset])};
  };
  UserQueue queue = gpu.vm.user_queue(
      {.at = at(0), .ring_bytes = kPageBytes, .memory = memory.bytes().first(2 * kPageBytes)});
  std::uint64_t& word = memory.as<std::uint64_t>()[2 * kPageBytes / 8];
  CommandList list;
  list.atomic({.kind = AtomicKind::add, .at = at(2 * kPageBytes), .operand = 1});
  for (std::uint64_t round = 1; round <= 100; ++round) {
    if (round % 10 == 0) {
      ASSERT_EQ(in_child([] { return 0; }), 0);
    }
    ASSERT_EQ(queue.wait(queue.submit(list), after(kPatience)), WaitEnd::holds);
    ASSERT_EQ(std::atomic_ref(word).load(), round);
  }
}

// --- what others see --------------------------------------------------------------------------

TEST_P(UserQueues, are_busy_for_notifiers_while_they_have_work) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  TraceInstance trace("figment-test");
  trace.set("events/figment/figment_notifier/enable", "1");
  const auto busy = [&](const char* value) {
    disturb(memory.bytes());
    const std::string text = trace.take();
    EXPECT_THAT(text, HasSubstr(std::format("busy={}", value)));
  };
  memory.as<std::uint64_t>()[0] = 1;
  expect_works(queue);
  std::ignore = trace.take();
  busy("0");
  const std::uint64_t number = queue.submit(gpu_.gate());
  busy("1");
  gpu_.open_gate();
  EXPECT_EQ(queue.wait(number, after(kPatience)), WaitEnd::holds);
}

TEST_P(UserQueues, are_listed_as_such) {
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  std::ifstream file(debugfs(gpu_.device, "queues"));
  std::string line;
  unsigned users = 0;
  std::getline(file, line);
  EXPECT_TRUE(line.ends_with(" user")) << line;
  while (std::getline(file, line)) users += line.ends_with(" 1");
  EXPECT_EQ(users, 1u);
}

}  // namespace
}  // namespace figment::guest
