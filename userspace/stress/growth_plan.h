// SPDX-License-Identifier: MIT
//
// What the growth measurement measures, as a table: points along an axis, under each strategy. One
// point is a number of processes, and of userptr ranges in each, and the size of a range.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "figment/types.h"
#include "stress_strategy.h"

namespace figment::stress {

struct GrowthPoint {
  unsigned processes = 1;
  unsigned ranges = 1;           // of each process, one behind the other
  std::uint64_t bytes = 64_MiB;  // of each range

  [[nodiscard]] constexpr std::uint64_t process_bytes() const { return ranges * bytes; }
  friend constexpr bool operator==(const GrowthPoint&, const GrowthPoint&) = default;
};

struct GrowthAxis {
  std::string_view name;
  std::string_view what;
  std::span<const GrowthPoint> points;
  std::span<const GrowthPoint> quick;
  bool all_strategies;  // otherwise those of the driver whose cost can grow
};

/// distribution, processes, ranges, bytes.
[[nodiscard]] std::span<const GrowthAxis> growth_axes();
/// Null: there is none.
[[nodiscard]] const GrowthAxis* growth_axis_named(std::string_view name);

/// In the order of the columns of a table. Strategies of `axis` only.
[[nodiscard]] std::vector<StressStrategy> growth_strategies(const GrowthAxis& axis);
[[nodiscard]] std::vector<std::string_view> growth_strategy_names();

/// Memory that the guest has to have free: of all processes, with the copy that a child is left
/// with, page tables and packets.
[[nodiscard]] std::uint64_t needed_bytes(const GrowthPoint& point);

}  // namespace figment::stress
