// SPDX-License-Identifier: MIT
#include "kernel_config.h"

#include <algorithm>

#include "process.h"

namespace figment::host {

namespace {

constexpr std::string_view kOption = "CONFIG_";
constexpr std::string_view kUnset = " is not set";

std::string as_line(std::string_view name, std::string_view value) {
  return std::string{name} + "=" + std::string{value};
}

}  // namespace

KernelConfig parse_kernel_config(std::string_view text) {
  KernelConfig config;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with(kOption)) {
      const std::size_t equals = line.find('=');
      if (equals == line.npos || equals + 1 == line.size()) {
        throw Failure("kernel configuration: '" + std::string{line} + "' has no value");
      }
      config.insert_or_assign(std::string{line.substr(0, equals)},
                              std::string{line.substr(equals + 1)});
    } else if (line.starts_with("# CONFIG_") && line.ends_with(kUnset)) {
      line.remove_prefix(2);
      line.remove_suffix(kUnset.size());
      config.insert_or_assign(std::string{line}, "n");
    } else if (!line.empty() && !line.starts_with('#')) {
      throw Failure("kernel configuration: '" + std::string{line} +
                    "' is neither an option nor a comment");
    }
  }
  return config;
}

std::vector<std::string> config_differences(const KernelConfig& asked, const KernelConfig& final) {
  std::vector<std::string> differences;
  for (const auto& [name, value] : asked) {
    const auto found = final.find(name);
    const std::string is = found == final.end() ? "n" : found->second;
    if (is == value) continue;
    differences.push_back(as_line(name, value) + ", but it is " + (is == "n" ? "not set" : is));
  }
  return differences;
}

}  // namespace figment::host
