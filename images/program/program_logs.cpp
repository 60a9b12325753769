// SPDX-License-Identifier: MIT
#include "program_logs.h"

#include <algorithm>
#include <format>
#include <map>

#include "text_lines.h"

namespace figment::host {

namespace {

constexpr int kNotImplemented = 4;  // exit status of stress-ng

// What drmdevice prints of one device: "+-> KEY VALUE" lines, with a frame before them.
struct Device {
  std::map<std::string, std::string, std::less<>> values;
  std::vector<std::string> nodes;

  std::string address() const {
    const auto value = [this](const char* key) {
      const auto found = values.find(key);
      return found == values.end() ? std::string("?") : found->second;
    };
    return std::format("{}:{}:{}.{}", value("domain"), value("bus"), value("dev"), value("func"));
  }
};

std::pair<std::string_view, std::string_view> key_and_value(std::string_view text) {
  const auto blank = std::min(text.find(' '), text.size());
  return {text.substr(0, blank), trimmed(text.substr(blank))};
}

std::vector<Device> devices_in(std::string_view text) {
  std::vector<Device> devices;
  for (std::string_view line : lines_of(text)) {
    if (line.starts_with("device[")) {
      devices.emplace_back();
    } else if (const auto at = line.find("+-> "); at != line.npos && !devices.empty()) {
      const auto [key, value] = key_and_value(trimmed(line.substr(at + 4)));
      if (key.starts_with("nodes[")) {
        devices.back().nodes.emplace_back(value);
      } else if (!value.empty()) {
        devices.back().values.emplace(key, value);
      }
    }
  }
  return devices;
}

// "0x1b36" and "1b36" are one.
std::string_view hex(std::string_view text) {
  remove_prefix(text, "0x");
  return text;
}

}  // namespace

SuiteTest parse_stress_ng(const ProgramOutput& output) {
  SuiteTest test = judged_by_status(output, kNotImplemented);
  Subtest& result = test.subtests.front();
  std::string_view why, failure;
  bool skipped = false;
  for (const std::string_view line : lines_of(output.text)) {
    if (line.contains("skipping")) why = line;
    if (line.contains(": fail:") && failure.empty()) failure = line;
    // "skipped: 1: swap (1)"
    if (const auto at = line.find(" skipped: "); at != line.npos) {
      skipped |= !line.substr(at).starts_with(" skipped: 0");
    }
  }
  if (result.state == SubtestState::fail && !failure.empty()) result.reason = trimmed(failure);
  if (skipped && failure.empty() && !violent_end(output.status)) {
    result.state = SubtestState::skip;
    if (!why.empty()) result.reason = trimmed(why);
  }
  return test;
}

SuiteTest parse_drmdevice(const ProgramOutput& output) {
  SuiteTest test = judged_by_status(output, -1);
  const std::vector<Device> devices = devices_in(output.text);
  std::size_t gpus = 0;
  for (std::string_view line : lines_of(output.text)) {
    if (!remove_prefix(line, "figment ")) continue;
    const auto [address, ids] = key_and_value(line);
    const auto [vendor, device] = key_and_value(ids);
    ++gpus;
    const auto complaint = [&]() -> std::string {
      const auto told = std::ranges::find(devices, address, &Device::address);
      if (told == devices.end()) return "no device has its address";
      const auto is = [&](const char* key, std::string_view value) {
        const auto found = told->values.find(key);
        return found != told->values.end() && found->second == hex(value);
      };
      if (!is("vendor_id", vendor) || !is("device_id", device)) return "its ids are others";
      const auto node = std::ranges::find_if(told->nodes, [](const std::string& each) {
        return each.starts_with("/dev/dri/renderD");
      });
      if (node == told->nodes.end()) return "it has no render node";
      const auto opened = output.text.find("node " + *node);
      if (opened == output.text.npos) return "its render node was not opened";
      return {};
    }();
    test.subtests.push_back({.name = std::string(address),
                             .state = complaint.empty() ? SubtestState::pass : SubtestState::fail,
                             .reason = complaint});
  }
  if (gpus == 0) {
    test.subtests.push_back({.name = "", .state = SubtestState::fail, .reason = "there is no GPU"});
  }
  return test;
}

}  // namespace figment::host
