// SPDX-License-Identifier: MIT
#include "worker.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <thread>

#include "figment/error.h"
#include "process.h"
#include "stamped.h"
#include "vram_pages.h"

namespace figment::stress {
namespace {

constexpr GpuVa kRange{0x1'0000'0000};
constexpr GpuVa kCommands{0x2'0000'0000};

/// Longer than anything that works takes on the slowest machine.
constexpr auto kStuck = std::chrono::seconds(120);

/// About the time of a job: looking more often finds nothing new, and a few processes
/// that look keep an emulated CPU busy.
constexpr auto kPollStep = std::chrono::milliseconds(1);

/// How long a child of exit-early stays, at most.
constexpr std::uint64_t kEarlyMicroseconds = 1000;

Mapping make_range(const WorkerConfig& config) {
  Mapping range = anonymous_memory(config.bytes, kHugePageBytes);
  // Every other process has huge pages, where the kernel offers them; a kernel that
  // does not refuses both, which is as good.
  ::madvise(range.bytes().data(), range.bytes().size(),
            config.number % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  if (config.strategy.dontfork &&
      ::madvise(range.bytes().data(), range.bytes().size(), MADV_DONTFORK) != 0) {
    fail(errno, "madvise(MADV_DONTFORK) of the range");
  }
  std::memset(range.bytes().data(), 0, range.bytes().size());
  return range;
}

/// Where the GPU finds it.
GpuVa range_at(const Mapping& range, const StressStrategy& strategy) {
  return strategy.svm ? shared_address(range.bytes().data()) : kRange;
}

std::optional<Userptr> bind_range(Vm& vm, const Mapping& range, const StressStrategy& strategy) {
  if (strategy.vram) vm.prefer(range.bytes(), Place::vram);
  if (strategy.svm) return std::nullopt;
  return vm.userptr({.at = kRange, .memory = range.bytes()});
}

Stamper::Config stamper_config(const WorkerConfig& config, const Mapping& range) {
  return {.range = range_at(range, config.strategy),
          .commands = kCommands,
          .layout = {.pages = static_cast<std::uint32_t>(config.bytes / kPageBytes),
                     .queues = config.queues},
          .job_time = config.job_time,
          .in_flight = config.in_flight,
          .long_running = info(config.strategy.vm).long_running};
}

}  // namespace

Worker::Worker(const WorkerConfig& config, WorkerShared& shared)
    : config_(config),
      shared_(shared),
      random_(config.seed * kMaxProcesses + config.number),
      device_(Device::open(config.gpu)),
      vm_(device_.vm({.strategy = config.strategy.vm, .svm = config.strategy.svm})),
      range_(make_range(config)),
      userptr_(bind_range(vm_, range_, config.strategy)),
      stamper_(device_, vm_, stamper_config(config, range_), shared),
      view_(range_.as<Word>(), stamper_.layout(), shared, random_()) {}

bool Worker::baseline(Deadline end) {
  while (Clock::now() < end || shared_.baseline.count() < config_.min_baseline_forks) {
    if (!fork_once(Gpu::idle)) return false;
  }
  return true;
}

bool Worker::stress(Deadline end) {
  stamper_.resume();
  while (Clock::now() < end || shared_.fork.count() < config_.min_forks) {
    const std::uint64_t corrupt_before = shared_.corrupt_words;
    if (!fork_once(Gpu::busy)) return false;
    if (shared_.corrupt_words == corrupt_before) continue;
    // Start again from pages that GPU and process agree on, so that each fork is
    // judged by itself.
    stamper_.pause();
    view_.restore();
    if (userptr_) userptr_->rebind();
    stamper_.resume();
  }
  return true;
}

void Worker::finish() {
  stamper_.pause();
  view_.check_idle();
  for (unsigned queue = 0; queue < config_.queues; ++queue) {
    shared_.jobs += shared_.progress[queue].completed.load();
  }
  if (const auto why = stamper_.failure()) shared_.failure.set(*why);
}

bool Worker::every_page_stamped(Gpu gpu) {
  return gpu == Gpu::idle || wait_until_stamped(shared_, view_.layout(), after(kStuck), kPollStep);
}

bool Worker::fork_once(Gpu gpu) {
  early_ = std::chrono::microseconds(random_() % kEarlyMicroseconds);
  if (config_.strategy.vram) {
    // Under jobs in flight, which find it there: by preference, whoever takes it back.
    vm_.move(range_.bytes(), Place::vram);
    if (gpu == Gpu::busy) shared_.vram_pages += pages_in_vram(range_.bytes());
  }
  view_.remember_completed();
  const auto start = Clock::now();
  const pid_t child = ::fork();
  if (child == 0) become_child(1, gpu);
  const auto end = Clock::now();
  if (child < 0) {
    shared_.failure.set(std::format("fork failed: {}", std::strerror(errno)));
    return false;
  }
  auto& samples = gpu == Gpu::busy ? shared_.fork : shared_.baseline;
  samples.add(std::chrono::duration<double, std::micro>(end - start).count());

  const bool alive = parent_life(gpu);
  if (const auto trouble = reap(child, after(kStuck))) {
    shared_.failure.set(std::format("a child {}", *trouble));
  }
  view_.check_marks();
  return alive && !shared_.failure;
}

bool Worker::parent_life(Gpu gpu) {
  if (config_.scenario.parent_writes) view_.write_marks();
  if (!every_page_stamped(gpu)) return false;
  view_.check_live();
  view_.check_marks();
  return true;
}

void Worker::become_child(std::uint32_t generation, Gpu gpu) {
  // First of all: what is submitted from here on can be in no page of this process.
  if (generation == 1) view_.remember_submitted();
  die_with_parent();
  view_.become(generation);
  // Not exit(): the destructors would take the parent's queues and buffers away.
  ::_exit(child_life(generation, gpu) ? 0 : 1);
}

bool Worker::child_life(std::uint32_t generation, Gpu gpu) {
  const Scenario& scenario = config_.scenario;
  const bool has_range = !config_.strategy.dontfork;
  const bool writes = has_range && scenario.child_writes;
  const bool writes_first = writes && shared_.fork.count() % 2;
  const auto check = [&] {
    if (!has_range) return view_.check_absent();
    view_.check_frozen();
    view_.check_marks();
  };
  if (writes_first) view_.write_marks(0, 50);
  if (has_range && generation == 1) {
    view_.check_inherited();
    view_.check_marks();
  } else {
    check();  // a grandchild has the snapshot of a process that was frozen itself
  }
  if (scenario.exits_early) {
    std::this_thread::sleep_for(early_);
    return true;
  }
  if (writes && !writes_first) view_.write_marks(0, 50);

  pid_t grandchild = -1;
  if (generation < scenario.generations) {
    grandchild = ::fork();
    if (grandchild == 0) become_child(generation + 1, gpu);
    if (grandchild < 0) {
      shared_.failure.set("fork failed in a child");
      return false;
    }
  }
  // Two rounds: pages of the first half have been written by now, by this process, and
  // those of the second half have not.
  for (const unsigned half : {0u, 1u}) {
    if (!every_page_stamped(gpu)) return false;
    check();
    if (half == 0 && writes) view_.write_marks(50, 100);
  }
  if (grandchild > 0) {
    if (const auto trouble = reap(grandchild, after(kStuck))) {
      shared_.failure.set("a grandchild did not end well");
      return false;
    }
  }
  return true;
}

}  // namespace figment::stress
