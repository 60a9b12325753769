// SPDX-License-Identifier: MIT
#include "events_command.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <format>
#include <optional>
#include <print>
#include <stdexcept>

#include "event_report.h"
#include "event_row.h"
#include "figment/device.h"
#include "module_parameter.h"
#include "report.h"
#include "swap.h"
#include "test_hmm.h"

namespace figment::stress {
namespace {

/// How often an event is done that --rounds says nothing about.
constexpr std::uint64_t kRounds = 20;
constexpr std::uint64_t kForkRounds = 200;
constexpr std::uint64_t kQuickRounds = 2;
constexpr std::uint64_t kQuickForkRounds = 4;

/// The results so far, while the table goes on.
constexpr auto kWriteEvery = std::chrono::seconds(10);

template <typename List>
bool wanted(const List& asked, std::string_view name) {
  return asked.empty() || std::ranges::contains(asked, name);
}

std::vector<std::string> event_names() {
  std::vector<std::string> names;
  for (const Event* event : events()) names.emplace_back(event->name);
  return names;
}

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const PageKind& kind : page_kinds()) names.emplace_back(kind.name);
  return names;
}

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const auto& strategy : kStressStrategies) names.emplace_back(strategy.name);
  return names;
}

/// With --quick each event happens to one kind of pages (or as many as reach places of their own),
/// and each kind of pages to one event, the first of the table, which has all of them.
std::vector<const PageKind*> kinds_for(const Event& event, const EventOptions& options) {
  std::vector<const PageKind*> kinds = kinds_of(event);
  if (options.quick && options.pages.empty() && &event != events().front()) {
    kinds.resize(std::min<std::size_t>(kinds.size(), event.quick_kinds));
  }
  std::erase_if(kinds, [&](const PageKind* kind) { return !wanted(options.pages, kind->name); });
  return kinds;
}

std::uint64_t rounds_of(const Event& event, const StressStrategy& strategy,
                        const EventOptions& options) {
  const bool copies = event.content == Content::copied;
  if (options.quick) return copies ? kQuickForkRounds : kQuickRounds;
  if (options.rounds) return options.rounds;
  // The control is wrong at once.
  const bool forks = copies && strategy.safe;
  return std::max((forks ? kForkRounds : kRounds) / event.share, kQuickRounds);
}

std::vector<EventRowConfig> make_plan(const EventOptions& options, const Device& device,
                                      NotifierWatch* watch) {
  std::vector<EventRowConfig> rows;
  for (const Event* event : events()) {
    if (!wanted(options.events, event->name)) continue;
    for (const PageKind* kind : kinds_for(*event, options)) {
      for (const auto& strategy : kStressStrategies) {
        const bool asked = std::ranges::contains(options.strategies, strategy.name);
        if (!asked && !options.strategies.empty()) continue;
        if (!device.offers(strategy.vm)) {
          if (!asked && strategy.safe) continue;
          throw std::runtime_error(
              std::format("{} does not offer the strategy {}", device.node().path, strategy.name));
        }
        if (!differs(*event, *kind, strategy)) continue;
        // What the control does elsewhere is worth a look in the whole table.
        if (options.quick && !asked && !strategy.safe && !must_catch(*event, *kind)) continue;
        const std::uint64_t rounds = rounds_of(*event, strategy, options);
        rows.push_back({.strategy = strategy,
                        .event = *event,
                        .pages = *kind,
                        .gpu = options.gpu,
                        .rounds = rounds,
                        .baseline = options.quick ? 1 : std::max<std::uint64_t>(rounds / 20, 2),
                        .seed = options.seed,
                        .watch = watch});
      }
    }
  }
  return rows;
}

/// Everything that can reach a notifier is done, and often.
bool is_whole(const EventOptions& options) {
  return !options.quick && options.events.empty() && options.pages.empty() &&
         options.strategies.empty();
}

bool wants_unsafe(const EventOptions& options) {
  return wanted(options.strategies, info(Strategy::unsafe).name);
}

}  // namespace

void declare(CLI::App& command, EventOptions& options) {
  command.add_option("--event", options.events, "Events to do; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(event_names()));
  command.add_option("--pages", options.pages, "Kinds of pages; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(kind_names()));
  command.add_option("--strategy", options.strategies, "Strategies; default: all on offer")
      ->delimiter(',')
      ->check(CLI::IsMember(strategy_names()));
  command
      .add_option("--rounds", options.rounds,
                  std::format("How often each event is done; default: {}, with fork {}", kRounds,
                              kForkRounds))
      ->check(CLI::Range(1u, 1'000'000u));
  command.add_flag("--quick", options.quick, "Few rounds, of each event and each kind of pages");
  command.add_option("--seed", options.seed, "Seed of page orders and choices")
      ->capture_default_str();
  command.add_option("--gpu", options.gpu, "Which Figment GPU, from 0")->capture_default_str();
  command.add_option("--json", options.json, "File that gets the results as JSON; - is stdout")
      ->type_name("FILE");
  command.add_flag("--list", options.list,
                   "Tell events and kinds of pages, and stop; with --json for programs");
}

int run(const EventOptions& options) {
  if (options.list) {
    if (options.json.empty()) {
      std::print("{}", list_of_events());
    } else {
      write_file(options.json, catalogue_json());
    }
    return 0;
  }
  // Before the device is asked what it offers: the answer depends on it.
  std::optional<ScopedModuleParameter> allow_unsafe;
  if (wants_unsafe(options) && !Device::nodes().empty()) allow_unsafe.emplace("allow_unsafe", "1");
  NotifierWatch watch;
  const auto plan = make_plan(options, Device::open(options.gpu), &watch);
  const ScopedSwap swap;
  std::optional<HmmModule> test_hmm;
  if (std::ranges::any_of(plan, [](const auto& row) { return row.event.with_test_hmm; })) {
    test_hmm.emplace();
  }

  std::vector<EventRowResult> results;
  std::size_t wrong = 0;
  std::size_t skipped = 0;
  Deadline next_write = Clock::now();
  double seconds = 0;
  Coverage coverage;
  std::println("{}", event_heading());
  for (const EventRowConfig& config : plan) {
    std::println(stderr, "[{}/{}] {} {} {}", results.size() + 1, plan.size(), config.event.name,
                 config.pages.name, config.strategy.name);
    const auto& row = results.emplace_back(run_event_row(config));
    std::println("{}", event_line(row));
    std::fflush(stdout);
    const auto found = complaints(row);
    wrong += !found.empty();
    skipped += !row.skipped.empty();
    seconds += row.seconds;
    if (row.reached) coverage.add(*row.reached);
    for (const auto& complaint : found) {
      std::println(stderr, "figment-stress: {} {} {}: {}", config.event.name, config.pages.name,
                   config.strategy.name, complaint);
    }
    // A guest that dies later has told this much.
    if (!options.json.empty() && options.json != "-" && Clock::now() > next_write) {
      write_file(options.json, to_json(results, coverage, kernel_release()));
      next_write = after(kWriteEvery);
    }
  }
  std::println("{} rows: {} wrong, {} skipped; {:.0f} s", results.size(), wrong, skipped, seconds);
  std::print("{}", coverage_table(coverage));
  auto surprises = coverage.surprises();
  if (is_whole(options) && skipped == 0)
    std::ranges::copy(coverage.missing(), std::back_inserter(surprises));
  if (const auto lost = watch.lost()) {
    surprises.push_back(std::format("{} calls of notifiers were not recorded", lost));
  }
  for (const auto& surprise : surprises) std::println(stderr, "figment-stress: {}", surprise);
  if (!options.json.empty()) {
    write_file(options.json, to_json(results, coverage, kernel_release(), surprises));
  }
  return wrong || results.empty() || !surprises.empty() ? 1 : 0;
}

}  // namespace figment::stress
