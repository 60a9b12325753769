// SPDX-License-Identifier: MIT
#include "stamper.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "missing.h"

namespace figment::stress {
namespace {

/// Nothing that works takes this long, however slow the machine.
constexpr auto kStuck = std::chrono::seconds(120);

/// While memory is missing: how often to look which jobs have ended.
constexpr auto kLook = std::chrono::microseconds(300);

/// Words that jobs write, after the slots: two timestamps, and the user fences.
constexpr unsigned kTimes = 0;
constexpr unsigned kUserFences = 2;
static_assert((kUserFences + UserFences::words(kMaxQueues)) * sizeof(Word) <= kPageBytes);

std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

std::uint64_t longest_job(std::uint32_t pages) {
  return std::uint64_t{pages} * sizeof(figment_packet_fill) + sizeof(figment_packet_spin) +
         2 * sizeof(figment_packet_timestamp) + UserFences::kEndBytes;
}

}  // namespace

Stamper::Stamper(const Device& device, Vm& vm, const Config& config, WorkerShared& shared)
    : device_(device),
      config_(config),
      shared_(shared),
      // One more than are in flight: a job that writes itself that it has ended has packets to
      // read after that, but none any more when the next one of its queue has ended.
      slots_(config.in_flight + 1),
      slot_bytes_(whole_pages(longest_job(config.layout.pages))),
      commands_(device.buffer({.bytes = words() + kPageBytes})),
      commands_view_(commands_.map()) {
  vm.map({.at = config_.commands, .buffer = commands_});
  for (unsigned n = 0; n < config_.layout.queues; ++n) queues_.push_back(vm.queue());
  forgiven_.resize(queues_.size());
  completion_ = make_completion();
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

std::uint64_t Stamper::slot(unsigned queue, Sequence n) const {
  return slot_bytes_ * (queue * slots_ + n % slots_);
}

std::uint64_t Stamper::words() const {
  return slot_bytes_ * slots_ * config_.layout.queues;
}

std::unique_ptr<Completion> Stamper::make_completion() const {
  const auto lanes = static_cast<unsigned>(queues_.size());
  if (!config_.long_running) return std::make_unique<Timelines>(device_, lanes);
  std::vector<QueueErrors> errors;
  for (const auto& queue : queues_) errors.push_back(queue.errors());
  const std::uint64_t at = words() + kUserFences * sizeof(Word);
  return std::make_unique<UserFences>(
      device_.fd(), config_.commands + at,
      commands_view_.as<Word>().subspan(at / sizeof(Word), UserFences::words(lanes)),
      std::move(errors));
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

bool Stamper::submit(unsigned queue) {
  const Sequence n = next(queue);
  completion_->add_end(list_, queue, n);
  list_.write_to(commands_view_.bytes().subspan(slot(queue, n), slot_bytes_));
  // Before the ioctl: no word may hold a stamp that is not counted yet.
  shared_.progress[queue].submitted.store(n, std::memory_order_seq_cst);
  try {
    queues_[queue].submit({.at = config_.commands + slot(queue, n),
                           .bytes = list_.bytes(),
                           .signal = completion_->signals(queue, n)});
  } catch (const std::system_error& error) {
    if (!missing_ || !is_missing_memory(error.code().value())) throw;
    // Nobody has seen a stamp of it, and the next job has its number.
    shared_.progress[queue].submitted.store(n - 1, std::memory_order_seq_cst);
    ++refused_;
    return false;
  }
  return true;
}

void Stamper::collect_despite_faults() {
  // No job tells here that it has failed, and in a long-running VM nobody else would: the queue
  // knows how many have ended.
  for (unsigned queue = 0; queue < queues_.size(); ++queue) {
    shared_.progress[queue].completed.store(static_cast<Sequence>(queues_[queue].query().jobs),
                                            std::memory_order_seq_cst);
  }
  std::this_thread::sleep_for(kLook);
}

void Stamper::forgive_faults() {
  auto words = commands_view_.as<Word>().subspan(this->words() / sizeof(Word) + kUserFences);
  words[0] = 0;
  for (unsigned queue = 0; queue < queues_.size(); ++queue) {
    forgiven_[queue] = queues_[queue].query().errors;
    words[1 + queue] = shared_.progress[queue].completed.load();
    words[0] += words[1 + queue];
  }
  // One that takes the queues as they are now.
  if (config_.long_running) completion_ = make_completion();
  refused_ = 0;
  missing_ = false;
}

std::uint64_t Stamper::faults() const {
  std::uint64_t count = refused_;
  for (unsigned queue = 0; queue < queues_.size(); ++queue) {
    count += queues_[queue].query().errors - forgiven_[queue];
  }
  return count;
}

void Stamper::collect() {
  if (missing_) return collect_despite_faults();
  if (idle()) return;
  switch (completion_->wait(std::span(shared_.progress).first(queues_.size()), after(kStuck))) {
    case WaitEnd::holds:
      break;
    case WaitEnd::deadline:
      throw std::runtime_error(std::format("no job has ended within {}", kStuck));
    case WaitEnd::job_failed:
      if (missing_) return;  // since the wait began
      throw std::runtime_error(failure().value_or("a queue has gone"));
  }
  for (unsigned queue = 0; queue < queues_.size(); ++queue) {
    shared_.progress[queue].completed.store(completion_->ended(queue), std::memory_order_seq_cst);
  }
}

bool Stamper::idle() const {
  return std::ranges::all_of(
      std::span(shared_.progress).first(queues_.size()),
      [](const auto& one) { return one.completed.load() == one.submitted.load(); });
}

std::chrono::nanoseconds Stamper::stamp_everything() {
  // Between two timestamps of the device: the way to the device and back is no part of
  // the job, and on a busy machine far longer than it.
  const GpuVa times = config_.commands + words() + kTimes * sizeof(Word);
  list_.clear();
  list_.timestamp(times);
  for (std::uint32_t page = 0; page < config_.layout.pages; ++page) add_stamp(0, page, next(0));
  list_.timestamp(times + sizeof(Word));
  submit(0);
  while (!idle()) collect();
  if (const auto why = failure()) throw std::runtime_error(*why);
  const auto taken = commands_view_.as<Word>().subspan(words() / sizeof(Word) + kTimes);
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
  for (unsigned queue = 0; queue < queues_.size(); ++queue) {
    const QueueState state = queues_[queue].query();
    if (state.errors == forgiven_[queue]) continue;
    return std::format("{} jobs of queue {} failed, the last with {} (code {} at {:#x})",
                       state.errors - forgiven_[queue], queue, std::strerror(state.last_error),
                       state.last_code, state.last_address);
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
    for (unsigned queue = 0; wish == Wish::stamp && queue < queues_.size(); ++queue) {
      const auto& progress = shared_.progress[queue];
      while (progress.submitted.load() - progress.completed.load() < config_.in_flight) {
        write_job(queue, next(queue));
        if (!submit(queue)) break;
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
