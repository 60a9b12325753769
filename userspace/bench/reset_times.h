// SPDX-License-Identifier: MIT
//
// How long it takes until there is work done again after a reset. docs/figures.md.
#pragma once

#include <string>
#include <vector>

#include "figment/device.h"

namespace figment::bench {

struct ResetTimes {
  std::string what;  // "queue", "function", "disk"
  std::vector<double> ms;
  std::string why_not;  // there are no samples
};

/// Milliseconds to the end of the first work afterwards: of a job that waits behind one that hangs,
/// beyond the time limit of that one; of an empty job, after a function-level reset of the GPU; and
/// of a read of `disk` after the same of that. Needs root.
[[nodiscard]] std::vector<ResetTimes> reset_times(const Device& device, const std::string& disk,
                                                  unsigned samples);

}  // namespace figment::bench
