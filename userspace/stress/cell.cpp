// SPDX-License-Identifier: MIT
#include "cell.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <stdexcept>
#include <system_error>

#include "process.h"
#include "stamped.h"
#include "vram_pages.h"

namespace figment::stress {
namespace {

constexpr GpuVa kRange{0x1'0000'0000};
constexpr GpuVa kCommands{0x2'0000'0000};
constexpr GpuVa kReads{0x3'0000'0000};

constexpr GpuVa kElsewhere{0x4'0000'0000};
constexpr GpuVa kOtherReads{0x7'0000'0000};

constexpr unsigned kQueues = 2;

/// Longer than anything that works takes on the slowest machine.
constexpr auto kStuck = std::chrono::seconds(120);
constexpr auto kPollStep = std::chrono::microseconds(500);

/// How often what copies the range is done in a round, where nothing has to be prepared.
constexpr std::uint64_t kTimes = 4;

/// Where the GPU finds it.
GpuVa range_at(const Range& range, const StressStrategy& strategy) {
  return strategy.svm ? shared_address(range.memory().data()) : kRange;
}

Stamper::Config stamper_config(const CellConfig& config, const Range& range) {
  return {.range = range_at(range, config.strategy),
          .commands = kCommands,
          .layout = {.pages = config.pages.judged(),
                     .queues = kQueues,
                     .spacing = config.pages.spacing},
          .job_time = config.job_time,
          .long_running = info(config.strategy.vm).long_running};
}

std::optional<Userptr> bind_range(const CellConfig& config, const Device& device, Vm& vm,
                                  const Range& range) {
  const StressStrategy& strategy = config.strategy;
  if (strategy.vram) vm.prefer(range.memory(), Place::vram);
  if (strategy.svm) {
    // No call could refuse it: the first job finds out.
    Reader reader(device, vm,
                  {.range = range_at(range, strategy),
                   .at = kReads,
                   .layout = stamper_config(config, range).layout});
    reader.begin();
    if (!reader.finish()) throw Refused{EFAULT};
    return std::nullopt;
  }
  if (strategy.dontfork &&
      ::madvise(range.area().data(), range.area().size(), MADV_DONTFORK) != 0) {
    throw std::system_error(errno, std::generic_category(), "madvise(MADV_DONTFORK)");
  }
  try {
    return vm.userptr({.at = kRange, .memory = range.memory()});
  } catch (const std::system_error& error) {
    throw Refused{error.code().value()};
  }
}

std::span<Word> words_of(std::span<std::byte> memory) {
  return {reinterpret_cast<Word*>(memory.data()), memory.size() / sizeof(Word)};
}

}  // namespace

Cell::Cell(const CellConfig& config, WorkerShared& shared)
    : config_(config),
      shared_(shared),
      random_(config.seed),
      device_(Device::open(config.gpu)),
      vm_(device_.vm({.strategy = config.strategy.vm, .svm = config.strategy.svm})),
      range_(config.pages),
      userptr_(bind_range(config, device_, vm_, range_)),
      stamper_(device_, vm_, stamper_config(config, range_), shared),
      reader_(
          device_, vm_,
          {.range = range_at(range_, config.strategy), .at = kReads, .layout = stamper_.layout()}),
      view_(words_of(range_.memory()), stamper_.layout(), shared, random_()) {
  shared_.watch(range_.memory());
}

bool Cell::follows() const {
  return config_.strategy.follows();
}

void Cell::bind() {
  if (config_.strategy.svm) return;
  userptr_.emplace(vm_.userptr({.at = kRange, .memory = range_.memory()}));
}

Userptr Cell::bind_elsewhere() {
  return vm_.userptr({.at = kElsewhere, .memory = range_.memory()});
}

std::unique_ptr<Reader> Cell::another_reader() {
  return std::make_unique<Reader>(device_, vm_,
                                  Reader::Config{.range = range_at(range_, config_.strategy),
                                                 .at = kOtherReads,
                                                 .layout = stamper_.layout()});
}

void Cell::rebind() {
  if (userptr_) {
    userptr_->rebind();
  } else {
    bind();
  }
}

std::uint64_t Cell::run(std::uint64_t idle, std::uint64_t busy,
                        const std::function<bool()>& wants_more) {
  std::uint64_t n = 0;
  while (n < idle + busy || (wants_more && wants_more())) {
    busy_ = n >= idle;
    round_ = n;
    const std::uint64_t left = !busy_ ? idle - n : n < idle + busy ? idle + busy - n : 1;
    const std::uint64_t corrupt_before = shared_.corrupt_words;
    prepare();
    one_round(std::min(left, times()));
    n = round_ + 1;
    if (shared_.failure) throw std::runtime_error(shared_.failure.get());
    if (const auto why = stamper_.failure()) throw std::runtime_error(*why);
    if (shared_.corrupt_words != corrupt_before) start_again();
  }
  pause();
  view_.check_idle();
  for (unsigned queue = 0; queue < kQueues; ++queue) {
    shared_.jobs += shared_.progress[queue].completed.load();
  }
  if (const auto why = stamper_.failure()) throw std::runtime_error(*why);
  return n - idle;
}

void Cell::pause() {
  stamper_.pause();
}

void Cell::resume() {
  if (busy_) stamper_.resume();
}

void Cell::start_again() {
  pause();
  if (!follows()) unbind();  // what it keeps may be what is being put right
  view_.restore();
  rebind();
  resume();
}

// What has to be brought about before an event is so for the first one only.
std::uint64_t Cell::times() const {
  const bool once = config_.event.content != Content::copied || config_.strategy.vram ||
                    config_.pages.prepare || config_.event.prepare;
  return once ? 1 : kTimes;
}

void Cell::rest() {
  if (config_.strategy.vram) pause();
}

void Cell::go_to_vram() {
  if (!config_.strategy.vram) return;
  pause();
  vm_.move(memory(), Place::vram);
}

void Cell::keep_busy() {
  go_to_vram();
  stamper_.resume();
}

void Cell::prepare() {
  if (config_.pages.prepare || config_.event.prepare) {
    pause();
    // Pages that the device holds stay what they are: it gets those that are there then.
    if (!follows()) unbind();
    view_.restore();
    if (config_.pages.prepare) config_.pages.prepare(range_, view_);
    if (config_.event.prepare) config_.event.prepare(*this);
    if (!userptr_) bind();
  }
  go_to_vram();
  resume();
  // So that the device has found it there before something happens to it.
  if (config_.strategy.vram && !stamped()) throw std::runtime_error(shared_.failure.get());
}

void Cell::one_round(std::uint64_t times) {
  missing_ = config_.event.missing == Missing::on_gpu ||
             (config_.event.missing == Missing::in_process && follows());
  zeroed_ = view_.all();
  reads_zeros_ = config_.pages.prepare != nullptr;
  if (missing_) stamper_.expect_faults();
  if (busy_) reader_.begin();
  view_.remember_completed();
  // Jobs are in flight, and the event is not far: what is there now is what it finds.
  if (config_.strategy.vram && busy_) shared_.vram_pages += pages_in_vram(memory());
  for (const std::uint64_t end = round_ + times;;) {
    config_.event.run(*this);
    if (round_ + 1 == end || shared_.failure) break;
    ++round_;
    view_.remember_completed();
  }
  judge_event();
  judge_after();
}

void Cell::judge_event() {
  const Content content = config_.event.content;
  rest();
  if (missing_) {
    pause();
    stamper_.forgive_faults();
  }
  if (busy_) {
    const auto read = reader_.finish();
    fail_unless_missing(read.has_value());
    // What has come in the place of memory that is gone may be read, too.
    if (read && content != Content::gone) {
      view_.check_read_any(
          *read, reads_zeros_ || content == Content::zeroed || content == Content::overwritten);
    }
  }
  switch (content) {
    case Content::kept:
    case Content::copied:
      view_.check_marks();
      break;
    case Content::zeroed:
      if (follows() || missing_) {
        view_.check_zeroed(zeroed_);
        view_.check_marks();
      } else {
        judge_held();
      }
      break;
    case Content::overwritten:
      view_.check_zeroed(view_.all());
      break;
    case Content::gone:
      start_again();
      break;
  }
  missing_ = false;
  resume();
}

void Cell::judge_held() {
  // The device stays with the pages that it was given, where it finds the marks that were there;
  // and it never reaches those that the process has now.
  read_and_check();
  for (int look = 0; look < 2; ++look) {
    view_.check_untouched(zeroed_);
    if (!stamped()) return;
  }
  start_again();
}

void Cell::judge_after() {
  rest();
  view_.write_marks();
  resume();
  if (!stamped()) return;
  rest();
  view_.check_live();
  view_.check_marks();
  read_and_check();
  count_harm(range_.wrong_around(), "around the range");
}

void Cell::read_and_check() {
  reader_.begin();
  const auto read = reader_.finish();
  fail_unless_missing(read.has_value());
  if (read) view_.check_read(*read);
}

void Cell::fail_unless_missing(bool read) {
  if (!read && !missing_) throw std::runtime_error("a job that reads found no memory");
}

bool Cell::stamped() {
  return !busy_ || wait_until_stamped(shared_, view_.layout(), after(kStuck), kPollStep);
}

void Cell::let_gpu_try() {
  if (!busy_) return;
  if (!missing_) {
    if (!stamped()) throw std::runtime_error(shared_.failure.get());
    return;
  }
  const std::uint64_t before = stamper_.faults();
  if (!poll_until([&] { return shared_.failure || stamper_.faults() > before; }, after(kStuck),
                  kPollStep)) {
    throw std::runtime_error("no job has failed or was refused, and its memory is missing");
  }
}

void Cell::count_time(Clock::time_point start) {
  auto& samples = busy_ ? shared_.fork : shared_.baseline;
  samples.add(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
}

void Cell::count_harm(std::uint64_t words, const char* where) {
  if (words == 0) return;
  shared_.corrupt_words += words;
  shared_.corruption.set(std::format("{} words {} have changed", words, where));
}

pid_t Cell::start_child(const std::function<bool()>& life, const std::function<pid_t()>& make) {
  const auto start = Clock::now();
  const pid_t child = make();
  if (child == 0) {
    // First of all: what is submitted from here on can be in no page of this process.
    view_.remember_submitted();
    die_with_parent();
    view_.become(1);
    bool good = false;
    try {
      good = life();
    } catch (const std::exception& error) {
      shared_.failure.set(error.what());
    }
    // Not exit(): the destructors would take the parent's queues and buffers away.
    ::_exit(good ? 0 : 1);
  }
  count_time(start);
  if (child < 0) throw std::runtime_error(std::format("fork failed: {}", std::strerror(errno)));
  return child;
}

void Cell::reap_child(pid_t child) {
  if (const auto trouble = reap(child, after(kStuck))) {
    shared_.failure.set(std::format("a child {}", *trouble));
    throw std::runtime_error(shared_.failure.get());
  }
}

bool Cell::child_life(bool writes_first) {
  if (config_.strategy.dontfork) {
    view_.check_absent();
    if (!stamped()) return false;
    view_.check_absent();
    return true;
  }
  if (config_.pages.shared()) {
    // The same pages: they are live here, too, and the marks are the parent's business.
    if (!stamped()) return false;
    view_.check_live();
    return true;
  }
  if (writes_first) view_.write_marks(0, 50);
  view_.check_inherited();
  view_.check_marks();
  if (!writes_first) view_.write_marks(0, 50);
  // Pages of the first half have been written by now, by this process, and those of the second half
  // have not. Some children live longer, and write those as well.
  const unsigned halves = round_ % kTimes == 0 ? 2 : 1;
  for (unsigned half = 1;; ++half) {
    if (!stamped()) return false;
    view_.check_frozen();
    view_.check_marks();
    if (half == halves) return true;
    view_.write_marks(50, 100);
  }
}

void Cell::parent_life(bool writes) {
  if (writes) view_.write_marks();
  if (!stamped()) throw std::runtime_error(shared_.failure.get());
  view_.check_live();
  view_.check_marks();
}

}  // namespace figment::stress
