// SPDX-License-Identifier: MIT
//
// One process of a row: it owns a Vm with queues that stamp its range, and forks in
// a loop. Its children watch and write their copies of the range.
//
// One fork is: note which jobs have ended; fork(), and take its time; write marks,
// as the scenario says; wait until every page has been stamped by jobs that were
// submitted since; check all words; wait for the child; check the marks again. With
// the GPU idle it is the same without the stamps: that is the baseline.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <random>

#include "figment/device.h"
#include "scenario.h"
#include "shared.h"
#include "stamper.h"
#include "stress_strategy.h"
#include "view.h"

namespace figment::stress {

struct WorkerConfig {
  StressStrategy strategy = kStressStrategies.front();
  const Scenario& scenario;
  unsigned number = 0;  // of the processes of the row
  unsigned gpu = 0;
  unsigned queues = 2;
  unsigned in_flight = Stamper::kInFlight;
  std::chrono::microseconds job_time{1000};
  std::uint64_t bytes = 1_MiB;
  std::uint64_t seed = 1;
  std::uint64_t min_baseline_forks = 5;
  std::uint64_t min_forks = 1;
};

class Worker {
 public:
  /// Opens the device and sets everything up, up to idle queues.
  Worker(const WorkerConfig& config, WorkerShared& shared);

  /// Forks with the GPU idle, or busy, until the deadline, and at least as often as the
  /// configuration says. False: it has failed, and shared.failure says why.
  [[nodiscard]] bool baseline(Deadline end);
  [[nodiscard]] bool stress(Deadline end);
  /// Checks every word once more, with idle queues, and the end of every job.
  void finish();

 private:
  enum class Gpu { idle, busy };

  [[nodiscard]] bool fork_once(Gpu gpu);
  [[nodiscard]] bool parent_life(Gpu gpu);
  [[noreturn]] void become_child(std::uint32_t generation, Gpu gpu);
  [[nodiscard]] bool child_life(std::uint32_t generation, Gpu gpu);
  [[nodiscard]] bool every_page_stamped(Gpu gpu);

  WorkerConfig config_;
  WorkerShared& shared_;
  std::mt19937_64 random_;
  std::chrono::microseconds early_{0};  // how long the next child of exit-early stays
  Device device_;
  Vm vm_;
  Mapping range_;
  std::optional<Userptr> userptr_;  // nothing: shared virtual memory
  Stamper stamper_;
  View view_;
};

}  // namespace figment::stress
