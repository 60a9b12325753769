// SPDX-License-Identifier: MIT
#include "row.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <format>
#include <iterator>
#include <stdexcept>

#include "figment/error.h"
#include "kernel_log.h"
#include "process.h"
#include "shared.h"
#include "worker.h"

namespace figment::stress {
namespace {

/// For what has no deadline of its own: longer than the workers' own patience, so that
/// they tell why.
constexpr auto kStuck = std::chrono::seconds(300);

/// Share of a row's time with the GPU idle.
constexpr int kBaselineShare = 5;

enum Phase : unsigned { kSetUp, kBaseline, kStress, kEnd };

/// Moments that the coordinator has chosen before it opens a phase.
struct Plan {
  std::atomic<Clock::rep> end = 0;
};

struct Stage {
  RowShared row;
  Plan plan;
};

Deadline end_of_phase(const Plan& plan) {
  return Deadline(Clock::duration(plan.end.load()));
}

void work(const WorkerConfig& config, Stage& stage) {
  auto& shared = stage.row.workers[config.number];
  const auto reached = [&](Phase phase) {
    shared.phase = phase;
    const bool open = poll_until(
        [&] { return stage.row.phase.load() >= phase || stage.row.stop.load(); }, after(kStuck));
    if (!open) shared.failure.set("the other processes did not keep up");
    return open && !stage.row.stop;
  };
  Worker worker(config, shared);
  if (!reached(kBaseline) || !worker.baseline(end_of_phase(stage.plan))) return;
  if (!reached(kStress) || !worker.stress(end_of_phase(stage.plan))) return;
  worker.finish();
  shared.phase = kEnd;
}

[[noreturn]] void become_worker(const WorkerConfig& config, Stage& stage) {
  die_with_parent();
  auto& shared = stage.row.workers[config.number];
  try {
    work(config, stage);
  } catch (const std::exception& error) {
    shared.failure.set(error.what());
  }
  if (shared.failure) stage.row.stop = true;
  ::_exit(shared.failure ? 1 : 0);
}

std::vector<pid_t> start_workers(const RowConfig& config, Stage& stage) {
  std::vector<pid_t> workers;
  for (unsigned number = 0; number < config.processes; ++number) {
    const WorkerConfig worker{
        .strategy = config.strategy,
        .scenario = config.scenario,
        .number = number,
        .gpu = config.gpu,
        .queues = config.queues,
        .in_flight = config.in_flight,
        .job_time = config.job_time,
        .bytes = config.bytes,
        .seed = config.seed,
        .min_forks = (config.min_forks + config.processes - 1) / config.processes};
    const pid_t pid = ::fork();
    if (pid == 0) become_worker(worker, stage);
    if (pid < 0) {
      stage.row.workers[number].failure.set("a process could not be forked");
      stage.row.stop = true;
      break;
    }
    workers.push_back(pid);
  }
  return workers;
}

void open_phase(std::span<const pid_t> pids, Stage& stage, Phase phase, Clock::duration time) {
  const auto all_reached = [&] {
    // One that has ended will not come any further; whoever waits for it must not.
    if (std::ranges::any_of(pids, has_ended)) stage.row.stop = true;
    const auto workers = std::span(stage.row.workers).first(pids.size());
    return stage.row.stop.load() || std::ranges::all_of(workers, [&](const auto& worker) {
             return worker.phase.load() >= phase;
           });
  };
  if (!poll_until(all_reached, after(kStuck) + time, std::chrono::milliseconds(5)))
    stage.row.stop = true;
  stage.plan.end = (Clock::now() + time).time_since_epoch().count();
  stage.row.phase = phase;
}

void gather(const RowConfig& config, Stage& stage, RowResult& result) {
  std::vector<double> busy;
  std::vector<double> idle;
  for (unsigned number = 0; number < config.processes; ++number) {
    auto& worker = stage.row.workers[number];
    std::ranges::copy(worker.fork.get(), std::back_inserter(busy));
    std::ranges::copy(worker.baseline.get(), std::back_inserter(idle));
    result.forks += worker.fork.count();
    result.jobs += worker.jobs;
    result.vram_pages += worker.vram_pages;
    result.gpu_words += worker.gpu_words;
    result.corrupt_words += worker.corrupt_words;
    if (result.first_corruption.empty()) result.first_corruption = worker.corruption.get();
    if (const auto why = worker.failure.get(); !why.empty()) {
      result.failures.push_back(std::format("process {}: {}", number, why));
    }
  }
  result.fork_us = summarise(busy);
  result.baseline_fork_us = summarise(idle);
}

}  // namespace

RowResult run_row(const RowConfig& config) {
  if (config.processes == 0 || config.processes > kMaxProcesses) {
    throw std::invalid_argument(std::format("processes: 1 to {}", kMaxProcesses));
  }
  if (config.queues == 0 || config.queues > kMaxQueues) {
    throw std::invalid_argument(std::format("queues: 1 to {}", kMaxQueues));
  }
  if (config.in_flight == 0) throw std::invalid_argument("in flight: at least one job");
  RowResult result{.strategy = config.strategy, .scenario = std::string(config.scenario.name)};
  KernelLog log;
  SharedObject<Stage> stage;

  const auto workers = start_workers(config, *stage);
  const auto idle_time = config.time / kBaselineShare;
  open_phase(workers, *stage, kBaseline, idle_time);
  open_phase(workers, *stage, kStress, config.time - idle_time);
  for (std::size_t number = 0; number < workers.size(); ++number) {
    // A row with a minimum of forks may take longer than its time; each worker gives up
    // by itself when it is stuck.
    const auto trouble = reap(workers[number], after(std::chrono::hours(24 * 365)));
    if (!trouble) continue;
    stage->row.stop = true;
    stage->row.workers[number].failure.set(*trouble);
  }

  gather(config, *stage, result);
  for (auto& report : log.take_reports()) {
    ++result.kernel_reports;
    result.failures.push_back("kernel: " + report);
  }
  return result;
}

std::vector<std::string> complaints(const RowResult& row) {
  std::vector<std::string> found = row.failures;
  if (row.forks == 0) found.emplace_back("no fork was made");
  if (row.gpu_words == 0) found.emplace_back("no GPU word was checked");
  if (row.strategy.vram && row.forks && !row.vram_pages) {
    found.emplace_back("no page was in VRAM when a process forked: nothing is proved");
  }
  if (row.strategy.safe && row.corrupt_words) {
    found.push_back(std::format("{} words are corrupt; the first: {}", row.corrupt_words,
                                row.first_corruption));
  }
  if (!row.strategy.safe && !row.corrupt_words) {
    found.emplace_back("the control corrupted nothing: the detector is blind");
  }
  return found;
}

}  // namespace figment::stress
