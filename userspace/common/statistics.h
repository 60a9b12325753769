// SPDX-License-Identifier: MIT
//
// Statistics of a measured series, for every tool that prints a latency or a
// rate: one definition of a percentile.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>

namespace figment {

struct Summary {
  std::size_t count = 0;
  double min = 0;
  double p50 = 0;
  double p99 = 0;
  double max = 0;
};

/// Percentiles by nearest rank: the smallest sample that at least that share of all
/// samples does not exceed, so always a value that was really measured. No samples:
/// all zero.
[[nodiscard]] Summary summarise(std::span<const double> samples);

/// Microseconds that `work` takes.
template <typename Work>
[[nodiscard]] double microseconds_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace figment
