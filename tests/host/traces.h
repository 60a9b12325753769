// SPDX-License-Identifier: MIT
//
// Traces that tests read, and what every timeline has to keep to.
#ifndef FIGMENT_TESTS_TRACES_H
#define FIGMENT_TESTS_TRACES_H

#include <cmath>
#include <format>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace figment::host {

// Slices that end after the one around them, or come before the slice that they follow in the file.
// Empty when all is well: then every viewer draws the same.
inline std::vector<std::string> badly_nested(const nlohmann::json& timeline) {
  using Ns = std::int64_t;
  const auto ns = [](const nlohmann::json& micros) {
    return static_cast<Ns>(std::llround(micros.get<double>() * 1000));
  };
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Ns>> open;  // their ends
  std::map<std::pair<std::int64_t, std::int64_t>, Ns> last;
  std::vector<std::string> bad;
  for (const nlohmann::json& event : timeline["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const std::pair track{event["pid"].get<std::int64_t>(), event["tid"].get<std::int64_t>()};
    const Ns begin = ns(event["ts"]), end = begin + ns(event["dur"]);
    auto& around = open[track];
    while (!around.empty() && around.back() <= begin) around.pop_back();
    if (begin < last[track] || (!around.empty() && end > around.back()))
      bad.push_back(event.dump());
    last[track] = begin;
    around.push_back(end);
  }
  return bad;
}

}  // namespace figment::host

#endif
