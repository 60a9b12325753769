// SPDX-License-Identifier: MIT
#include "stamper.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <stdexcept>

namespace figment::stress {
namespace {

/// Nothing that works takes this long, however slow the machine.
constexpr auto kStuck = std::chrono::seconds(120);

std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

Stamper::Stamper(const Device& device, Vm& vm, const Config& config, WorkerShared& shared)
    : config_(config),
      fd_(device.fd()),
      shared_(shared),
      slot_bytes_(whole_pages(std::uint64_t{config.layout.pages} * sizeof(figment_packet_fill) +
                              sizeof(figment_packet_spin) + 2 * sizeof(figment_packet_timestamp))),
      commands_(device.buffer(
          {.bytes = slot_bytes_ * config.in_flight * config.layout.queues + kPageBytes})),
      commands_view_(commands_.map()) {
  vm.map({.at = config_.commands, .buffer = commands_});
  for (unsigned n = 0; n < config_.layout.queues; ++n) {
    lanes_.push_back({vm.queue(), device.syncobj()});
  }
  measure();
  thread_ = std::thread(&Stamper::run, this);
}

Stamper::~Stamper() {
  {
    const std::lock_guard lock(mutex_);
    wish_ = Wish::stop;
  }
  changed_.notify_all();
  thread_.join();
}

GpuVa Stamper::slot(unsigned queue, Sequence n) const {
  return config_.commands + slot_bytes_ * (queue * config_.in_flight + n % config_.in_flight);
}

void Stamper::add_stamp(unsigned queue, std::uint32_t page, Sequence n) {
  list_.fill({.at = config_.range + config_.layout.run(page, queue) * sizeof(Word),
              .bytes = config_.layout.run_words * sizeof(Word),
              .value = oracle::gpu_stamp(queue, page, n)});
}

void Stamper::write_job(unsigned queue, Sequence n) {
  const auto& layout = config_.layout;
  const std::uint32_t first = layout.slice_of_job(n);
  const std::uint32_t stamps = (layout.pages - first + layout.slices - 1) / layout.slices;
  list_.clear();
  std::uint32_t page = first;
  for (std::uint32_t stamp = 0; stamp < stamps; ++stamp, page += layout.slices) {
    if (stamp == stamps / 2 && spin_.count() > 0) list_.spin(spin_);
    add_stamp(queue, page, n);
  }
}

Sequence Stamper::next(unsigned queue) const {
  return shared_.progress[queue].submitted.load(std::memory_order_relaxed) + 1;
}

void Stamper::submit(unsigned queue) {
  const Sequence n = next(queue);
  list_.write_to(commands_view_.bytes().subspan(slot(queue, n).value - config_.commands.value));
  // Before the ioctl: no word may hold a stamp that is not counted yet.
  shared_.progress[queue].submitted.store(n, std::memory_order_seq_cst);
  lanes_[queue].queue.submit(
      {.at = slot(queue, n), .bytes = list_.bytes(), .signal = {lanes_[queue].ends.at(n)}});
}

void Stamper::collect() {
  std::vector<SyncPoint> next;
  for (unsigned queue = 0; queue < lanes_.size(); ++queue) {
    const auto& progress = shared_.progress[queue];
    const Sequence completed = progress.completed.load(std::memory_order_relaxed);
    if (completed != progress.submitted.load(std::memory_order_relaxed)) {
      next.push_back(lanes_[queue].ends.at(completed + 1));
    }
  }
  if (next.empty()) return;
  if (!wait(fd_, next, after(kStuck), WaitFor::any)) {
    throw std::runtime_error(std::format("no job has ended within {}", kStuck));
  }
  for (unsigned queue = 0; queue < lanes_.size(); ++queue) {
    shared_.progress[queue].completed.store(static_cast<Sequence>(lanes_[queue].ends.query()),
                                            std::memory_order_seq_cst);
  }
}

bool Stamper::idle() const {
  return std::ranges::all_of(std::span(shared_.progress).first(lanes_.size()), [](const auto& one) {
    return one.completed.load() == one.submitted.load();
  });
}

std::chrono::nanoseconds Stamper::stamp_everything() {
  // Between two timestamps of the device: the way to the device and back is no part of
  // the job, and on a busy machine far longer than it.
  const std::uint64_t times = slot_bytes_ * config_.in_flight * config_.layout.queues;
  list_.clear();
  list_.timestamp(config_.commands + times);
  for (std::uint32_t page = 0; page < config_.layout.pages; ++page) add_stamp(0, page, next(0));
  list_.timestamp(config_.commands + times + sizeof(std::uint64_t));
  submit(0);
  while (!idle()) collect();
  if (const auto why = failure()) throw std::runtime_error(*why);
  const auto taken = commands_view_.as<std::uint64_t>().subspan(times / sizeof(std::uint64_t));
  return std::chrono::nanoseconds(taken[1] - taken[0]);
}

void Stamper::measure() {
  auto best = stamp_everything();
  for (int more = 0; more < 2; ++more) best = std::min(best, stamp_everything());
  const auto wanted = config_.job_time;
  if (best < wanted) {
    config_.layout.slices = 1;
    spin_ = wanted - best;
  } else {
    config_.layout.slices = std::min<std::uint32_t>(
        config_.layout.pages, static_cast<std::uint32_t>((best + wanted / 2) / wanted));
  }
}

void Stamper::resume() {
  const std::lock_guard lock(mutex_);
  wish_ = Wish::stamp;
  paused_ = false;
  changed_.notify_all();
}

void Stamper::pause() {
  std::unique_lock lock(mutex_);
  wish_ = Wish::pause;
  changed_.wait(lock, [&] { return paused_ || dead_; });
}

std::optional<std::string> Stamper::failure() const {
  for (unsigned queue = 0; queue < lanes_.size(); ++queue) {
    const QueueState state = lanes_[queue].queue.query();
    if (state.errors == 0) continue;
    return std::format("{} jobs of queue {} failed, the last with {} (code {} at {:#x})",
                       state.errors, queue, std::strerror(state.last_error), state.last_code,
                       state.last_address);
  }
  return std::nullopt;
}

void Stamper::loop() {
  for (;;) {
    Wish wish;
    {
      std::unique_lock lock(mutex_);
      if (wish_ != Wish::stamp && idle()) {
        paused_ = true;
        changed_.notify_all();
        if (wish_ == Wish::stop) return;
        // Also when it was resumed and paused again before this thread has noticed: pause()
        // wants an answer of its own.
        changed_.wait(lock, [&] { return wish_ != Wish::pause || !paused_; });
        continue;
      }
      wish = wish_;
    }
    for (unsigned queue = 0; wish == Wish::stamp && queue < lanes_.size(); ++queue) {
      const auto& progress = shared_.progress[queue];
      while (progress.submitted.load() - progress.completed.load() < config_.in_flight) {
        write_job(queue, next(queue));
        submit(queue);
      }
    }
    collect();
  }
}

void Stamper::run() {
  try {
    loop();
  } catch (const std::exception& error) {
    shared_.failure.set(error.what());
    const std::lock_guard lock(mutex_);
    dead_ = true;
    changed_.notify_all();
  }
}

}  // namespace figment::stress
