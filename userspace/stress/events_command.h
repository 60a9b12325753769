// SPDX-License-Identifier: MIT
//
// figment-stress events: the torture table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace figment::stress {

struct EventOptions {
  std::vector<std::string> events;
  std::vector<std::string> pages;
  std::vector<std::string> strategies;
  std::uint64_t rounds = 0;  // 0: as the event wants it
  bool quick = false;
  std::uint64_t seed = 1;
  unsigned gpu = 0;
  std::string json;
  bool list = false;
};

void declare(CLI::App& command, EventOptions& options);
/// Exit status: 0 every row was as it must be, 1 some row was not.
[[nodiscard]] int run(const EventOptions& options);

}  // namespace figment::stress
