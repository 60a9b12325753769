// SPDX-License-Identifier: MIT
//
// figment-info: everything that a Figment GPU and its driver tell about themselves.
// Exit status: 0; 1 there is no such GPU, or it does not answer; 2 wrong usage.
#include <xf86drm.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <format>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <print>
#include <string>
#include <vector>

#include "figment/device.h"
#include "figment/strategy.h"
#include "figment_hw.h"
#include "module_parameter.h"

namespace {

using namespace figment;
using Json = nlohmann::ordered_json;

constexpr std::string_view name_of(Preemption preemption) {
  switch (preemption) {
    case Preemption::none:
      return "none";
    case Preemption::command:
      return "command";
    case Preemption::instruction:
      return "instruction";
  }
  return "unknown";
}

Json driver_of(const Device& device) {
  const std::unique_ptr<drmVersion, decltype(&drmFreeVersion)> version(drmGetVersion(device.fd()),
                                                                       &drmFreeVersion);
  if (!version) throw std::runtime_error("the driver does not tell its version");
  return {{"name", version->name},
          {"version", std::format("{}.{}.{}", version->version_major, version->version_minor,
                                  version->version_patchlevel)},
          {"description", version->desc}};
}

Json capabilities_of(const Device& device) {
  const auto has = [&](std::uint64_t capability) {
    std::uint64_t value = 0;
    return drmGetCap(device.fd(), capability, &value) == 0 && value != 0;
  };
  return {{"syncobj", has(DRM_CAP_SYNCOBJ)},
          {"syncobj_timeline", has(DRM_CAP_SYNCOBJ_TIMELINE)},
          {"prime", has(DRM_CAP_PRIME)}};
}

Json strategies_of(const Device& device) {
  Json names = Json::array();
  for (const auto& strategy : kStrategies) {
    if (device.offers(strategy.strategy)) names.push_back(strategy.name);
  }
  return names;
}

Json device_of(const Device& device) {
  const auto& info = device.info();
  const auto version = info.hw_version;
  return {{"hw_version", std::format("{}.{}", (version & FIGMENT_VERSION_MAJOR) >> 16,
                                     version & FIGMENT_VERSION_MINOR)},
          {"engines", info.engines},
          {"queues", info.queues},
          {"asids", info.asids},
          {"recoverable_faults", device.has(Feature::recoverable_faults)},
          {"preemption", name_of(device.preemption())},
          {"injection", device.has(Feature::injection)},
          {"vram_bytes", info.vram_bytes},
          {"va_start", info.va_start},
          {"va_end", info.va_end},
          {"priorities", info.priorities},
          {"job_timeout_ms", info.job_timeout_ms},
          {"strategies", strategies_of(device)}};
}

Json parameters() {
  Json all = Json::object();
  std::vector<std::string> names;
  std::error_code none;  // the driver is built in without parameters, or not loaded
  for (const auto& entry :
       std::filesystem::directory_iterator("/sys/module/figment/parameters", none)) {
    names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  for (const auto& name : names) {
    try {
      all[name] = module_parameter(name);
    } catch (const std::system_error& error) {
      all[name] = std::format("({})", error.code().message());  // write-only, or root's
    }
  }
  return all;
}

/// What the kernel says about this open file: /proc/self/fdinfo.
Json fdinfo_of(const Device& device) {
  Json lines = Json::object();
  std::ifstream file(std::format("/proc/self/fdinfo/{}", device.fd()));
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (!(line.starts_with("drm-") || line.starts_with("figment-")) || colon == std::string::npos)
      continue;
    const auto value = line.find_first_not_of(" \t", colon + 1);
    lines[line.substr(0, colon)] = value == std::string::npos ? "" : line.substr(value);
  }
  return lines;
}

Json tell(unsigned gpu) {
  const Device device = Device::open(gpu);
  return {{"node", device.node().path},
          {"bus", device.node().bus},
          {"driver", driver_of(device)},
          {"device", device_of(device)},
          {"capabilities", capabilities_of(device)},
          {"fdinfo", fdinfo_of(device)}};
}

std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& element : value) text += (text.empty() ? "" : " ") + text_of(element);
  return text.empty() ? "none" : text;
}

void print_section(std::string_view title, const Json& section, std::string_view indent) {
  std::println("{}{}", indent, title);
  for (const auto& [key, value] : section.items()) {
    const bool address = key == "va_start" || key == "va_end";
    std::println("{}  {:<20} {}", indent, key,
                 address ? std::format("{:#x}", value.get<std::uint64_t>()) : text_of(value));
  }
}

void print(const Json& all) {
  for (const auto& gpu : all["gpus"]) {
    std::println("{} ({})", text_of(gpu["node"]), text_of(gpu["bus"]));
    for (const auto& [key, value] : gpu.items()) {
      if (value.is_object()) print_section(key, value, "  ");
    }
  }
  print_section("module parameters", all["module_parameters"], "");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Tells everything about the Figment GPUs of this machine.");
  std::vector<unsigned> gpus;
  bool json = false;
  app.add_option("--gpu", gpus, "Which Figment GPU, from 0; default: all");
  app.add_flag("--json", json, "As JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    if (gpus.empty()) {
      const auto count = static_cast<unsigned>(Device::nodes().size());
      // Without any, let the opening of the first one say so.
      for (unsigned n = 0; n < std::max(count, 1u); ++n) gpus.push_back(n);
    }
    Json all = {{"gpus", Json::array()}, {"module_parameters", parameters()}};
    for (const unsigned gpu : gpus) all["gpus"].push_back(tell(gpu));
    if (json) {
      std::println("{}", all.dump(2));
    } else {
      print(all);
    }
  } catch (const std::exception& error) {
    std::println(stderr, "figment-info: {}", error.what());
    return 1;
  }
}
