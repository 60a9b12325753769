// SPDX-License-Identifier: MIT
//
// The scenarios of the fork stress, as a table: who writes to the shared pages
// after fork(), how many generations of processes there are, and how long the
// child stays.
#pragma once

#include <array>
#include <string_view>

namespace figment::stress {

struct Scenario {
  std::string_view name;
  bool parent_writes;
  bool child_writes;
  unsigned generations;  // of children: 1, or 2 when the child forks as well
  bool exits_early;      // the child leaves at once, while the parent is still writing
  std::string_view what;
};

inline constexpr std::array kScenarios = {
    Scenario{"child-writes", false, true, 1, false, "the child writes first, the parent does not"},
    Scenario{"parent-writes", true, false, 1, false, "the parent writes first, the child reads"},
    Scenario{"both", true, true, 1, false, "parent and child write at the same time"},
    Scenario{"tree", true, true, 2, false, "A forks B, B forks C, and each writes"},
    Scenario{"exit-early", true, false, 1, true, "the child leaves while the parent writes"},
};

constexpr const Scenario* scenario_named(std::string_view name) {
  for (const auto& scenario : kScenarios) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

}  // namespace figment::stress
