// SPDX-License-Identifier: MIT
#include "event_row.h"

#include <unistd.h>

#include <cstring>
#include <format>

#include "cell.h"
#include "kernel_log.h"
#include "process.h"
#include "shared.h"

namespace figment::stress {
namespace {

/// For a whole row; what waits for something in it gives up much sooner.
constexpr auto kStuck = std::chrono::minutes(30);

struct Stage {
  WorkerShared worker;
  std::atomic<std::uint64_t> rounds = 0;
  std::atomic<int> refused = 0;
  FirstText skipped;
};

void work(const EventRowConfig& config, Stage& stage) {
  Cell cell({.strategy = config.strategy,
             .event = config.event,
             .pages = config.pages,
             .gpu = config.gpu,
             .seed = config.seed},
            stage.worker);
  cell.run(config.baseline, config.rounds);
  stage.rounds = config.rounds;
}

[[noreturn]] void become_cell(const EventRowConfig& config, Stage& stage) {
  die_with_parent();
  try {
    work(config, stage);
  } catch (const Refused& refused) {
    stage.refused = refused.error;
  } catch (const Lacks& lacks) {
    stage.skipped.set(lacks.what());
  } catch (const std::exception& error) {
    stage.worker.failure.set(error.what());
  }
  ::_exit(stage.worker.failure ? 1 : 0);
}

}  // namespace

EventRowResult run_event_row(const EventRowConfig& config) {
  EventRowResult result{
      .strategy = config.strategy, .event = &config.event, .pages = &config.pages};
  KernelLog log;
  SharedObject<Stage> stage;
  const pid_t cell = ::fork();
  if (cell == 0) become_cell(config, *stage);
  if (cell < 0) throw std::runtime_error("a process could not be forked");
  if (const auto trouble = reap(cell, after(kStuck))) stage->worker.failure.set(*trouble);

  WorkerShared& worker = stage->worker;
  result.rounds = stage->rounds;
  result.event_us = summarise(worker.fork.get());
  result.baseline_us = summarise(worker.baseline.get());
  result.jobs = worker.jobs;
  result.gpu_words = worker.gpu_words;
  result.corrupt_words = worker.corrupt_words;
  result.refused = stage->refused;
  result.skipped = stage->skipped.get();
  result.first_corruption = worker.corruption.get();
  if (const auto why = worker.failure.get(); !why.empty()) result.failures.push_back(why);
  for (auto& report : log.take_reports()) {
    ++result.kernel_reports;
    result.failures.push_back("kernel: " + report);
  }
  return result;
}

std::vector<std::string> complaints(const EventRowResult& row) {
  std::vector<std::string> found = row.failures;
  // What was skipped has judged nothing, but the kernel's word stands.
  if (!row.skipped.empty()) return found;
  if (row.refused != row.pages->refused) {
    const auto name = [](int error) { return error ? ::strerrorname_np(error) : "success"; };
    found.push_back(std::format("the bind ended with {} where {} is documented", name(row.refused),
                                name(row.pages->refused)));
  }
  if (row.refused) return found;
  if (row.rounds == 0 && row.failures.empty()) found.emplace_back("nothing was done");
  if (row.gpu_words == 0) found.emplace_back("no GPU word was checked");
  if (row.strategy.safe && row.corrupt_words) {
    found.push_back(std::format("{} words are corrupt; the first: {}", row.corrupt_words,
                                row.first_corruption));
  }
  if (!row.strategy.safe && !row.corrupt_words && must_catch(*row.event, *row.pages)) {
    found.emplace_back("the control corrupted nothing: the detector is blind");
  }
  return found;
}

}  // namespace figment::stress
