// SPDX-License-Identifier: MIT
//
// figment-stress growth: what fork() costs, and how that grows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace figment::stress {

struct GrowthOptions {
  std::vector<std::string> axes;
  std::vector<std::string> strategies;
  std::uint64_t forks = 0;  // in each state; 0: as the axis wants it
  double seconds = 10;      // for the forks of one state of a row
  bool quick = false;
  std::uint64_t seed = 1;
  unsigned gpu = 0;
  std::string json;
};

void declare(CLI::App& command, GrowthOptions& options);
/// Exit status: 0 every row was as it must be, 1 some row was not.
[[nodiscard]] int run(const GrowthOptions& options);

}  // namespace figment::stress
