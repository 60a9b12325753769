// SPDX-License-Identifier: MIT
#include "chain_command.h"

#include <CLI/CLI.hpp>

#include <format>
#include <print>

#include "chain_report.h"
#include "chain_row.h"
#include "figment/device.h"
#include "report.h"
#include "shared.h"

namespace figment::stress {
namespace {

std::vector<std::string> row_names() {
  std::vector<std::string> names;
  for (const auto& one : kChainKinds) {
    if (one.kind != ChainKind::hang) names.emplace_back(one.name);
  }
  return names;
}

ChainRequest request_of(const ChainOptions& options) {
  ChainRequest request{.gpus = options.gpus,
                       .rounds = options.rounds,
                       .job = std::chrono::microseconds(options.job_us),
                       .quick = options.quick,
                       .seed = options.seed,
                       .hang = options.hanging_gpu};
  for (const auto& name : options.rows) request.kinds.push_back(*chain_kind_named(name));
  if (options.hang) request.kinds.push_back(ChainKind::hang);
  return request;
}

std::string describe(const ChainConfig& config) {
  return std::format("{}, {} GPUs", info(config.kind).name, config.gpus);
}

}  // namespace

void declare(CLI::App& command, ChainOptions& options) {
  command
      .add_option("--gpus", options.gpus,
                  "Numbers of GPUs, e.g. 2,4; default: 2, 4 and 8, as far as there are")
      ->delimiter(',')
      ->check(CLI::Range(2u, kMaxQueues));
  command.add_option("--row", options.rows, "Rows to run; default: all that do not hang")
      ->delimiter(',')
      ->check(CLI::IsMember(row_names()));
  command
      .add_option("--rounds", options.rounds,
                  "In each row: a fork with idle GPUs, and one with busy ones")
      ->check(CLI::Range(1u, 100'000u));
  command.add_option("--job-us", options.job_us, "About the time of a job, in us of the GPU")
      ->check(CLI::Range(100u, 200'000u));
  command.add_flag("--quick", options.quick, "Few rounds, and short jobs");
  CLI::Option* hang =
      command.add_flag("--hang", options.hang,
                       "One GPU hangs in the middle of fork(); this row only, without --row");
  command.add_option("--hanging-gpu", options.hanging_gpu, "Which, from 0")
      ->capture_default_str()
      ->needs(hang);
  command.add_flag("--story", options.story, "Tell who waited for whom in each row that knows");
  command.add_option("--seed", options.seed, "Seed of page orders")->capture_default_str();
  command.add_option("--json", options.json, "File that gets the results as JSON; - is stdout")
      ->type_name("FILE");
}

int run(const ChainOptions& options) {
  const auto plan = chain_plan(request_of(options), static_cast<unsigned>(Device::nodes().size()));
  std::vector<ChainResult> results;
  bool good = !plan.empty();
  bool told = false;
  std::println("{}", chain_heading());
  std::fflush(stdout);
  for (const ChainConfig& config : plan) {
    std::println(stderr, "[{}/{}] {}", results.size() + 1, plan.size(), describe(config));
    const auto& row = results.emplace_back(run_chain_row(config));
    std::println("{}", chain_line(row));
    if (!row.story.empty() && (options.story || !told)) {
      told = true;
      for (const auto& line : row.story) std::println("    {}", line);
      if (config.kind == ChainKind::hang) {
        std::println("    the job of gpu{} was ended by the driver: {}", config.hang,
                     row.hang_error ? std::strerror(row.hang_error) : "it was not");
      }
    }
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
