// SPDX-License-Identifier: MIT
//
// One row of figment-stress chain: several GPUs, one VM of each bound to the same memory of this
// process, which forks. docs/chains.md explains what is measured, and why so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chain_plan.h"

namespace figment::stress {

/// One fork(). Microseconds; of the jobs by the clock of the devices, of notifiers by that of the
/// kernel.
struct ChainFork {
  double fork_us = 0;
  double notifier_us = 0;  // of all devices: from the first call to the last end
  double device_us = 0;    // of one device, the slowest: in its passes, and not between them
  double waited_us = 0;    // asleep, in all of them
  unsigned devices = 0;    // whose notifier was called
  // Of busy GPUs:
  double chain_us = 0;  // a chain: from the begin of its first job to the end of its last
  double jobs_us = 0;  // the jobs alone: of a chain all; else what all GPUs have in flight, usually
  double slowest_us = 0;  // a chain: the longest job; else what one GPU has in flight at most
};

struct ChainResult {
  ChainConfig config;
  unsigned attempts = 1;  // how often it was measured until its times were as they must be
  std::vector<ChainFork> idle;
  std::vector<ChainFork> busy;
  std::uint64_t jobs = 0;
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;
  std::uint64_t early_forks = 0;  // that returned before jobs had ended that they had to wait for
  std::uint64_t busy_calls = 0;   // under pressure: notifiers while jobs were in flight
  std::uint64_t scanned = 0;      // pages that kswapd has looked at meanwhile
  std::uint64_t kernel_reports = 0;
  int hang_error = 0;              // errno of the job that hung
  std::vector<std::string> story;  // of one fork with busy GPUs: who waited for whom
  std::vector<std::string> failures;
  std::string first_corruption;
  std::string skipped;  // for this reason; empty: it was not

  /// Worst and longest over all rounds, in microseconds; 0: nothing was measured.
  [[nodiscard]] double worst_notifier_us() const;
  [[nodiscard]] double idle_notifier_us() const;
  [[nodiscard]] double longest_chain_us() const;
  [[nodiscard]] double slowest_us() const;
  /// What worst_notifier_us() is compared with. 0: nothing is asked of it.
  [[nodiscard]] double limit_us() const;
  /// Medians over all rounds.
  [[nodiscard]] double median_notifier_us() const;
  [[nodiscard]] double median_jobs_us() const;
};

/// Runs it. What goes wrong is in the result. Needs root. If nothing but a time is wrong it is
/// measured again, from the start: what else happens on the machine only ever adds to a time, while
/// a notifier that waits for too much does so each time.
[[nodiscard]] ChainResult run_chain_row(const ChainConfig& config);

/// Why this row fails the run; empty when it does not.
[[nodiscard]] std::vector<std::string> complaints(const ChainResult& row);

}  // namespace figment::stress
