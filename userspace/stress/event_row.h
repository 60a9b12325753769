// SPDX-License-Identifier: MIT
//
// One row of the torture table: an event, under a strategy, to pages of a kind, in a process of its
// own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "event.h"
#include "notifier_sites.h"
#include "page_kind.h"
#include "statistics.h"
#include "stress_strategy.h"

namespace figment::stress {

struct EventRowConfig {
  StressStrategy strategy = kStressStrategies.front();
  const Event& event;
  const PageKind& pages;
  unsigned gpu = 0;
  std::uint64_t rounds = 20;  // with a busy GPU
  std::uint64_t baseline = 4;
  std::uint64_t seed = 1;
  NotifierWatch* watch = nullptr;  // null: nobody looks what reaches the notifiers
};

struct EventRowResult {
  StressStrategy strategy = kStressStrategies.front();
  const Event* event = nullptr;
  const PageKind* pages = nullptr;
  std::uint64_t rounds = 0;
  Summary event_us;  // of the system call that is the event
  Summary baseline_us;
  std::uint64_t jobs = 0;
  std::uint64_t vram_pages = 0;  // of the range in VRAM when an event began, all rounds together
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;
  std::uint64_t kernel_reports = 0;
  int refused = 0;      // with this errno was the memory refused
  std::string skipped;  // for this reason; empty: it was not
  std::string first_corruption;
  std::optional<Coverage> reached;  // nothing: nobody has looked
  double seconds = 0;               // of all of it
  std::vector<std::string> failures;
};

/// Runs it. What goes wrong in the process is in the result. Needs root.
[[nodiscard]] EventRowResult run_event_row(const EventRowConfig& config);

/// Why this row fails the run; empty when it does not.
[[nodiscard]] std::vector<std::string> complaints(const EventRowResult& row);

}  // namespace figment::stress
