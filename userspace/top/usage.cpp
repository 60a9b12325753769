// SPDX-License-Identifier: MIT
#include "usage.h"

#include <algorithm>
#include <format>
#include <limits>
#include <utility>

namespace figment::top {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kNameShown = 20;

/// Sums of what several clients say, each of which may be as large as a number can be.
std::uint64_t plus(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return a > most - b ? most : a + b;
}

void add(Region& to, const Region& more) {
  for (const auto member :
       {&Region::total, &Region::shared, &Region::resident, &Region::active, &Region::purgeable}) {
    to.*member = plus(to.*member, more.*member);
  }
}

double busiest(const Use& use) {
  double most = 0;
  for (const auto& [name, engine] : use.engines) most = std::max(most, engine.percent);
  return most;
}

std::string amount(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = 1 << 20;
  return bytes >= 10 * kMiB ? std::format("{}M", bytes / kMiB) : std::format("{}K", bytes >> 10);
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string result(text.substr(0, most));
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

std::vector<Use> usage_between(const Sample& before, const Sample& after) {
  std::map<std::pair<std::string, std::uint64_t>, const Client*> old;
  for (const Process& process : before.processes) {
    for (const Client& client : process.clients) old[{client.gpu, client.id}] = &client;
  }
  const double elapsed_ns =
      std::chrono::duration<double, std::nano>(after.time - before.time).count();
  std::vector<Use> uses;
  for (const Process& process : after.processes) {
    std::map<std::string, Use> of_gpu;
    for (const Client& client : process.clients) {
      Use& use = of_gpu[client.gpu];
      ++use.clients;
      if (!client.name.empty()) use.client += (use.client.empty() ? "" : ", ") + client.name;
      use.svm_vram = plus(use.svm_vram, client.svm_vram);
      for (const auto& [name, region] : client.regions) add(use.regions[name], region);
      const auto found = old.find({client.gpu, client.id});
      for (const auto& [name, engine] : client.engines) {
        EngineUse& sum = use.engines[name];
        sum.capacity = std::max(sum.capacity, engine.capacity);
        if (found == old.end()) continue;
        const auto earlier = found->second->engines.find(name);
        if (earlier == found->second->engines.end()) continue;
        if (engine.busy_ns > earlier->second.busy_ns) {
          sum.busy_ns = plus(sum.busy_ns, engine.busy_ns - earlier->second.busy_ns);
        }
      }
    }
    for (auto& [gpu, use] : of_gpu) {
      use.pid = process.pid;
      use.process = process.name;
      use.gpu = gpu;
      for (auto& [name, engine] : use.engines) {
        if (elapsed_ns <= 0) continue;
        engine.percent = 100 * static_cast<double>(engine.busy_ns) / elapsed_ns /
                         static_cast<double>(engine.capacity);
      }
      uses.push_back(std::move(use));
    }
  }
  std::ranges::stable_sort(uses, std::greater{}, busiest);
  return uses;
}

std::string to_table(const std::vector<Use>& uses) {
  std::string text = std::format("{:>7} {:<{}} {:<12} {:>16}  {}\n", "PID", "PROCESS", kNameShown,
                                 "GPU", "ENGINES", "MEMORY: RESIDENT/TOTAL");
  for (const Use& use : uses) {
    std::string engines, memory;
    for (const auto& [name, engine] : use.engines) {
      engines += std::format("{}{} {:.1f}%", engines.empty() ? "" : " ",
                             printable(name, kNameShown), engine.percent);
    }
    for (const auto& [name, region] : use.regions) {
      memory += std::format("{}{} {}/{}", memory.empty() ? "" : "  ", printable(name, kNameShown),
                            amount(region.resident), amount(region.total));
    }
    if (use.svm_vram > 0) memory += std::format("  svm-vram {}", amount(use.svm_vram));
    std::string name = use.process;
    if (!use.client.empty()) name += std::format(" ({})", use.client);
    text += std::format("{:>7} {:<{}} {:<12} {:>16}  {}\n", use.pid, printable(name, kNameShown),
                        kNameShown, printable(use.gpu, kNameShown), engines, memory);
  }
  return text;
}

Json to_json(const std::vector<Use>& uses) {
  Json all = Json::array();
  for (const Use& use : uses) {
    Json engines = Json::object(), memory = Json::object();
    for (const auto& [name, engine] : use.engines) {
      engines[name] = {
          {"busy_ns", engine.busy_ns}, {"capacity", engine.capacity}, {"percent", engine.percent}};
    }
    for (const auto& [name, region] : use.regions) {
      memory[name] = {{"total", region.total},
                      {"shared", region.shared},
                      {"resident", region.resident},
                      {"active", region.active},
                      {"purgeable", region.purgeable}};
    }
    all.push_back({{"pid", use.pid},
                   {"process", use.process},
                   {"gpu", use.gpu},
                   {"client_name", use.client},
                   {"clients", use.clients},
                   {"engines", engines},
                   {"memory_bytes", memory},
                   {"svm_vram_bytes", use.svm_vram}});
  }
  return all;
}

}  // namespace figment::top
