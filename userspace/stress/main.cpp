// SPDX-License-Identifier: MIT
//
// figment-stress: GPU writes to ordinary memory of processes that fork, under every
// strategy that the driver offers, judged by the oracle of docs/oracle.md. And, as
// commands of their own, the table of all other events (docs/events.md), what fork() costs
// (docs/matrix.md), other users of pages beside the GPU (docs/compare.md), and several GPUs on the
// same memory (docs/chains.md).
//
// Standard output gets the table, standard error progress and complaints. Exit
// status: 0 every row was as it must be; 1 some row was not; 2 wrong usage.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <format>
#include <optional>
#include <print>
#include <system_error>
#include <vector>

#include "chain_command.h"
#include "compare_command.h"
#include "events_command.h"
#include "figment/device.h"
#include "growth_command.h"
#include "module_parameter.h"
#include "report.h"
#include "row.h"
#include "shared.h"
#include "stress_strategy.h"

namespace {

using namespace figment;
using namespace figment::stress;

/// As many as anybody needs to keep a GPU busy.
constexpr unsigned kMaxInFlight = 64;

struct Options {
  std::vector<std::string> strategies;
  std::vector<std::string> scenarios;
  double seconds = 60;
  std::uint64_t forks = 0;
  unsigned processes = 2;
  unsigned queues = 2;
  unsigned in_flight = Stamper::kInFlight;
  unsigned job_us = 1000;
  std::uint64_t bytes = 1_MiB;
  std::uint64_t seed = 1;
  unsigned gpu = 0;
  std::string json;
  bool list = false;
};

struct Plan {
  std::vector<StressStrategy> strategies;
  std::vector<const Scenario*> scenarios;
};

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const auto& strategy : kStressStrategies) names.emplace_back(strategy.name);
  return names;
}

std::vector<std::string> scenario_names() {
  std::vector<std::string> names;
  for (const auto& scenario : kScenarios) names.emplace_back(scenario.name);
  return names;
}

void declare(CLI::App& app, Options& options) {
  app.add_option("--strategy", options.strategies, "Strategies to run; default: all on offer")
      ->delimiter(',')
      ->check(CLI::IsMember(strategy_names()));
  app.add_option("--scenario", options.scenarios, "Scenarios to run; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(scenario_names()));
  app.add_option("--seconds", options.seconds, "Time of all rows together")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 1e6));
  app.add_option("--forks", options.forks,
                 "At least so many forks in all rows of safe strategies together, even when "
                 "that takes longer")
      ->capture_default_str();
  app.add_option("--processes", options.processes, "Processes at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1u, kMaxProcesses));
  app.add_option("--queues", options.queues, "GPU queues of each process")
      ->capture_default_str()
      ->check(CLI::Range(1u, kMaxQueues));
  app.add_option("--in-flight", options.in_flight,
                 "Jobs in flight of each queue; with 1 the GPU rests while one is made")
      ->capture_default_str()
      ->check(CLI::Range(1u, kMaxInFlight));
  app.add_option("--job-us", options.job_us, "About the time of a job, in us of the GPU")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1'000'000u));
  app.add_option("--size", options.bytes, "Memory of each process, e.g. 4M; whole pages")
      ->capture_default_str()
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{64_KiB}, std::uint64_t{1_GiB}));
  app.add_option("--seed", options.seed, "Seed of page orders and delays")->capture_default_str();
  app.add_option("--gpu", options.gpu, "Which Figment GPU, from 0")->capture_default_str();
  app.add_option("--json", options.json, "File that gets the results as JSON; - is stdout")
      ->type_name("FILE");
  app.add_flag("--list", options.list, "Tell strategies and scenarios, and stop");
}

void list(const std::optional<Device>& device) {
  std::println("strategies:");
  for (const auto& strategy : kStressStrategies) {
    const bool offered = device && device->offers(strategy.vm);
    std::println("  {:<14} {}{}", strategy.name, strategy.what, offered ? "" : " (not on offer)");
  }
  std::println("scenarios:");
  for (const auto& scenario : kScenarios) std::println("  {:<14} {}", scenario.name, scenario.what);
}

/// Strategies that were asked for, or all on offer. The control must always be among
/// the latter: without it nobody knows that the detector works.
Plan make_plan(const Options& options, const Device& device) {
  Plan plan;
  for (const auto& strategy : kStressStrategies) {
    const bool asked = std::ranges::contains(options.strategies, strategy.name);
    const bool all = options.strategies.empty();
    if (!asked && !(all && (device.offers(strategy.vm) || !strategy.safe))) continue;
    if (!device.offers(strategy.vm)) {
      throw std::runtime_error(
          std::format("{} does not offer the strategy {}", device.node().path, strategy.name));
    }
    plan.strategies.push_back(strategy);
  }
  for (const auto& scenario : kScenarios) {
    if (options.scenarios.empty() || std::ranges::contains(options.scenarios, scenario.name)) {
      plan.scenarios.push_back(&scenario);
    }
  }
  return plan;
}

bool wants_unsafe(const Options& options) {
  return options.strategies.empty() ||
         std::ranges::contains(options.strategies, info(Strategy::unsafe).name);
}

int run(const Options& options) {
  // Before the device is asked what it offers: the answer depends on it.
  std::optional<ScopedModuleParameter> allow_unsafe;
  if (wants_unsafe(options) && !Device::nodes().empty()) allow_unsafe.emplace("allow_unsafe", "1");

  if (options.list) {
    const bool any = !Device::nodes().empty();
    list(any ? std::optional(Device::open(options.gpu)) : std::nullopt);
    return 0;
  }
  const Plan plan = make_plan(options, Device::open(options.gpu));
  const std::size_t rows = plan.strategies.size() * plan.scenarios.size();
  const auto safe_rows = plan.scenarios.size() * static_cast<std::size_t>(std::ranges::count_if(
                                                     plan.strategies, &StressStrategy::safe));

  bool good = true;
  std::vector<RowResult> results;
  std::println("{}", table_heading());
  std::fflush(stdout);
  for (const StressStrategy& strategy : plan.strategies) {
    for (const Scenario* scenario : plan.scenarios) {
      const RowConfig config{
          .strategy = strategy,
          .scenario = *scenario,
          .gpu = options.gpu,
          .processes = options.processes,
          .queues = options.queues,
          .in_flight = options.in_flight,
          .job_time = std::chrono::microseconds(options.job_us),
          .bytes = options.bytes / kPageBytes * kPageBytes,
          .time = std::chrono::milliseconds(
              static_cast<std::int64_t>(options.seconds * 1000 / static_cast<double>(rows))),
          .min_forks = strategy.safe
                           ? std::max<std::uint64_t>(1, (options.forks + safe_rows - 1) / safe_rows)
                           : 1,
          .seed = options.seed};
      std::println(stderr, "[{}/{}] {} {}: {:.1f} s with {} processes", results.size() + 1, rows,
                   strategy.name, scenario->name, options.seconds / static_cast<double>(rows),
                   options.processes);
      results.push_back(run_row(config));
      std::println("{}", table_line(results.back()));
      std::fflush(stdout);
      for (const auto& complaint : complaints(results.back())) {
        std::println(stderr, "figment-stress: {} {}: {}", strategy.name, scenario->name, complaint);
        good = false;
      }
    }
  }
  if (!options.json.empty()) write_file(options.json, to_json(results, kernel_release()));
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Forks processes while a Figment GPU writes to their memory, and checks every word.");
  Options options;
  declare(app, options);
  EventOptions event_options;
  CLI::App* events = app.add_subcommand(
      "events", "Does everything else that Linux does to memory while a Figment GPU uses it.");
  declare(*events, event_options);
  GrowthOptions growth_options;
  CLI::App* growth =
      app.add_subcommand("growth", "Measures what fork() costs, and how that grows.");
  declare(*growth, growth_options);
  CompareOptions compare_options;
  CLI::App* compare = app.add_subcommand(
      "compare", "Compares a GPU with what else works on pages of a process that forks.");
  declare(*compare, compare_options);
  ChainOptions chain_options;
  CLI::App* chain = app.add_subcommand(
      "chain", "Has several Figment GPUs wait for each other while their process forks.");
  declare(*chain, chain_options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    if (*growth) return run(growth_options);
    if (*compare) return run(compare_options);
    if (*chain) return run(chain_options);
    return *events ? run(event_options) : run(options);
  } catch (const std::exception& error) {
    std::println(stderr, "figment-stress: {}", error.what());
    return 1;
  }
}
