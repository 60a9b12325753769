// SPDX-License-Identifier: MIT
#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace figment {

Summary summarise(std::span<const double> samples) {
  if (samples.empty()) return {};
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  const auto rank = [&](double share) {
    const auto n = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted[std::clamp<std::size_t>(n, 1, sorted.size()) - 1];
  };
  return {.count = sorted.size(),
          .min = sorted.front(),
          .p50 = rank(0.50),
          .p99 = rank(0.99),
          .max = sorted.back()};
}

}  // namespace figment
