// SPDX-License-Identifier: MIT
//
// The strategies of the fork stress, as a table: those of the driver, and what a process can do
// by itself. Options and results have the names of this table.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "figment/strategy.h"

namespace figment::stress {

struct StressStrategy {
  std::string_view name;
  Strategy vm;    // what the driver does
  bool dontfork;  // children do not get the range: MADV_DONTFORK
  bool safe;      // data stays right; otherwise it must not
  std::string_view what;
  bool svm = false;   // nothing is bound: the VM mirrors the process
  bool vram = false;  // svm, and the range prefers VRAM, where it is brought before each event

  /// The device keeps to what the process has mapped, since it has notifiers; otherwise to the
  /// pages that it was given.
  [[nodiscard]] constexpr bool follows() const {
    return vm != Strategy::pin && vm != Strategy::unsafe;
  }
};

constexpr StressStrategy of_driver(Strategy strategy) {
  const StrategyInfo& one = info(strategy);
  return {.name = one.name, .vm = strategy, .dontfork = false, .safe = one.safe, .what = one.what};
}

inline constexpr std::array kStressStrategies = {
    of_driver(Strategy::fence),
    of_driver(Strategy::preempt),
    of_driver(Strategy::fault),
    StressStrategy{"svm", Strategy::fault, false, true,
                   "fault, and nothing is bound: shared virtual memory", true},
    StressStrategy{"svm-vram", Strategy::fault, false, true,
                   "svm, and the memory is in VRAM when something happens to it", true, true},
    of_driver(Strategy::pin),
    // With pinned pages: who uses this has nothing that follows the process.
    StressStrategy{"dontfork", Strategy::pin, true, true,
                   "pin, and children do not get the memory"},
    of_driver(Strategy::unsafe),
};
static_assert(kStressStrategies.size() == kStrategies.size() + 3, "each of the driver is here");

/// Null: there is none.
constexpr const StressStrategy* stress_strategy_named(std::string_view name) {
  const auto* found = std::ranges::find(kStressStrategies, name, &StressStrategy::name);
  return found == kStressStrategies.end() ? nullptr : found;
}

}  // namespace figment::stress
