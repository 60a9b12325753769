// SPDX-License-Identifier: MIT
#include "chain_row.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <format>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include "cgroup.h"
#include "chain_gpu.h"
#include "chain_trace.h"
#include "figment/error.h"
#include "kernel_log.h"
#include "module_parameter.h"
#include "page_kind.h"
#include "process.h"
#include "statistics.h"
#include "swap.h"
#include "view.h"
#include "watermarks.h"

namespace figment::stress {
namespace {

using Mode = ChainTracer::Mode;

constexpr auto kStuck = std::chrono::seconds(120);
constexpr auto kLook = std::chrono::microseconds(50);
constexpr unsigned kAttempts = 3;

/// How long the driver lets a job run that hangs. Jobs of a chain are far shorter.
constexpr auto kHangTimeoutMs = "500";

/// In a cgroup: what it may have beside the range, and what somebody else in it wants.
constexpr std::uint64_t kPressureRoom = 6_MiB;
constexpr std::uint64_t kPressureHog = 12_MiB;
/// Pages that it wants between two looks of the kernel for memory.
constexpr std::uint64_t kPressureStep = 512;
/// Rounds until the kernel has taken a page of a busy GPU; it usually does so in the first.
constexpr std::uint64_t kPressureRounds = 200;

/// The same for kswapd, which may not think that any is old enough.
constexpr std::uint64_t kKswapdRounds = 20;

/// What a child and its parent tell each other.
struct Talk {
  enum Stage : unsigned { forked, look, looked, look_again };
  std::atomic<unsigned> stage = forked;

  void wait_for(Stage wanted) const {
    if (!poll_until([&] { return stage.load() >= wanted; }, after(kStuck), kLook)) {
      throw std::runtime_error("parent or child of a fork does not get on");
    }
  }
};

double microseconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1000;
}

template <typename Field>
std::vector<double> column(const std::vector<ChainFork>& forks, Field field) {
  std::vector<double> values;
  for (const auto& fork : forks) values.push_back(fork.*field);
  return values;
}

template <typename Field>
double most(const std::vector<ChainFork>& forks, Field field) {
  return summarise(column(forks, field)).max;
}

/// Has the kernel look for memory: which pages are old enough is for the kernel to say.
struct Pressure {
  std::string_view by;   // whose notifiers count: what names of threads begin with; empty: all
  std::uint64_t rounds;  // at most, until there was one of a busy GPU
  std::function<void()> begin;
  std::function<void()> push;  // again and again
};

/// The GPUs of a row and the memory that they share.
class Chain {
 public:
  explicit Chain(const ChainConfig& config, ChainResult& result)
      : config_(config),
        result_(result),
        layout_{.pages = static_cast<std::uint32_t>(config.bytes / kPageBytes),
                .queues = config.gpus},
        memory_(memory_of(config)) {
    view_.emplace(memory_.as<Word>(), layout_, *shared_, config.seed);
    for (unsigned number = 0; number < config.gpus; ++number) {
      gpus_.push_back(std::make_unique<ChainGpu>(ChainGpu::Config{.number = number,
                                                                  .strategy = config.strategy().vm,
                                                                  .memory = memory_.bytes(),
                                                                  .layout = layout_},
                                                 *shared_));
      buses_.push_back(gpus_.back()->device().node().bus);
    }
    // From here on every page is there, and mapped for every GPU.
    run_chain({});
  }

  ~Chain() {
    for (const auto& gpu : gpus_) result_.jobs += gpu->completed();
    result_.gpu_words += shared_->gpu_words;
    result_.corrupt_words += shared_->corrupt_words;
    result_.first_corruption = shared_->corruption.get();
  }

  void measure(Mode mode) {
    ChainTracer tracer(mode, ::gettid());
    const bool told = mode == Mode::story;
    for (std::uint64_t round = 0; round < (told ? 1 : config_.rounds); ++round) {
      if (!told) result_.idle.push_back(fork_idle(tracer));
      const ChainFork busy = config_.apart() ? fork_apart(tracer) : fork_chain(tracer);
      if (!told || config_.kind == ChainKind::hang) result_.busy.push_back(busy);
    }
  }

  /// Chains under pressure, which begins when everything is there that is needed to see it.
  void press(const Pressure& pressure) {
    ChainTracer tracer(Mode::busy_calls, ::gettid());
    pressure.begin();
    std::atomic<bool> stop = false;
    std::thread hog([&] {
      while (!stop) pressure.push();
    });
    try {
      for (std::uint64_t round = 0; round < pressure.rounds; ++round) {
        if (round >= config_.rounds && result_.busy_calls > 0) break;
        tracer.begin();
        run_chain({.spin = config_.job});
        result_.busy_calls +=
            count_busy_calls(tracer.end(), start(), start() + config_.bytes, pressure.by);
        view_->check_idle();
      }
    } catch (...) {
      stop = true;
      hog.join();
      throw;
    }
    stop = true;
    hog.join();
  }

  [[nodiscard]] std::uint64_t start() const {
    return reinterpret_cast<std::uintptr_t>(memory_.bytes().data());
  }

  /// No job may have failed, but the one that was made to.
  void check_jobs() {
    for (unsigned number = 0; number < gpus_.size(); ++number) {
      const QueueState state = gpus_[number]->state();
      const bool hangs = config_.kind == ChainKind::hang && number == config_.hang;
      if (hangs) result_.hang_error = state.last_error;
      if (state.errors == (hangs ? 1u : 0u)) continue;
      result_.failures.push_back(std::format("{} jobs of GPU {} failed, the last with {}",
                                             state.errors, number,
                                             std::strerror(state.last_error)));
    }
  }

 private:
  static Mapping memory_of(const ChainConfig& config) {
    Mapping memory = anonymous_memory(config.bytes, kHugePageBytes);
    // A kernel that has no huge pages refuses, which is as good.
    ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
    return memory;
  }

  /// A job of each GPU, each after that of the one before.
  void start_chain(const ChainGpu::Job& job) {
    UniqueFd before;
    for (unsigned number = 0; number < gpus_.size(); ++number) {
      ChainGpu::Job one = job;
      one.endless = job.endless && number == config_.hang;
      if (number > 0) one.after = &before;
      gpus_[number]->submit(one);
      before = gpus_[number]->end();
    }
  }

  void collect_chain() {
    for (const auto& gpu : gpus_) gpu->wait(gpu->submitted());
    check_read();
  }

  void run_chain(const ChainGpu::Job& job) {
    start_chain(job);
    collect_chain();
  }

  /// Each GPU of a chain has seen what the one before it has written in the same round.
  void check_read() {
    for (unsigned number = 1; number < gpus_.size(); ++number) {
      const ChainGpu& gpu = *gpus_[number];
      const Sequence n = gpus_[number - 1]->submitted();
      auto words = gpu.read(gpu.submitted());
      for (const std::uint32_t page : gpu.read_pages()) {
        const Word due = oracle::gpu_stamp(number - 1, page, n);
        for (const Word word : words.first(layout_.run_words)) {
          ++shared_->gpu_words;
          if (word == due) continue;
          ++shared_->corrupt_words;
          shared_->corruption.set(
              std::format("GPU {} has read 0x{:016x} of GPU {}, page {}, where job {} is due",
                          number, word, number - 1, page, n));
        }
        words = words.subspan(layout_.run_words);
      }
    }
  }

  /// Between begin() of the tracer and its end(): one fork(), whose child looks at what it has got.
  /// `whole`: all jobs that were submitted before have ended when it returns.
  struct Forked {
    pid_t child = -1;
    ChainFork cost;
  };
  Forked fork_one(ChainTracer& tracer, Talk& talk, bool whole) {
    Forked forked;
    view_->remember_completed();
    const auto start = Clock::now();
    forked.child = ::fork();
    if (forked.child == 0) be_child(talk, whole);
    forked.cost.fork_us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    const int error = errno;
    const std::string text = tracer.end();
    if (forked.child < 0) fail(error, "fork");
    if (config_.strategy().follows()) {
      add_trace(text, forked.cost);
    }
    return forked;
  }

  [[noreturn]] void be_child(Talk& talk, bool whole) {
    die_with_parent();
    // What follows fork_one() is the parent's life.
    try {
      live_as_child(talk, whole);
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }

  void live_as_child(Talk& talk, bool whole) {
    view_->become(1);
    view_->remember_submitted();
    talk.wait_for(Talk::look);
    // What had to end before the fork is there, and nothing else.
    if (whole) view_->remember_completed();
    view_->check_inherited();
    talk.stage = Talk::looked;
    talk.wait_for(Talk::look_again);
    view_->check_frozen();
    view_->check_marks();
    view_->write_marks();
    view_->check_marks();
  }

  void add_trace(const std::string& text, ChainFork& cost) {
    const ChainTrace trace = parse_chain_trace(text, ::gettid(), start(), start() + config_.bytes);
    cost.devices = static_cast<unsigned>(trace.notifiers.size());
    cost.notifier_us = trace.end_us() - trace.begin_us();
    for (const auto& notifier : trace.notifiers) {
      cost.device_us = std::max(cost.device_us, notifier.total_us);
      cost.waited_us += notifier.waited_us;
    }
    if (cost.devices != config_.gpus) {
      result_.failures.push_back(
          std::format("fork() has told {} of {} GPUs", cost.devices, config_.gpus));
    }
    if (!trace.jobs.empty()) result_.story = chain_story(trace, ::gettid(), buses_);
  }

  /// What parent, child and GPUs do when a fork has been made and no job is in flight.
  void look(Talk& talk, pid_t child, bool marked) {
    talk.stage = Talk::look;
    talk.wait_for(Talk::looked);
    if (!marked) view_->write_marks();
    run_chain({});
    view_->check_idle();
    talk.stage = Talk::look_again;
    if (const auto trouble = reap(child, after(kStuck))) {
      throw std::runtime_error(std::format("a child {}", *trouble));
    }
    view_->check_idle();
    if (config_.strategy().safe) return;
    // The GPUs write to pages that are not ours any more.
    view_->restore();
    for (const auto& gpu : gpus_) gpu->rebind();
    run_chain({});
  }

  ChainFork fork_idle(ChainTracer& tracer) {
    SharedObject<Talk> talk;
    tracer.begin();
    const Forked forked = fork_one(tracer, *talk, true);
    look(*talk, forked.child, false);
    return forked.cost;
  }

  ChainFork fork_chain(ChainTracer& tracer) {
    const bool safe = config_.strategy().safe;
    SharedObject<Talk> talk;
    tracer.begin();
    start_chain({.spin = config_.job, .endless = config_.kind == ChainKind::hang});
    if (!poll_until([&] { return gpus_.front()->has_begun(); }, after(kStuck), kLook)) {
      throw std::runtime_error("the first job of a chain does not begin");
    }
    Forked forked = fork_one(tracer, *talk, safe);
    const bool early =
        std::ranges::any_of(gpus_, [](const auto& gpu) { return gpu->ended() < gpu->submitted(); });
    if (early) ++result_.early_forks;
    // At once, while it writes: these are the parent's pages, and not those of the child.
    if (!safe) view_->write_marks();
    collect_chain();
    add_times(forked.cost);
    look(*talk, forked.child, !safe);
    return forked.cost;
  }

  void add_times(ChainFork& cost) const {
    std::uint64_t begin = ~std::uint64_t{0};
    std::uint64_t end = 0;
    for (const auto& gpu : gpus_) {
      const auto times = gpu->times(gpu->submitted());
      begin = std::min(begin, times.begin_ns);
      end = std::max(end, times.end_ns);
      cost.jobs_us += microseconds(times.ns());
      cost.slowest_us = std::max(cost.slowest_us, microseconds(times.ns()));
    }
    cost.chain_us = end > begin ? microseconds(end - begin) : 0;
  }

  ChainFork fork_apart(ChainTracer& tracer) {
    SharedObject<Talk> talk;
    std::vector<Sequence> begun;
    for (const auto& gpu : gpus_) begun.push_back(gpu->completed() + 1);
    ChainFeeders feeders(gpus_, memory_.bytes(), kChainInFlight, config_.job);
    // One job of each has ended, so that from here on so many are in flight.
    for (unsigned number = 0; number < gpus_.size(); ++number) {
      if (!poll_until([&] { return gpus_[number]->completed() >= begun[number]; }, after(kStuck))) {
        throw std::runtime_error(std::format("GPU {} does not begin", number));
      }
    }
    tracer.begin();
    Forked forked = fork_one(tracer, *talk, false);
    feeders.stop();
    for (unsigned number = 0; number < gpus_.size(); ++number) {
      const auto& fed = feeders.fed(number);
      forked.cost.jobs_us += kChainInFlight * microseconds(fed.mean_ns());
      forked.cost.slowest_us =
          std::max(forked.cost.slowest_us, kChainInFlight * microseconds(fed.longest_ns));
    }
    look(*talk, forked.child, false);
    return forked.cost;
  }

  const ChainConfig& config_;
  ChainResult& result_;
  oracle::Layout layout_;
  SharedObject<WorkerShared> shared_;
  Mapping memory_;
  std::optional<View> view_;
  std::vector<std::unique_ptr<ChainGpu>> gpus_;
  std::vector<std::string> buses_;
};

/// Wants more memory than the cgroup may have, and has the kernel look for some now and then.
class CgroupHog {
 public:
  explicit CgroupHog(std::uint64_t bytes) {
    if (const int error = group_.set("memory.max", std::to_string(bytes + kPressureRoom))) {
      fail(error, "memory.max");
    }
    group_.enter();
  }
  void push() {
    for (std::uint64_t n = 0; n < kPressureStep; ++n, page_ += oracle::kWordsPerPage) {
      ++memory_.as<Word>()[page_ % memory_.as<Word>().size()];
    }
    // EAGAIN: it was not that much.
    std::ignore = group_.set("memory.reclaim", std::to_string(kPressureRoom));
  }

 private:
  Cgroup group_;
  Mapping memory_ = anonymous_memory(kPressureHog);
  std::uint64_t page_ = 0;
};

void run_kind(const ChainConfig& config, ChainResult& result) {
  std::optional<ScopedModuleParameter> parameter;
  std::optional<ScopedSwap> swap;
  std::optional<CgroupHog> hog;
  std::optional<ScopedWatermarks> watermarks;
  if (config.reclaims()) {
    swap.emplace();
    if (!has_swap()) throw Lacks("there is no swap");
  }
  switch (config.kind) {
    case ChainKind::chain:
    case ChainKind::two_pass:
      break;
    case ChainKind::one_pass:
      parameter.emplace("one_pass", "1");
      break;
    case ChainKind::control:
      parameter.emplace("allow_unsafe", "1");
      break;
    case ChainKind::hang:
      parameter.emplace("job_timeout_ms", kHangTimeoutMs);
      break;
    case ChainKind::pressure:
      hog.emplace(config.bytes);
      break;
    case ChainKind::kswapd:
      break;
  }
  Chain chain(config, result);
  if (config.kind == ChainKind::pressure) {
    chain.press(
        {.by = "", .rounds = kPressureRounds, .begin = [] {}, .push = [&] { hog->push(); }});
  } else if (config.kind == ChainKind::kswapd) {
    const std::uint64_t before = pages_kswapd_has_scanned();
    chain.press({.by = "kswapd",
                 .rounds = kKswapdRounds,
                 .begin = [&] { watermarks.emplace(); },
                 .push = [&] { watermarks->cross(); }});
    result.scanned = pages_kswapd_has_scanned() - before;
  } else if (config.kind == ChainKind::hang) {
    chain.measure(Mode::story);
  } else {
    chain.measure(Mode::notifiers);
    if (config.kind == ChainKind::chain) chain.measure(Mode::story);
  }
  chain.check_jobs();
}

ChainResult run_once(const ChainConfig& config) {
  ChainResult result{.config = config};
  KernelLog log;
  try {
    run_kind(result.config, result);
  } catch (const Lacks& lacks) {
    result.skipped = lacks.what();
  } catch (const std::exception& error) {
    result.failures.emplace_back(error.what());
  }
  for (auto& report : log.take_reports()) {
    ++result.kernel_reports;
    result.failures.push_back("kernel: " + report);
  }
  return result;
}

std::vector<std::string> time_complaints(const ChainResult& row) {
  std::vector<std::string> found;
  if (const double limit = row.limit_us(); limit > 0 && row.worst_notifier_us() > limit) {
    found.push_back(std::format("a notifier took {:.1f} ms, and may take {:.1f}",
                                row.worst_notifier_us() / 1000, limit / 1000));
  }
  if (row.config.kind == ChainKind::one_pass && row.config.gpus >= kSumIsSeen &&
      row.median_notifier_us() < one_pass_least(row.median_jobs_us())) {
    found.push_back(std::format(
        "one pass took {:.1f} ms of {:.1f} ms that all GPUs had to do: the measurement is blind",
        row.median_notifier_us() / 1000, row.median_jobs_us() / 1000));
  }
  return found;
}

}  // namespace

double ChainResult::worst_notifier_us() const {
  return most(busy, &ChainFork::notifier_us);
}

double ChainResult::idle_notifier_us() const {
  return most(idle, &ChainFork::notifier_us);
}

double ChainResult::longest_chain_us() const {
  return most(busy, &ChainFork::chain_us);
}

double ChainResult::slowest_us() const {
  return most(busy, &ChainFork::slowest_us);
}

double ChainResult::limit_us() const {
  switch (config.kind) {
    case ChainKind::chain:
      return chain_limit(longest_chain_us(), idle_notifier_us());
    case ChainKind::two_pass:
      return apart_limit(slowest_us(), idle_notifier_us());
    case ChainKind::one_pass:
    case ChainKind::pressure:
    case ChainKind::kswapd:
    case ChainKind::control:
    case ChainKind::hang:
      return 0;
  }
  return 0;
}

double ChainResult::median_notifier_us() const {
  return summarise(column(busy, &ChainFork::notifier_us)).p50;
}

double ChainResult::median_jobs_us() const {
  return summarise(column(busy, &ChainFork::jobs_us)).p50;
}

ChainResult run_chain_row(const ChainConfig& config) {
  for (unsigned attempt = 1;; ++attempt) {
    ChainResult result = run_once(config);
    result.attempts = attempt;
    const auto slow = time_complaints(result);
    if (slow.empty() || complaints(result) != slow || attempt == kAttempts) return result;
  }
}

std::vector<std::string> complaints(const ChainResult& row) {
  std::vector<std::string> found = row.failures;
  if (!row.skipped.empty() || !found.empty()) return found;
  const ChainKind kind = row.config.kind;
  if (row.gpu_words == 0) found.emplace_back("no GPU word was checked");
  if (row.config.strategy().safe && row.corrupt_words) {
    found.push_back(std::format("{} words are corrupt; the first: {}", row.corrupt_words,
                                row.first_corruption));
  }
  if (kind == ChainKind::control) {
    if (row.corrupt_words == 0) {
      found.emplace_back("the control corrupted nothing: the detector is blind");
    }
    if (row.early_forks == 0) found.emplace_back("fork() waited for the jobs of the control");
  } else if (row.early_forks) {
    found.push_back(
        std::format("{} forks returned before the jobs of the chain had ended", row.early_forks));
  }
  std::ranges::move(time_complaints(row), std::back_inserter(found));
  if (kind == ChainKind::pressure && row.busy_calls == 0) {
    found.emplace_back("the kernel has taken no page while a chain was pending");
  }
  if (kind == ChainKind::kswapd && row.scanned == 0) {
    found.emplace_back("kswapd has not looked for memory while chains were pending");
  }
  if (kind == ChainKind::hang && row.hang_error != ETIME) {
    found.push_back(std::format("the job that hung ended with '{}', not with '{}'",
                                std::strerror(row.hang_error), std::strerror(ETIME)));
  }
  const bool tells = kind == ChainKind::chain || kind == ChainKind::hang;
  if (tells && row.story.empty()) found.emplace_back("the trace tells nothing");
  return found;
}

}  // namespace figment::stress
