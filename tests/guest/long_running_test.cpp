// SPDX-License-Identifier: MIT
//
// Long-running VMs: jobs without DMA fences, that may stay for ever.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "module_parameter.h"
#include "userptr.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;

class LongRunning : public UserptrFixture, public testing::WithParamInterface<Strategy> {
 protected:
  LongRunning() : UserptrFixture(GetParam()) {}

  /// errno of SUBMIT with one sync.
  [[nodiscard]] int submit_with(const drm_figment_sync& sync) {
    drm_figment_submit request = {.queue_id = gpu_.queue.id(), .syncs = array_of(sync)};
    return raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT, request);
  }
};

INSTANTIATE_TEST_SUITE_P(strategies, LongRunning, testing::Values(Strategy::preempt, Strategy::fault),
                         strategy_name);

TEST_P(LongRunning, jobs_neither_signal_nor_wait_for_syncobjs) {
  const Syncobj syncobj = gpu_.device.syncobj(true);
  EXPECT_ERRNO(submit_with({.handle = syncobj.handle()}), EOPNOTSUPP);
  EXPECT_ERRNO(submit_with({.flags = DRM_FIGMENT_SYNC_SIGNAL, .handle = syncobj.handle()}),
               EOPNOTSUPP);
  EXPECT_EQ(gpu_.queue.query().jobs, 0u);
  expect_healthy();
}

TEST_P(LongRunning, jobs_stay_longer_than_others_may) {
  const ScopedModuleParameter limit("job_timeout_ms", "50");
  Gpu gpu(GetParam());
  gpu.begin_on(gpu.queue, gpu.gate());
  EXPECT_ERRNO(gpu.finish_on(gpu.queue, after(1s)), ETIME);
  gpu.open_gate();
  EXPECT_DONE(gpu.finish_on(gpu.queue));
  EXPECT_EQ(gpu.queue.query().errors, 0u);
}

TEST_P(LongRunning, job_ends_with_its_queue) {
  auto queue = std::make_unique<Queue>(gpu_.vm.queue());
  gpu_.begin_on(*queue, gpu_.gate());
  queue.reset();
  expect_healthy();
}

TEST_P(LongRunning, job_ends_with_its_vm) {
  {
    Gpu other(GetParam());
    other.begin_on(other.queue, other.gate());
  }
  expect_healthy();
}

TEST_P(LongRunning, jobs_are_executed_in_order) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  // More than the ring has space for: the last calls wait for the first jobs.
  constexpr std::uint64_t kJobs = 500;
  for (std::uint64_t n = 1; n <= kJobs; ++n) {
    CommandList list;
    list.spin(20us).atomic({.kind = AtomicKind::cas, .at = kData, .operand = n, .compare = n - 1});
    gpu_.begin_on(gpu_.queue, list);
  }
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], kJobs);
}

// A full ring is waited for only as long as the caller wants.
TEST_P(LongRunning, full_queue_lets_go_of_a_caller_when_it_is_destroyed) {
  drm_figment_queue_create create = {.vm_id = gpu_.vm.id()};
  ASSERT_DONE(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, create));
  gpu_.begin_on(gpu_.queue, gpu_.gate());
  std::atomic<int> submitted = 0;
  std::atomic<int> end = 0;
  // Each waits for a word that nobody writes.
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData, .buffer = buffer});
  CommandList list;
  list.wait({.at = kData, .compare = Compare::ne, .reference = 0});
  const GpuVa code = kData + 1_MiB;
  const Buffer commands = gpu_.device.buffer({});
  gpu_.vm.map({.at = code, .buffer = commands});
  const Mapping view = commands.map();
  list.write_to(view.bytes());
  std::thread submitter([&] {
    while (!end) {
      end = raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT,
                drm_figment_submit{
                    .queue_id = create.id, .address = code.value, .size = list.bytes()});
      ++submitted;
    }
  });
  int before = -1;
  while (submitted != before) {
    before = submitted;
    std::this_thread::sleep_for(200ms);
  }
  EXPECT_GT(before, 8);
  EXPECT_EQ(end, 0) << "a full queue is no error";
  ASSERT_DONE(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_DESTROY,
                  drm_figment_queue_destroy{.id = create.id}));
  submitter.join();
  EXPECT_TRUE(end == ECANCELED || end == ENOENT) << name(end);
  gpu_.open_gate();
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
}

TEST_P(LongRunning, error_ends_the_job_and_the_wait_for_it) {
  CommandList bad;
  bad.spin(5ms).fill({.at = kHole, .bytes = 8, .value = 1});
  gpu_.begin_on(gpu_.queue, bad);
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue), EFAULT);
  const QueueState state = gpu_.queue.query();
  EXPECT_EQ(state.errors, 1u);
  EXPECT_EQ(state.last_address, kHole.value);
  expect_healthy();
}

TEST_P(LongRunning, wait_knows_which_errors_are_old) {
  CommandList bad;
  bad.fill({.at = kHole, .bytes = 8, .value = 1});
  EXPECT_ERRNO(gpu_.run(bad), EFAULT);
  CommandList good;
  EXPECT_DONE(gpu_.run(good.spin(5ms)));
}

TEST_P(LongRunning, wait_for_a_queue_ends_when_it_is_destroyed) {
  auto queue = std::make_unique<Queue>(gpu_.vm.queue());
  gpu_.begin_on(*queue, gpu_.gate());
  const std::uint64_t never = 0;
  const QueueErrors before = queue->errors();
  std::thread destroyer([&] {
    std::this_thread::sleep_for(50ms);
    queue.reset();
  });
  EXPECT_EQ(wait(gpu_.device.fd(), UserFence{.word = &never, .reference = 1}, before,
                 after(kPatience)),
            WaitEnd::job_failed);
  destroyer.join();
}

TEST_P(LongRunning, wait_with_a_queue_that_is_not_there_is_refused) {
  const std::uint64_t word = 0;
  drm_figment_wait_user_fence request = {.address = user_pointer(&word),
                                         .mask = ~0ull,
                                         .compare = DRM_FIGMENT_COMPARE_GE,
                                         .queue_id = 4711};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_WAIT_USER_FENCE, request), ENOENT);
  request.queue_id = 0;
  request.errors = 1;
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_WAIT_USER_FENCE, request), EINVAL);
}

// munmap() returns although the job goes on for ever; what it touches afterwards is not there.
TEST_P(LongRunning, job_does_not_hold_up_munmap) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 1));
  CommandList list = gpu_.gate();
  list.fill({.at = kData, .bytes = 8, .value = 2});
  gpu_.begin_on(gpu_.queue, list);
  ASSERT_EQ(::munmap(memory.bytes().data(), kBytes), 0);
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue, after(100ms)), ETIME) << "it still waits";
  gpu_.open_gate();
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue), EFAULT);
  gpu_.vm.unmap({.at = kData, .bytes = kBytes});
  expect_healthy();
}

// The same with memory that stays: the job finds it again.
TEST_P(LongRunning, job_goes_on_after_the_pages_have_changed) {
  const Mapping memory = anonymous_memory(kBytes);
  const Words words = memory.as<std::uint64_t>();
  ASSERT_DONE(bind(memory.bytes()));
  for (int round = 0; round < 20; ++round) {
    words[0] = 0;
    CommandList list;
    list.fill({.at = kData, .bytes = 8, .value = 7});
    for (int n = 0; n < 50; ++n) {
      list.spin(100us).atomic({.kind = AtomicKind::add, .at = kData + 8, .operand = 1});
    }
    gpu_.begin_on(gpu_.queue, list);
    std::this_thread::sleep_for(1ms);
    const std::uint64_t seen = std::atomic_ref(words[1]).load();
    ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_DONTNEED), 0);
    EXPECT_DONE(gpu_.finish_on(gpu_.queue));
    EXPECT_LE(words[1], 50u) << "after " << seen;
    words[1] = 0;
  }
}

// All processes that share a GPU fork at the same time.
TEST_P(LongRunning, queues_of_other_vms_go_on) {
  Gpu other(Strategy::fence);
  CommandList list;
  list.spin(300ms);
  const Fence fence = other.start(list);
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  gpu_.begin_on(gpu_.queue, gpu_.gate());
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_DONTNEED), 0);
    EXPECT_ERRNO(gpu_.finish_on(gpu_.queue, after(5ms)), ETIME);
  }
  gpu_.open_gate();
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
  EXPECT_DONE(outcome(fence));
}

// Each of them is put aside and goes on by itself.
TEST_P(LongRunning, idle_queues_come_back_with_their_next_job) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  Queue second = gpu_.vm.queue();
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_DONTNEED), 0);
    CommandList list;
    list.fill({.at = kData, .bytes = 8, .value = 5});
    EXPECT_DONE(gpu_.run_on(round % 2 ? second : gpu_.queue, list));
    EXPECT_EQ(memory.as<std::uint64_t>()[0], 5u);
  }
}

}  // namespace
}  // namespace figment::guest
