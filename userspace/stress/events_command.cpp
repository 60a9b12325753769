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

namespace figment::stress {
namespace {

/// How often an event is done that --rounds says nothing about.
constexpr std::uint64_t kRounds = 20;
constexpr std::uint64_t kForkRounds = 200;
constexpr std::uint64_t kQuickRounds = 2;
constexpr std::uint64_t kQuickForkRounds = 4;

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

/// With --quick each event happens to one kind of pages, and each kind of pages to one event, the
/// first of the table, which has all of them.
std::vector<const PageKind*> kinds_for(const Event& event, const EventOptions& options) {
  std::vector<const PageKind*> kinds = kinds_of(event);
  if (options.quick && options.pages.empty() && &event != events().front()) kinds.resize(1);
  std::erase_if(kinds, [&](const PageKind* kind) { return !wanted(options.pages, kind->name); });
  return kinds;
}

std::uint64_t rounds_of(const Event& event, const EventOptions& options) {
  const bool forks = event.content == Content::copied;
  if (options.quick) return forks ? kQuickForkRounds : kQuickRounds;
  if (options.rounds) return options.rounds;
  return std::max((forks ? kForkRounds : kRounds) / event.share, kQuickRounds);
}

std::vector<EventRowConfig> make_plan(const EventOptions& options, const Device& device) {
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
        if (!differs(*event, strategy)) continue;
        const std::uint64_t rounds = rounds_of(*event, options);
        rows.push_back({.strategy = strategy,
                        .event = *event,
                        .pages = *kind,
                        .gpu = options.gpu,
                        .rounds = rounds,
                        .baseline = options.quick ? 1 : std::max<std::uint64_t>(rounds / 20, 2),
                        .seed = options.seed});
      }
    }
  }
  return rows;
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
  command.add_flag("--list", options.list, "Tell events and kinds of pages, and stop");
}

int run(const EventOptions& options) {
  if (options.list) {
    std::print("{}", list_of_events());
    return 0;
  }
  // Before the device is asked what it offers: the answer depends on it.
  std::optional<ScopedModuleParameter> allow_unsafe;
  if (wants_unsafe(options) && !Device::nodes().empty()) allow_unsafe.emplace("allow_unsafe", "1");
  const auto plan = make_plan(options, Device::open(options.gpu));
  const ScopedSwap swap;

  std::vector<EventRowResult> results;
  std::size_t wrong = 0;
  std::size_t skipped = 0;
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
    for (const auto& complaint : found) {
      std::println(stderr, "figment-stress: {} {} {}: {}", config.event.name, config.pages.name,
                   config.strategy.name, complaint);
    }
  }
  std::println("{} rows: {} wrong, {} skipped", results.size(), wrong, skipped);
  if (!options.json.empty()) write_file(options.json, to_json(results, kernel_release()));
  return wrong || results.empty() ? 1 : 0;
}

}  // namespace figment::stress
