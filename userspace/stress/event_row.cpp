// SPDX-License-Identifier: MIT
#include "event_row.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <format>
#include <ranges>
#include <span>
#include <tuple>

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
  /// Of the watch: how often the cell has asked whether its event has reached a notifier, and how
  /// often it was answered.
  std::atomic<std::uint64_t> asked = 0;
  std::atomic<std::uint64_t> answered = 0;
  std::atomic<bool> has_reached = false;
};

/// Jobs are short. Whether one was in flight when the event came is up to two schedulers; so it is
/// done more often than asked for when none was, at most so many times.
constexpr std::uint64_t kMoreRounds = 100;

bool is_watched(const EventRowConfig& config) {
  return config.watch && !must_reach(config.event, config.pages, config.strategy).empty();
}

void work(const EventRowConfig& config, Stage& stage) {
  Cell cell({.strategy = config.strategy,
             .event = config.event,
             .pages = config.pages,
             .gpu = config.gpu,
             .seed = config.seed},
            stage.worker);
  std::uint64_t more = 0;
  const auto wants_more = [&] {
    if (!is_watched(config) || more++ >= kMoreRounds) return false;
    const std::uint64_t question = ++stage.asked;
    std::ignore = poll_until([&] { return stage.answered >= question; }, after(kStuck));
    return !stage.has_reached;
  };
  stage.rounds = cell.run(config.baseline, config.rounds, wants_more);
}

bool has_reached(const Coverage& coverage, std::span<const std::string_view> sites) {
  return std::ranges::any_of(sites, [&](auto site) { return coverage.reached(site); });
}

/// Takes what has reached notifiers, and tells the cell.
void look(const EventRowConfig& config, Stage& stage, Coverage& reached) {
  if (!config.watch) return;
  const std::uint64_t question = stage.asked;
  const auto concerns = [&](std::uint64_t start, std::uint64_t end) {
    return std::ranges::any_of(
        stage.worker.ranges, [&](const WatchedRange& range) { return range.overlaps(start, end); });
  };
  // The only VM that mirrors its process is that of the row.
  reached.add(config.watch->take(concerns, config.strategy.svm ? config.strategy.name : "svm"));
  stage.has_reached = has_reached(reached, sites_for(config.event, config.pages));
  stage.answered = question;
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
  const auto start = Clock::now();
  KernelLog log;
  if (config.watch) std::ignore = config.watch->take();
  SharedObject<Stage> stage;
  const pid_t cell = ::fork();
  if (cell == 0) become_cell(config, *stage);
  if (cell < 0) throw std::runtime_error("a process could not be forked");
  Coverage reached;
  const auto ended = [&] {
    look(config, *stage, reached);
    return has_ended(cell);
  };
  std::ignore = poll_until(ended, after(kStuck), std::chrono::milliseconds(20));
  look(config, *stage, reached);
  if (const auto trouble = reap(cell, after(kStuck))) stage->worker.failure.set(*trouble);

  if (config.watch) result.reached = std::move(reached);
  WorkerShared& worker = stage->worker;
  result.rounds = stage->rounds;
  result.event_us = summarise(worker.fork.get());
  result.baseline_us = summarise(worker.baseline.get());
  result.jobs = worker.jobs;
  result.vram_pages = worker.vram_pages;
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
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

std::vector<std::string> complaints(const EventRowResult& row) {
  const int refused = row.strategy.follows() ? 0 : row.pages->refused;
  std::vector<std::string> found = row.failures;
  if (row.strategy.safe && row.corrupt_words) {
    found.push_back(std::format("{} words are corrupt; the first: {}", row.corrupt_words,
                                row.first_corruption));
  }
  // What was skipped, maybe after some rounds, need not have come to an end.
  if (!row.skipped.empty()) return found;
  if (row.refused != refused) {
    const auto name = [](int error) { return error ? ::strerrorname_np(error) : "success"; };
    found.push_back(std::format("the bind ended with {} where {} is documented", name(row.refused),
                                name(refused)));
  }
  if (row.refused) return found;
  if (row.rounds == 0 && row.failures.empty()) found.emplace_back("nothing was done");
  if (row.gpu_words == 0) found.emplace_back("no GPU word was checked");
  if (row.strategy.vram && row.rounds && !row.vram_pages) {
    found.emplace_back("no page of the range was in VRAM when an event began: nothing is proved");
  }
  if (!row.strategy.safe && !row.corrupt_words && must_catch(*row.event, *row.pages)) {
    found.emplace_back("the control corrupted nothing: the detector is blind");
  }
  const auto sites = must_reach(*row.event, *row.pages, row.strategy);
  if (row.reached && !sites.empty() && row.rounds && !has_reached(*row.reached, sites)) {
    std::string names(sites.front());
    for (const auto site : sites | std::views::drop(1)) names += std::format(" or {}", site);
    found.push_back(std::format("no call of {} has reached a notifier", names));
  }
  return found;
}

}  // namespace figment::stress
