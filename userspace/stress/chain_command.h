// SPDX-License-Identifier: MIT
//
// figment-stress chain: fences between GPUs, while their process forks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace figment::stress {

struct ChainOptions {
  std::vector<unsigned> gpus;
  std::vector<std::string> rows;
  std::uint64_t rounds = 0;
  unsigned job_us = 0;
  bool quick = false;
  bool hang = false;
  unsigned hanging_gpu = 0;
  bool story = false;
  std::uint64_t seed = 1;
  std::string json;
};

void declare(CLI::App& command, ChainOptions& options);
/// Exit status: 0 every row was as it must be, 1 some row was not.
[[nodiscard]] int run(const ChainOptions& options);

}  // namespace figment::stress
