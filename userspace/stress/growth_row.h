// SPDX-License-Identifier: MIT
//
// One row of the growth measurement: a point of an axis under a strategy. All processes of the
// point are there, and their queues work at the same time; one after the other forks, so that what
// is measured is not how processes share two processors.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "growth_plan.h"

namespace figment::stress {

struct GrowthConfig {
  std::string_view axis;
  StressStrategy strategy = kStressStrategies.front();
  GrowthPoint point;
  unsigned gpu = 0;
  std::uint64_t forks = 8;      // in each state
  std::uint64_t min_forks = 3;  // even when that takes longer than
  std::chrono::milliseconds time{10'000};
  std::uint64_t traced_forks = 3;
  std::uint64_t seed = 1;
};

/// Of notifiers, fork by fork.
struct NotifierSeries {
  std::vector<double> count;
  std::vector<double> total_us;
  std::vector<double> waited_us;
};

/// All times in microseconds, in the order in which they were measured.
struct GrowthResult {
  std::string axis;
  StressStrategy strategy = kStressStrategies.front();
  GrowthPoint point;
  std::vector<double> none_us;  // fork() before the device is opened
  std::vector<double> idle_us;  // with idle queues
  std::vector<double> busy_us;  // while they write
  std::vector<double> bind_us;  // of all ranges of a process
  std::vector<double> first_job_us;
  std::vector<double> rewrite_us;
  bool traced = false;
  NotifierSeries idle_notifiers;
  NotifierSeries busy_notifiers;
  std::uint64_t jobs = 0;
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;
  std::uint64_t kernel_reports = 0;
  std::string skipped;  // for this reason; empty: it was not
  std::string first_corruption;
  std::vector<std::string> failures;
};

/// Runs it. What goes wrong in the processes is in the result. Needs root.
[[nodiscard]] GrowthResult run_growth_row(const GrowthConfig& config);

/// Why this row fails the run; empty when it does not. Nothing is asked of times.
[[nodiscard]] std::vector<std::string> complaints(const GrowthResult& row);

}  // namespace figment::stress
