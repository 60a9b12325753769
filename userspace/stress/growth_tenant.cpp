// SPDX-License-Identifier: MIT
#include "growth_tenant.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <format>
#include <stdexcept>

#include "completion.h"
#include "figment/device.h"
#include "figment/error.h"
#include "figment/queue.h"
#include "process.h"
#include "stamped.h"
#include "stamper.h"
#include "statistics.h"
#include "vram_pages.h"

namespace figment::stress {
namespace {

constexpr GpuVa kRange{0x1'0000'0000};
constexpr GpuVa kCommands{0x2'0000'0000};
constexpr GpuVa kProbe{0x3'0000'0000};

constexpr unsigned kQueues = 1;  // that write, of each process
constexpr std::chrono::microseconds kJobTime{1000};

/// Longer than anything that works takes on the slowest machine, with 64 processes on it.
constexpr auto kStuck = std::chrono::seconds(300);
constexpr auto kPollStep = std::chrono::milliseconds(1);

Mapping touched_memory(const TenantConfig& config) {
  Mapping memory = anonymous_memory(config.point.process_bytes(), kHugePageBytes);
  const auto bytes = memory.bytes();
  // What is compared is pages of 4 KiB. A kernel that has no huge pages refuses, which is as good.
  ::madvise(bytes.data(), bytes.size(), MADV_NOHUGEPAGE);
  if (config.strategy.dontfork && ::madvise(bytes.data(), bytes.size(), MADV_DONTFORK) != 0) {
    fail(errno, "madvise(MADV_DONTFORK) of the range");
  }
  return memory;
}

/// `pin` counts as locked memory. Who measures is root.
void allow_locked_memory() {
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) fail(errno, "setrlimit(RLIMIT_MEMLOCK)");
}

std::vector<Userptr> bind_ranges(Vm& vm, std::span<std::byte> memory, const TenantConfig& config) {
  std::vector<Userptr> ranges;
  if (config.strategy.vram) vm.prefer(memory, Place::vram);
  if (config.strategy.svm) return ranges;
  allow_locked_memory();
  const std::uint64_t bytes = config.point.bytes;
  for (std::uint64_t at = 0; at < memory.size(); at += bytes) {
    ranges.push_back(vm.userptr({.at = kRange + at, .memory = memory.subspan(at, bytes)}));
  }
  return ranges;
}

/// A word of page 0 that belongs to nobody, and so stays zero.
std::uint64_t unowned_word(const oracle::Layout& layout) {
  for (std::uint64_t index = 0; index < oracle::kWordsPerPage; ++index) {
    bool owned = false;
    for (std::uint32_t owner = 0; owner < layout.owners(); ++owner) {
      const std::uint64_t first = layout.run(0, owner);
      owned |= index >= first && index < first + layout.run_words;
    }
    if (!owned) return index;
  }
  throw std::logic_error("every word of a page belongs to somebody");
}

/// One job at a time: the time from its submission until somebody knows that it has ended.
class Probe {
 public:
  Probe(const Device& device, Vm& vm, GpuVa target, bool long_running)
      : target_(target), commands_(device.buffer({.bytes = kPageBytes})), view_(commands_.map()) {
    vm.map({.at = kProbe, .buffer = commands_});
    queue_.emplace(vm.queue());
    if (!long_running) {
      completion_ = std::make_unique<Timelines>(device, 1);
      return;
    }
    const std::uint64_t at = kPageBytes - UserFences::words(1) * sizeof(Word);
    completion_ = std::make_unique<UserFences>(
        device.fd(), kProbe + at, view_.as<Word>().subspan(at / sizeof(Word), UserFences::words(1)),
        std::vector{queue_->errors()});
  }

  double run() {
    auto& lane = progress_.front();
    const Sequence n = lane.submitted.load() + 1;
    list_.clear();
    list_.fill({.at = target_, .bytes = sizeof(Word), .value = 0});
    completion_->add_end(list_, 0, n);
    list_.write_to(view_.bytes());
    const auto start = Clock::now();
    lane.submitted = n;
    queue_->submit({.at = kProbe, .bytes = list_.bytes(), .signal = completion_->signals(0, n)});
    while (completion_->ended(0) < n) {
      if (completion_->wait(progress_, after(kStuck)) != WaitEnd::holds) {
        throw std::runtime_error("the first job after a fork has failed, or does not end");
      }
    }
    const auto end = Clock::now();
    lane.completed = n;
    return std::chrono::duration<double, std::micro>(end - start).count();
  }

 private:
  GpuVa target_;
  Buffer commands_;
  Mapping view_;
  std::optional<Queue> queue_;
  std::unique_ptr<Completion> completion_;
  std::array<QueueProgress, 1> progress_;
  CommandList list_;
};

oracle::Layout layout_of(const GrowthPoint& point) {
  return {.pages = static_cast<std::uint32_t>(point.process_bytes() / kPageBytes),
          .queues = kQueues};
}

}  // namespace

struct Tenant::Gpu {
  Gpu(const TenantConfig& config, Mapping& memory, WorkerShared& shared)
      : device(Device::open(config.gpu)),
        vm(device.vm({.strategy = config.strategy.vm, .svm = config.strategy.svm})),
        began(Clock::now()),
        ranges(bind_ranges(vm, memory.bytes(), config)),
        bind_us(std::chrono::duration<double, std::micro>(Clock::now() - began).count()),
        range(config.strategy.svm ? shared_address(memory.bytes().data()) : kRange),
        stamper(device, vm,
                {.range = range,
                 .commands = kCommands,
                 .layout = layout_of(config.point),
                 .job_time = kJobTime,
                 .long_running = info(config.strategy.vm).long_running},
                shared),
        probe(device, vm, range + unowned_word(stamper.layout()) * sizeof(Word),
              info(config.strategy.vm).long_running) {}

  Device device;
  Vm vm;
  Clock::time_point began;
  std::vector<Userptr> ranges;
  double bind_us;
  GpuVa range;
  Stamper stamper;
  Probe probe;
};

Tenant::Tenant(const TenantConfig& config, WorkerShared& shared)
    : config_(config), shared_(shared), memory_(touched_memory(config)) {
  view_.emplace(memory_.as<Word>(), layout_of(config.point), shared_, config.seed);
}

Tenant::~Tenant() = default;

double Tenant::open() {
  gpu_ = std::make_unique<Gpu>(config_, memory_, shared_);
  // With the slices that the stamper has found, and without the stamps that it has left.
  view_.emplace(memory_.as<Word>(), gpu_->stamper.layout(), shared_, config_.seed);
  return gpu_->bind_us;
}

void Tenant::resume() {
  busy_ = true;
  stamp_everything();
}

void Tenant::stamp_everything() {
  gpu_->stamper.resume();
  if (!wait_until_stamped(shared_, view_->layout(), after(kStuck), kPollStep)) {
    throw std::runtime_error(shared_.failure.get());
  }
}

void Tenant::pause() {
  if (gpu_) gpu_->stamper.pause();
  busy_ = false;
}

void Tenant::go_to_vram() {
  gpu_->vm.move(memory_.bytes(), Place::vram);
  if (pages_in_vram(memory_.bytes()) == 0) {
    throw std::runtime_error("no page is in VRAM, where fork() should find it");
  }
}

void Tenant::rewrite(pid_t child, int let_go) {
  view_->write_marks();
  ::close(let_go);
  if (const auto trouble = reap(child, after(kStuck))) {
    throw std::runtime_error(std::format("a child {}", *trouble));
  }
}

ForkCost Tenant::fork_once(bool traced) {
  ForkCost cost;
  int ends[2];  // the child stays until the second one is closed
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno, "pipe2");
  if (gpu_ && config_.strategy.vram) go_to_vram();
  // For this one fork: a tracepoint that somebody listens to is not free for anybody.
  std::optional<NotifierTimer> trace;
  if (traced) trace.emplace(std::format("figment-{}", ::gettid()), ::gettid());
  if (trace) trace->begin();
  const auto start = Clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    die_with_parent();
    ::close(ends[1]);
    char nothing;
    ::_exit(::read(ends[0], &nothing, 1) == 0 ? 0 : 1);
  }
  const auto forked = Clock::now();
  if (trace) cost.notifier = trace->end();
  trace.reset();
  ::close(ends[0]);
  if (child < 0) fail(errno, "fork");
  cost.fork_us = std::chrono::duration<double, std::micro>(forked - start).count();
  // Not while jobs are in flight: each page that is copied would be a notifier that may wait for
  // one, and that is no part of fork().
  if (busy_) gpu_->stamper.pause();
  rewrite(child, ends[1]);
  if (!gpu_) return cost;
  if (busy_) {
    cost.rewrite_us = microseconds_of([&] { stamp_everything(); });
  } else {
    cost.first_job_us = gpu_->probe.run();
    // The next fork finds all pages mapped for the GPU, as one under a busy GPU does.
    stamp_everything();
    gpu_->stamper.pause();
  }
  if (const auto why = gpu_->stamper.failure()) throw std::runtime_error(*why);
  return cost;
}

void Tenant::finish() {
  pause();
  view_->check_idle();
  for (unsigned queue = 0; queue < kQueues; ++queue) {
    shared_.jobs += shared_.progress[queue].completed.load();
  }
  if (const auto why = gpu_->stamper.failure()) throw std::runtime_error(*why);
}

}  // namespace figment::stress
