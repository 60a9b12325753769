// SPDX-License-Identifier: MIT
// The seed corpus: named scenarios, each a short input that leads somewhere. The
// fuzzer makes more of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace figment::fuzz {

struct Seed {
  std::string name;
  std::vector<uint8_t> bytes;
};

std::vector<Seed> seeds();

}  // namespace figment::fuzz
