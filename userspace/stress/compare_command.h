// SPDX-License-Identifier: MIT
//
// figment-stress compare: a GPU beside what else works on pages of a process that forks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace figment::stress {

struct CompareOptions {
  std::vector<std::string> comparisons;
  std::vector<std::string> users;
  std::vector<std::string> pages;
  std::vector<std::string> strategies;
  std::uint64_t rounds = 0;  // 0: as the comparison wants it
  bool quick = false;
  std::uint64_t seed = 1;
  unsigned gpu = 0;
  std::string json;
  bool list = false;
};

void declare(CLI::App& command, CompareOptions& options);
/// Exit status: 0 every row was as it must be, 1 some row was not.
[[nodiscard]] int run(const CompareOptions& options);

}  // namespace figment::stress
