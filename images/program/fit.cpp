// SPDX-License-Identifier: MIT
#include "fit.h"

#include <algorithm>
#include <cmath>

namespace figment::host {

std::optional<double> log_slope(std::span<const Point> points) {
  double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  for (const auto [x, y] : points) {
    if (!(x > 0) || !(y > 0)) continue;
    const double log_x = std::log(x), log_y = std::log(y);
    n += 1;
    sum_x += log_x;
    sum_y += log_y;
    sum_xx += log_x * log_x;
    sum_xy += log_x * log_y;
  }
  const double spread = n * sum_xx - sum_x * sum_x;
  if (n < 3 || spread < 1e-9) return std::nullopt;
  return (n * sum_xy - sum_x * sum_y) / spread;
}

std::vector<Point> last_decade(std::vector<Point> points) {
  std::ranges::sort(points, {}, &Point::x);
  if (points.size() <= 3) return points;
  const double from = points.back().x / 10;
  const auto begin =
      std::min(std::ranges::lower_bound(points, from, {}, &Point::x), points.end() - 3);
  return {begin, points.end()};
}

double quantile(std::vector<double> samples, double share) {
  if (samples.empty()) return 0;
  std::ranges::sort(samples);
  const auto rank =
      static_cast<std::size_t>(std::ceil(share * static_cast<double>(samples.size())));
  return samples[std::clamp<std::size_t>(rank, 1, samples.size()) - 1];
}

}  // namespace figment::host
