// SPDX-License-Identifier: MIT
#include "growth_plan.h"

#include <algorithm>
#include <array>

namespace figment::stress {
namespace {

constexpr std::array kDistribution = {GrowthPoint{}};
constexpr std::array kQuickDistribution = {GrowthPoint{.bytes = 16_MiB}};

constexpr std::array kProcesses = {
    GrowthPoint{.processes = 1, .bytes = 1_MiB},  GrowthPoint{.processes = 2, .bytes = 1_MiB},
    GrowthPoint{.processes = 4, .bytes = 1_MiB},  GrowthPoint{.processes = 8, .bytes = 1_MiB},
    GrowthPoint{.processes = 16, .bytes = 1_MiB}, GrowthPoint{.processes = 32, .bytes = 1_MiB},
    GrowthPoint{.processes = 64, .bytes = 1_MiB}};

// The same memory in more and more pieces: what grows is the price of a range, not of a page.
constexpr std::array kRanges = {
    GrowthPoint{.ranges = 1, .bytes = 16_MiB},   GrowthPoint{.ranges = 4, .bytes = 4_MiB},
    GrowthPoint{.ranges = 16, .bytes = 1_MiB},   GrowthPoint{.ranges = 64, .bytes = 256_KiB},
    GrowthPoint{.ranges = 256, .bytes = 64_KiB}, GrowthPoint{.ranges = 1024, .bytes = 16_KiB},
    GrowthPoint{.ranges = 4096, .bytes = 4_KiB}};

constexpr std::array kBytes = {GrowthPoint{.bytes = 1_MiB},   GrowthPoint{.bytes = 4_MiB},
                               GrowthPoint{.bytes = 16_MiB},  GrowthPoint{.bytes = 64_MiB},
                               GrowthPoint{.bytes = 256_MiB}, GrowthPoint{.bytes = 1_GiB}};

constexpr std::array kQuickProcesses = {GrowthPoint{.processes = 1, .bytes = 1_MiB},
                                        GrowthPoint{.processes = 4, .bytes = 1_MiB}};
constexpr std::array kQuickRanges = {GrowthPoint{.ranges = 1, .bytes = 1_MiB},
                                     GrowthPoint{.ranges = 64, .bytes = 16_KiB}};
constexpr std::array kQuickBytes = {GrowthPoint{.bytes = 1_MiB}, GrowthPoint{.bytes = 4_MiB}};

constexpr std::array kAxes = {
    GrowthAxis{"distribution", "one process, many forks", kDistribution, kQuickDistribution, true},
    GrowthAxis{"processes", "processes with 1 MiB each", kProcesses, kQuickProcesses, false},
    GrowthAxis{"ranges", "userptr ranges that share 16 MiB", kRanges, kQuickRanges, false},
    GrowthAxis{"bytes", "size of one range", kBytes, kQuickBytes, false}};

}  // namespace

std::span<const GrowthAxis> growth_axes() {
  return kAxes;
}

const GrowthAxis* growth_axis_named(std::string_view name) {
  const auto* found = std::ranges::find(kAxes, name, &GrowthAxis::name);
  return found == kAxes.end() ? nullptr : found;
}

std::vector<StressStrategy> growth_strategies(const GrowthAxis& axis) {
  std::vector<StressStrategy> all;
  for (const StressStrategy& strategy : kStressStrategies) {
    // Children without the memory cost nothing that grows, and the control does nothing at all.
    // What is in VRAM is moved there for each fork, which takes longer than all that is measured.
    if (!axis.all_strategies && (strategy.dontfork || !strategy.safe || strategy.vram)) continue;
    all.push_back(strategy);
  }
  return all;
}

std::vector<std::string_view> growth_strategy_names() {
  std::vector<std::string_view> names;
  for (const auto& strategy : growth_strategies(kAxes.front())) names.push_back(strategy.name);
  return names;
}

std::uint64_t needed_bytes(const GrowthPoint& point) {
  // One process forks at a time, and its child is left with the old pages. A quarter for the
  // packets of a stamping job and page tables, and what a process is itself.
  const std::uint64_t all = point.processes * point.process_bytes() + point.process_bytes();
  return all + all / 4 + point.processes * 4_MiB + 64_MiB;
}

}  // namespace figment::stress
