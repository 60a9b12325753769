// SPDX-License-Identifier: MIT
//
// What a file of the driver in debugfs counts: lines of a name and a number.
#pragma once

#include <cstdint>
#include <format>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "guest.h"

namespace figment::guest {

inline std::string debugfs(const Device& device, std::string_view file) {
  return std::format("/sys/kernel/debug/dri/{}/{}", device.node().bus, file);
}

class DebugfsCounts {
 public:
  DebugfsCounts(const Device& device, std::string_view name) {
    std::ifstream file(debugfs(device, name));
    if (!file) fail(ENOENT, std::format("open debugfs {}", name));
    std::string key;
    for (std::uint64_t value = 0; file >> key >> value;) values_[key] = value;
  }
  /// std::out_of_range: the driver does not count it.
  std::uint64_t operator[](const std::string& name) const { return values_.at(name); }

 private:
  std::map<std::string, std::uint64_t> values_;
};

}  // namespace figment::guest
