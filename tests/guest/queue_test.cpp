// SPDX-License-Identifier: MIT
//
// Queues and jobs: their number, priorities, lives, and what SUBMIT refuses.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "guest.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;

class QueueTest : public GpuTest {
 protected:
  int create(drm_figment_queue_create request) {
    return raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, request);
  }
  int submit(drm_figment_submit request) {
    return raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT, request);
  }
};

TEST_F(QueueTest, runs_an_empty_job) {
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(QueueTest, is_destroyed_once) {
  drm_figment_queue_create request = {.vm_id = gpu_.vm.id()};
  ASSERT_DONE(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, request));
  const drm_figment_queue_destroy destroy = {.id = request.id};
  EXPECT_DONE(
      raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_DESTROY, drm_figment_queue_destroy(destroy)));
  EXPECT_ERRNO(
      raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_DESTROY, drm_figment_queue_destroy(destroy)),
      ENOENT);
  EXPECT_ERRNO(submit({.queue_id = request.id}), ENOENT);
}

TEST_F(QueueTest, works_at_every_priority) {
  for (std::uint32_t priority = 0; priority < gpu_.device.info().priorities; ++priority) {
    Queue queue = gpu_.vm.queue({.priority = priority});
    EXPECT_DONE(outcome(queue.run({.at = GpuVa{}}))) << "priority " << priority;
  }
}

TEST_F(QueueTest, works_with_short_and_long_timeslices) {
  for (const std::uint64_t ns : {1ull, 1000ull, 1'000'000ull, ~0ull}) {
    Queue queue = gpu_.vm.queue({.timeslice_ns = ns});
    EXPECT_DONE(outcome(queue.run({.at = GpuVa{}}))) << ns << " ns";
  }
}

TEST_F(QueueTest, above_the_highest_priority_is_refused) {
  EXPECT_ERRNO(create({.vm_id = gpu_.vm.id(), .priority = gpu_.device.info().priorities}), EINVAL);
  EXPECT_ERRNO(create({.vm_id = gpu_.vm.id(), .priority = ~0u}), EINVAL);
}

TEST_F(QueueTest, of_the_highest_priority_is_for_the_privileged) {
  const auto create_highest = [&](std::uint32_t below) {
    return create({.vm_id = gpu_.vm.id(), .priority = gpu_.device.info().priorities - 1 - below});
  };
  EXPECT_DONE(create_highest(0));
  if (gpu_.device.info().priorities < 2) return;
  EXPECT_EQ(in_child([&] {
              if (::setresuid(65534, 65534, 65534) != 0) return 1;
              if (create_highest(0) != EACCES) return 2;
              return create_highest(1) == 0 ? 0 : 3;
            }),
            0);
}

TEST_F(QueueTest, in_an_unknown_vm_is_refused) {
  EXPECT_ERRNO(create({.vm_id = 12345}), ENOENT);
}

TEST_F(QueueTest, there_are_as_many_as_told_and_again_after_they_have_gone) {
  const unsigned told = gpu_.device.info().queues;
  for (int round = 0; round < 2; ++round) {
    std::vector<Queue> queues;
    int error = 0;
    while (error == 0 && queues.size() <= told) {
      try {
        queues.push_back(gpu_.vm.queue());
      } catch (const std::system_error& full) {
        error = full.code().value();
      }
    }
    EXPECT_ERRNO(error, ENOSPC);
    EXPECT_GE(queues.size() + 1, told / 2) << "round " << round;
    for (auto& queue : queues) EXPECT_DONE(outcome(queue.run({.at = GpuVa{}})));
  }
}

TEST_F(QueueTest, all_work_at_the_same_time) {
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData, .buffer = buffer});
  std::vector<Queue> queues;
  for (int n = 0; n < 16; ++n) queues.push_back(gpu_.vm.queue());
  constexpr int kJobs = 20;
  std::vector<Fence> fences;
  for (int job = 0; job < kJobs; ++job) {
    for (auto& queue : queues) {
      CommandList list;
      list.atomic({.kind = AtomicKind::add, .at = kData, .operand = 1});
      fences.push_back(gpu_.start_on(queue, list));
    }
  }
  for (const auto& fence : fences) EXPECT_DONE(outcome(fence));
  EXPECT_EQ(gpu_.load(kData), queues.size() * kJobs);
}

// Jobs that the driver has handed to the device, over all its queues.
std::uint64_t jobs_emitted(const Device& device) {
  std::ifstream queues("/sys/kernel/debug/dri/" + device.node().bus + "/queues");
  std::string line;
  EXPECT_TRUE(std::getline(queues, line)) << "no debugfs";
  std::uint64_t sum = 0, id, asid, priority, running, emitted;
  while (std::getline(queues, line)) {
    std::istringstream(line) >> id >> asid >> priority >> running >> emitted;
    sum += emitted;
  }
  return sum;
}

TEST_F(QueueTest, of_higher_priority_goes_first) {
  // Every engine is kept busy until all jobs are in their rings; each then draws a ticket.
  constexpr unsigned kQueues = 6;
  const Buffer buffer = gpu_.device.buffer({});
  const Mapping view = buffer.map();
  gpu_.vm.map({.at = kData, .buffer = buffer});
  const std::uint64_t before = jobs_emitted(gpu_.device);
  const std::uint32_t highest = gpu_.device.info().priorities - 1;
  std::vector<Queue> queues;
  std::vector<Fence> fences;
  for (unsigned n = 0; n < gpu_.device.info().engines; ++n) {
    queues.push_back(gpu_.vm.queue({.priority = highest}));
    fences.push_back(gpu_.close_gate(queues.back()));
  }
  for (unsigned n = 0; n < 2 * kQueues; ++n) {
    queues.push_back(gpu_.vm.queue({.priority = n < kQueues ? 0u : 1u}));
    CommandList list;
    list.atomic({.kind = AtomicKind::add, .at = kData, .operand = 1, .result = kData + 8 + 8 * n});
    fences.push_back(gpu_.start_on(queues.back(), list));
  }
  while (jobs_emitted(gpu_.device) - before < fences.size()) std::this_thread::sleep_for(1ms);
  gpu_.open_gate();
  for (const auto& fence : fences) EXPECT_DONE(outcome(fence));
  for (unsigned n = 0; n < 2 * kQueues; ++n) {
    const std::uint64_t ticket = view.as<std::uint64_t>()[1 + n];
    EXPECT_EQ(ticket < kQueues, n >= kQueues) << "job " << n << " was number " << ticket;
  }
}

TEST_F(QueueTest, that_is_destroyed_cancels_its_jobs) {
  std::optional<Queue> doomed(gpu_.vm.queue());
  std::vector<Fence> fences;
  fences.push_back(gpu_.close_gate(*doomed));
  for (int n = 0; n < 5; ++n) fences.push_back(doomed->run({.at = GpuVa{}}));
  doomed.reset();
  for (const auto& fence : fences) EXPECT_ERRNO(outcome(fence), ECANCELED);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(QueueTest, that_is_destroyed_leaves_no_write_behind) {
  const Buffer buffer = gpu_.device.buffer({.bytes = 1_MiB});
  const Mapping view = buffer.map();
  gpu_.vm.map({.at = kData, .buffer = buffer});
  std::optional<Queue> doomed(gpu_.vm.queue());
  CommandList list;
  for (std::uint64_t n = 1; n <= 2000; ++n) {
    list.fill({.at = kData, .bytes = 1_MiB, .value = n});
  }
  const Fence fence = gpu_.start_on(*doomed, list);
  doomed.reset();
  const int error = outcome(fence);
  EXPECT_TRUE(error == ECANCELED || error == 0) << name(error);
  const std::vector<std::uint64_t> before(view.as<std::uint64_t>().begin(),
                                          view.as<std::uint64_t>().end());
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(std::ranges::equal(before, view.as<std::uint64_t>()));
}

TEST_F(QueueTest, that_waits_for_another_can_be_destroyed) {
  Queue other = gpu_.vm.queue();
  const Fence gate = gpu_.close_gate(other);
  std::optional<Queue> doomed(gpu_.vm.queue());
  const Fence waiting = doomed->run({.at = GpuVa{}, .wait = {gate.point()}});
  doomed.reset();
  gpu_.open_gate();
  EXPECT_DONE(outcome(gate));
  EXPECT_ERRNO(outcome(waiting), ECANCELED);
}

TEST_F(QueueTest, counts_its_jobs) {
  EXPECT_EQ(gpu_.queue.query().jobs, 0u);
  for (int n = 0; n < 3; ++n) EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
  const QueueState state = gpu_.queue.query();
  EXPECT_EQ(state.jobs, 3u);
  EXPECT_EQ(state.errors, 0u);
  EXPECT_EQ(state.last_error, 0);
}

TEST_F(QueueTest, of_another_file_is_not_known) {
  const Device other = Device::open();
  EXPECT_ERRNO(
      raw(other.fd(), DRM_IOCTL_FIGMENT_SUBMIT, drm_figment_submit{.queue_id = gpu_.queue.id()}),
      ENOENT);
}

TEST_F(QueueTest, takes_many_jobs_at_a_time) {
  constexpr int kJobs = 1000;
  const Syncobj end = gpu_.device.syncobj();
  for (int n = 1; n <= kJobs; ++n) {
    gpu_.queue.submit({.at = GpuVa{}, .signal = {end.at(static_cast<std::uint64_t>(n))}});
  }
  EXPECT_TRUE(end.wait(kJobs, after(kPatience)));
  EXPECT_EQ(gpu_.queue.query().errors, 0u);
}

TEST_F(QueueTest, submit_refuses_what_is_no_job) {
  const std::uint32_t id = gpu_.queue.id();
  EXPECT_ERRNO(submit({.queue_id = 12345}), ENOENT);
  EXPECT_ERRNO(submit({.queue_id = id, .flags = 1}), EINVAL);
  EXPECT_ERRNO(submit({.queue_id = id, .address = kData.value + 4, .size = 8}), EINVAL);
  EXPECT_ERRNO(submit({.queue_id = id, .address = kData.value, .size = 12}), EINVAL);
  EXPECT_ERRNO(submit({.queue_id = id, .address = kData.value, .size = ~std::uint64_t{7}}), EINVAL);
  EXPECT_ERRNO(submit({.queue_id = id, .address = ~std::uint64_t{7}, .size = 16}), EINVAL);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

}  // namespace
}  // namespace figment::guest
