// SPDX-License-Identifier: MIT
#include "chain_gpu.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>

#include "figment/error.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr GpuVa kRange{0x1'0000'0000};
constexpr GpuVa kCommands{0x2'0000'0000};

/// Nothing that works takes this long, however slow the machine; a job that hangs is ended sooner.
constexpr auto kStuck = std::chrono::seconds(120);

/// Longer than the driver lets any job run.
constexpr auto kForever = std::chrono::hours(1);

constexpr auto kLook = std::chrono::microseconds(300);

/// Of every so many pages the stamps of the GPU before are read: enough to see an order.
constexpr std::uint32_t kReadEvery = 8;

constexpr std::uint64_t kTimes = 2;

std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

std::uint32_t read_count(const oracle::Layout& layout) {
  return (layout.pages + kReadEvery - 1) / kReadEvery;
}

std::uint64_t longest_job(const oracle::Layout& layout) {
  return layout.pages * sizeof(figment_packet_fill) +
         read_count(layout) * sizeof(figment_packet_copy) + sizeof(figment_packet_spin) +
         kTimes * sizeof(figment_packet_timestamp);
}

}  // namespace

ChainGpu::ChainGpu(const Config& config, WorkerShared& shared)
    : config_(config),
      progress_(shared.progress.at(config.number)),
      device_(Device::open(config.number)),
      vm_(device_.vm({.strategy = config.strategy})),
      range_(vm_.userptr({.at = kRange, .memory = config.memory})),
      slot_bytes_(whole_pages(longest_job(config.layout))),
      words_bytes_((kTimes + read_count(config.layout) * config.layout.run_words) * sizeof(Word)),
      commands_(device_.buffer({.bytes = kSlots * (slot_bytes_ + whole_pages(words_bytes_))})),
      view_(commands_.map()),
      queue_((vm_.map({.at = kCommands, .buffer = commands_}), vm_.queue())),
      timeline_(device_.syncobj()),
      before_(device_.syncobj()) {}

std::uint64_t ChainGpu::words(Sequence n) const {
  return kSlots * slot_bytes_ + whole_pages(words_bytes_) * (n % kSlots);
}

void ChainGpu::submit(const Job& job) {
  const oracle::Layout& layout = config_.layout;
  const Sequence n = submitted() + 1;
  const GpuVa words = kCommands + this->words(n);
  std::memset(view_.bytes().data() + this->words(n), 0, words_bytes_);

  list_.clear();
  list_.timestamp(words);
  if (job.after && config_.number > 0) {
    GpuVa to = words + kTimes * sizeof(Word);
    for (const std::uint32_t page : read_pages()) {
      const std::uint64_t bytes = layout.run_words * sizeof(Word);
      list_.copy({.to = to,
                  .from = kRange + layout.run(page, config_.number - 1) * sizeof(Word),
                  .bytes = bytes});
      to = to + bytes;
    }
  }
  const std::uint32_t half = layout.pages / 2;
  for (std::uint32_t page = 0; page < layout.pages; ++page) {
    if (page == half && job.spin.count() > 0) list_.spin(job.spin);
    list_.fill({.at = kRange + layout.run(page, config_.number) * sizeof(Word),
                .bytes = layout.run_words * sizeof(Word),
                .value = oracle::gpu_stamp(config_.number, page, n)});
  }
  if (job.endless) list_.spin(kForever);
  list_.timestamp(words + sizeof(Word));
  list_.write_to(view_.bytes().subspan(slot(n), slot_bytes_));

  std::vector<SyncPoint> wait;
  if (job.after) {
    before_.import_sync_file(*job.after);
    wait.push_back(before_.binary());
  }
  // Before the ioctl: no word may hold a stamp that is not counted yet.
  progress_.submitted.store(n, std::memory_order_seq_cst);
  queue_.submit({.at = kCommands + slot(n),
                 .bytes = list_.bytes(),
                 .wait = std::move(wait),
                 .signal = {timeline_.at(n)}});
}

void ChainGpu::wait(Sequence n) {
  if (!timeline_.wait(n, after(kStuck))) {
    throw std::runtime_error(
        std::format("job {} of GPU {} has not ended within {}", n, config_.number, kStuck));
  }
  if (completed() < n) progress_.completed.store(n, std::memory_order_seq_cst);
}

ChainGpu::Times ChainGpu::times(Sequence n) const {
  const auto* words = reinterpret_cast<const Word*>(view_.bytes().data() + this->words(n));
  return {.begin_ns = __atomic_load_n(&words[0], __ATOMIC_ACQUIRE),
          .end_ns = __atomic_load_n(&words[1], __ATOMIC_ACQUIRE)};
}

std::vector<std::uint32_t> ChainGpu::read_pages() const {
  std::vector<std::uint32_t> pages;
  for (std::uint32_t page = 0; page < config_.layout.pages; page += kReadEvery) {
    pages.push_back(page);
  }
  return pages;
}

std::span<const Word> ChainGpu::read(Sequence n) const {
  return view_.as<Word>().subspan(words(n) / sizeof(Word) + kTimes,
                                  read_count(config_.layout) * config_.layout.run_words);
}

ChainFeeders::ChainFeeders(std::span<const std::unique_ptr<ChainGpu>> gpus,
                           std::span<std::byte> memory, unsigned in_flight,
                           std::chrono::nanoseconds spin) {
  for (std::size_t number = 0; number < gpus.size(); ++number) {
    const pid_t child = ::fork();
    if (child < 0) {
      const int error = errno;
      std::ignore = end();
      fail(error, "fork");
    }
    if (child == 0) {
      ::munmap(memory.data(), memory.size());
      feed(*gpus[number], shared_->fed[number], in_flight, spin);
    }
    children_.push_back(child);
  }
  // Not before: each fork() would wait for the jobs of those that are there already.
  shared_->go = true;
}

ChainFeeders::~ChainFeeders() {
  std::ignore = end();
}

void ChainFeeders::stop() {
  if (const std::string trouble = end(); !trouble.empty()) throw std::runtime_error(trouble);
}

std::string ChainFeeders::end() {
  shared_->stop = true;
  for (const pid_t child : std::exchange(children_, {})) {
    if (const auto trouble = reap(child, after(kStuck))) {
      shared_->failure.set(std::format("a process that feeds a GPU {}", *trouble));
    }
  }
  return shared_->failure.get();
}

void ChainFeeders::feed(ChainGpu& gpu, Fed& fed, unsigned in_flight,
                        std::chrono::nanoseconds spin) {
  die_with_parent();
  const auto collect = [&] {
    const Sequence n = gpu.completed() + 1;
    gpu.wait(n);
    const std::uint64_t ns = gpu.times(n).ns();
    ++fed.jobs;
    fed.sum_ns += ns;
    fed.longest_ns = std::max(fed.longest_ns.load(), ns);
  };
  try {
    while (!shared_->go && !shared_->stop) std::this_thread::sleep_for(kLook);
    while (!shared_->stop) {
      while (gpu.submitted() - gpu.completed() < in_flight) gpu.submit({.spin = spin});
      collect();
    }
    while (gpu.completed() < gpu.submitted()) collect();
  } catch (const std::exception& error) {
    shared_->failure.set(error.what());
    ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace figment::stress
