// SPDX-License-Identifier: MIT
//
// One row of the table: a strategy under a scenario, by a number of processes at
// the same time, first with the GPU idle, then busy.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "figment/types.h"
#include "scenario.h"
#include "stamper.h"
#include "statistics.h"
#include "stress_strategy.h"

namespace figment::stress {

struct RowConfig {
  StressStrategy strategy = kStressStrategies.front();
  const Scenario& scenario;
  unsigned gpu = 0;
  unsigned processes = 2;
  unsigned queues = 2;                      // of each process
  unsigned in_flight = Stamper::kInFlight;  // jobs of each queue
  std::chrono::microseconds job_time{1000};
  std::uint64_t bytes = 1_MiB;  // of each process
  std::chrono::milliseconds time{2000};
  std::uint64_t min_forks = 1;  // of all processes
  std::uint64_t seed = 1;
};

struct RowResult {
  StressStrategy strategy = kStressStrategies.front();
  std::string scenario;
  std::uint64_t forks = 0;
  Summary fork_us;
  Summary baseline_fork_us;
  std::uint64_t jobs = 0;
  std::uint64_t vram_pages = 0;  // in VRAM at forks under a busy GPU, all forks together
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;
  std::uint64_t kernel_reports = 0;
  std::string first_corruption;       // in words; empty: there was none
  std::vector<std::string> failures;  // of the run itself, and what the kernel reported
};

/// Runs it. What goes wrong in the processes is in the result; std::system_error when
/// the run cannot even be begun. Needs root, for the kernel log.
[[nodiscard]] RowResult run_row(const RowConfig& config);

/// Why this row fails the run; empty when it does not. A safe strategy must not
/// corrupt a word, an unsafe one must; nobody may fail, or find nothing to do.
[[nodiscard]] std::vector<std::string> complaints(const RowResult& row);

}  // namespace figment::stress
