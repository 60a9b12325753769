// SPDX-License-Identifier: MIT
#include "growth_command.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <format>
#include <optional>
#include <print>

#include "figment/device.h"
#include "growth_report.h"
#include "growth_row.h"
#include "module_parameter.h"
#include "report.h"

namespace figment::stress {
namespace {

/// In each state. A median of the distribution is worth something from some forks on.
constexpr std::uint64_t kForks = 8;
constexpr std::uint64_t kQuickForks = 4;
constexpr std::uint64_t kDistributionForks = 40;
constexpr std::uint64_t kQuickDistributionForks = 12;

template <typename List>
bool wanted(const List& asked, std::string_view name) {
  return asked.empty() || std::ranges::contains(asked, name);
}

std::vector<std::string> axis_names() {
  std::vector<std::string> names;
  for (const GrowthAxis& axis : growth_axes()) names.emplace_back(axis.name);
  return names;
}

std::vector<std::string> strategy_names() {
  const auto names = growth_strategy_names();
  return {names.begin(), names.end()};
}

std::uint64_t forks_of(const GrowthAxis& axis, const GrowthOptions& options) {
  if (options.forks) return options.forks;
  const bool distribution = &axis == &growth_axes().front();
  if (options.quick) return distribution ? kQuickDistributionForks : kQuickForks;
  return distribution ? kDistributionForks : kForks;
}

std::vector<GrowthConfig> make_plan(const GrowthOptions& options) {
  std::vector<GrowthConfig> rows;
  for (const GrowthAxis& axis : growth_axes()) {
    if (!wanted(options.axes, axis.name)) continue;
    for (const GrowthPoint& point : options.quick ? axis.quick : axis.points) {
      for (const StressStrategy& strategy : growth_strategies(axis)) {
        if (!wanted(options.strategies, strategy.name)) continue;
        const std::uint64_t forks = forks_of(axis, options);
        const bool distribution = &axis == &growth_axes().front();
        rows.push_back(
            {.axis = axis.name,
             .strategy = strategy,
             .point = point,
             .gpu = options.gpu,
             .forks = forks,
             .min_forks = distribution ? forks : std::min<std::uint64_t>(forks, 3),
             .time = std::chrono::milliseconds(static_cast<std::int64_t>(options.seconds * 1000)),
             .seed = options.seed});
      }
    }
  }
  return rows;
}

std::string describe(const GrowthConfig& config) {
  return std::format("{} {}: {} x {} x {} KiB", config.axis, config.strategy.name,
                     config.point.processes, config.point.ranges, config.point.bytes >> 10);
}

}  // namespace

void declare(CLI::App& command, GrowthOptions& options) {
  command.add_option("--axis", options.axes, "What grows; default: everything, one by one")
      ->delimiter(',')
      ->check(CLI::IsMember(axis_names()));
  command.add_option("--strategy", options.strategies, "Strategies; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(strategy_names()));
  command
      .add_option("--forks", options.forks,
                  std::format("Forks in each state; default: {}, of the distribution {}", kForks,
                              kDistributionForks))
      ->check(CLI::Range(1u, 100'000u));
  command
      .add_option("--seconds", options.seconds,
                  "For the forks of one state of a row: no more of them after that, but three; the "
                  "distribution has all")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 1e6));
  command.add_flag("--quick", options.quick, "Few points, and few forks");
  command.add_option("--seed", options.seed, "Seed of page orders")->capture_default_str();
  command.add_option("--gpu", options.gpu, "Which Figment GPU, from 0")->capture_default_str();
  command.add_option("--json", options.json, "File that gets the results as JSON; - is stdout")
      ->type_name("FILE");
}

int run(const GrowthOptions& options) {
  std::optional<ScopedModuleParameter> allow_unsafe;
  const bool control = wanted(options.strategies, info(Strategy::unsafe).name);
  if (control && !Device::nodes().empty()) allow_unsafe.emplace("allow_unsafe", "1");
  const auto plan = make_plan(options);
  std::vector<GrowthResult> results;
  bool good = !plan.empty();
  std::println("{}", growth_heading());
  std::fflush(stdout);
  for (const GrowthConfig& config : plan) {
    std::println(stderr, "[{}/{}] {}", results.size() + 1, plan.size(), describe(config));
    const auto& row = results.emplace_back(run_growth_row(config));
    std::println("{}", growth_line(row));
    std::fflush(stdout);
    for (const auto& complaint : complaints(row)) {
      std::println(stderr, "figment-stress: {}: {}", describe(config), complaint);
      good = false;
    }
    // After each row: a guest that dies later has told this much.
    if (!options.json.empty() && options.json != "-") {
      write_file(options.json, to_json(results, plan.size(), kernel_release()));
    }
  }
  if (options.json == "-") write_file("-", to_json(results, plan.size(), kernel_release()));
  return good ? 0 : 1;
}

}  // namespace figment::stress
