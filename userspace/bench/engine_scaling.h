// SPDX-License-Identifier: MIT
//
// What engines do side by side, beside one of them alone. docs/figures.md.
#pragma once

#include <string_view>
#include <vector>

#include "figment/device.h"

namespace figment::bench {

/// What keeps an engine busy.
enum class Busy { spin, copy };
[[nodiscard]] std::string_view name_of(Busy with);
inline constexpr Busy kBusy[] = {Busy::spin, Busy::copy};

struct EngineScaling {
  unsigned engines = 0;
  std::vector<double> one;  // jobs per second of one queue, which has one engine at a time
  std::vector<double> all;  // of as many queues as there are engines, all together
};

/// The same jobs, by one queue and by one for each engine in turns; `samples` of each. Checks
/// copies.
[[nodiscard]] EngineScaling engine_scaling(const Device& device, Busy with, unsigned samples);

}  // namespace figment::bench
