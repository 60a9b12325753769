// SPDX-License-Identifier: MIT
#include "compare_command.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <format>
#include <optional>
#include <print>
#include <stdexcept>

#include "compare_report.h"
#include "compare_row.h"
#include "figment/device.h"
#include "module_parameter.h"
#include "report.h"
#include "slow_disk.h"

namespace figment::stress {
namespace {

/// Six orders of writing in a tree: each comes up as often as the others.
constexpr std::uint64_t kDirectRounds = 50;
constexpr std::uint64_t kTreeRounds = 24;
constexpr std::uint64_t kQuickDirectRounds = 4;
constexpr std::uint64_t kQuickTreeRounds = 6;

constexpr auto kPageNames = {"4k", "thp"};
constexpr auto kWriteEvery = std::chrono::seconds(10);

template <typename List>
bool wanted(const List& asked, std::string_view name) {
  return asked.empty() || std::ranges::contains(asked, name);
}

/// `gpu` for those whose names are strategies.
std::string_view kind_name(const CompareUser& user) {
  return user.is_gpu() ? "gpu" : user.name();
}

std::vector<std::string> user_names() {
  std::vector<std::string> names;
  for (const CompareUser& user : users_of(Comparison::tree)) {
    const std::string name(kind_name(user));
    if (!std::ranges::contains(names, name)) names.push_back(name);
  }
  return names;
}

/// Also that which has no rows here: who compares takes the same options as who does not.
std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const auto& strategy : kStressStrategies) names.emplace_back(strategy.name);
  return names;
}

std::vector<const PageKind*> kinds_for(const CompareOptions& options) {
  std::vector<const PageKind*> kinds;
  for (const char* name : kPageNames) {
    if (options.quick && options.pages.empty() && !kinds.empty()) break;
    if (wanted(options.pages, name)) kinds.push_back(page_kind_named(name));
  }
  return kinds;
}

std::uint64_t rounds_of(Comparison comparison, const CompareOptions& options) {
  if (options.rounds) return options.rounds;
  const bool direct = comparison == Comparison::direct;
  if (options.quick) return direct ? kQuickDirectRounds : kQuickTreeRounds;
  return direct ? kDirectRounds : kTreeRounds;
}

/// Of users that are no GPU nobody has to be asked. --strategy says nothing about them: they are
/// what strategies are compared with.
bool is_planned(const CompareUser& user, const CompareOptions& options, const Device& device) {
  if (!wanted(options.users, kind_name(user))) return false;
  if (!user.is_gpu()) return true;
  if (!wanted(options.strategies, user.strategy.name)) return false;
  if (device.offers(user.strategy.vm)) return true;
  if (options.strategies.empty() && user.strategy.safe) return false;
  throw std::runtime_error(
      std::format("{} does not offer the strategy {}", device.node().path, user.strategy.name));
}

std::vector<CompareRowConfig> make_plan(const CompareOptions& options, const Device& device,
                                        SlowDisk* disk) {
  std::vector<CompareRowConfig> rows;
  for (const Comparison comparison : {Comparison::direct, Comparison::tree}) {
    if (!wanted(options.comparisons, name_of(comparison))) continue;
    for (CompareRowConfig row : rows_of(comparison, kinds_for(options))) {
      if (!is_planned(row.user, options, device)) continue;
      row.gpu = options.gpu;
      row.rounds = rounds_of(comparison, options);
      row.seed = options.seed;
      row.disk = disk;
      rows.push_back(row);
    }
  }
  return rows;
}

void list() {
  for (const Comparison comparison : {Comparison::direct, Comparison::tree}) {
    std::println("users of {}:", name_of(comparison));
    for (const CompareUser& user : users_of(comparison)) {
      std::println("  {:<11} {:<6} {}", user.name(), user.read_only() ? "reads" : "writes",
                   user.what);
    }
  }
  std::println("bindings of tree:");
  for (const Binding& binding : bindings()) std::println("  {:<11} {}", binding.name, binding.what);
}

}  // namespace

void declare(CLI::App& command, CompareOptions& options) {
  command.add_option("--comparison", options.comparisons, "Which comparison; default: both")
      ->delimiter(',')
      ->check(CLI::IsMember({"direct", "tree"}));
  command.add_option("--user", options.users, "Users of pages; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(user_names()));
  command.add_option("--pages", options.pages, "Kinds of pages; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(kPageNames.begin(), kPageNames.end())));
  command.add_option("--strategy", options.strategies, "Strategies of GPUs; default: all on offer")
      ->delimiter(',')
      ->check(CLI::IsMember(strategy_names()));
  command
      .add_option(
          "--rounds", options.rounds,
          std::format("Rounds of each row; default: {}, of a tree {}", kDirectRounds, kTreeRounds))
      ->check(CLI::Range(1u, 1'000'000u));
  command.add_flag("--quick", options.quick, "Few rounds, and pages of 4 KiB only");
  command.add_option("--seed", options.seed, "In which order processes write first")
      ->capture_default_str();
  command.add_option("--gpu", options.gpu, "Which Figment GPU, from 0")->capture_default_str();
  command.add_option("--json", options.json, "File that gets the results as JSON; - is stdout")
      ->type_name("FILE");
  command.add_flag("--list", options.list, "Tell users and bindings, and stop");
}

int run(const CompareOptions& options) {
  if (options.list) {
    list();
    return 0;
  }
  // Before the device is asked what it offers: the answer depends on it.
  std::optional<ScopedModuleParameter> allow_unsafe;
  const bool control = wanted(options.strategies, info(Strategy::unsafe).name);
  if (control && !Device::nodes().empty()) allow_unsafe.emplace("allow_unsafe", "1");
  SlowDisk disk;
  const auto plan = make_plan(options, Device::open(options.gpu), &disk);

  std::vector<CompareResult> results;
  std::size_t wrong = 0;
  std::size_t skipped = 0;
  Deadline next_write = after(kWriteEvery);
  double seconds = 0;
  std::println("{}", compare_heading());
  std::fflush(stdout);
  for (const CompareRowConfig& config : plan) {
    std::println(stderr, "[{}/{}] {}", results.size() + 1, plan.size(), describe(config));
    const auto& row = results.emplace_back(run_compare_row(config));
    std::println("{}", compare_line(row));
    std::fflush(stdout);
    const auto found = complaints(row);
    wrong += !found.empty();
    skipped += !row.skipped.empty();
    seconds += row.seconds;
    for (const auto& complaint : found) {
      std::println(stderr, "figment-stress: {}: {}", describe(config), complaint);
    }
    // A guest that dies later has told this much.
    if (!options.json.empty() && options.json != "-" && Clock::now() > next_write) {
      write_file(options.json, to_json(results, plan.size(), kernel_release()));
      next_write = after(kWriteEvery);
    }
  }
  std::print("{}", compare_summary(results));
  std::println("{} rows: {} wrong, {} skipped; {:.0f} s", results.size(), wrong, skipped, seconds);
  if (!options.json.empty()) {
    write_file(options.json, to_json(results, plan.size(), kernel_release()));
  }
  return wrong || results.empty() ? 1 : 0;
}

}  // namespace figment::stress
