// SPDX-License-Identifier: MIT
//
// The invalidation strategies as a table: what a driver may do when the kernel
// takes pages away that the GPU uses. Whoever lists, parses or runs "every
// strategy" goes through kStrategies, so that a new one is added here only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "figment_drm.h"

namespace figment {

enum class Strategy : std::uint32_t {
  fence = DRM_FIGMENT_STRATEGY_FENCE,
  preempt = DRM_FIGMENT_STRATEGY_PREEMPT,
  fault = DRM_FIGMENT_STRATEGY_FAULT,
  pin = DRM_FIGMENT_STRATEGY_PIN,
  unsafe = DRM_FIGMENT_STRATEGY_UNSAFE,
};

struct StrategyInfo {
  Strategy strategy;
  std::string_view name;
  bool safe;          // data stays right; otherwise it must not
  bool long_running;  // jobs have no time limit, and no fences but a UserFence
  std::string_view what;
};

inline constexpr std::array kStrategies = {
    StrategyInfo{Strategy::fence, "fence", true, false,
                 "the notifier waits for the jobs of the VM"},
    StrategyInfo{Strategy::preempt, "preempt", true, true,
                 "the queues of the VM leave the hardware"},
    StrategyInfo{Strategy::fault, "fault", true, true, "device page faults that can be resumed"},
    StrategyInfo{Strategy::pin, "pin", true, false, "pages are pinned long term"},
    StrategyInfo{Strategy::unsafe, "unsafe", false, false, "nothing: the negative control"},
};

constexpr const StrategyInfo& info(Strategy strategy) {
  for (const auto& entry : kStrategies) {
    if (entry.strategy == strategy) return entry;
  }
  return kStrategies.back();
}

constexpr std::optional<Strategy> strategy_named(std::string_view name) {
  for (const auto& entry : kStrategies) {
    if (entry.name == name) return entry.strategy;
  }
  return std::nullopt;
}

}  // namespace figment
