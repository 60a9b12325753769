// SPDX-License-Identifier: MIT
//
// When the GPU has written a whole range again.
#pragma once

#include <array>
#include <chrono>

#include "layout.h"
#include "process.h"
#include "shared.h"

namespace figment::stress {

/// Until every page has been written by jobs that are submitted from here on, by queues that do not
/// rest. False: it did not come to that, and shared.failure says why.
[[nodiscard]] inline bool wait_until_stamped(WorkerShared& shared, const oracle::Layout& layout,
                                             Deadline deadline, std::chrono::microseconds step) {
  std::array<Sequence, kMaxQueues> due;
  for (unsigned queue = 0; queue < layout.queues; ++queue) {
    due[queue] = shared.progress[queue].submitted.load() + layout.slices;
  }
  const auto stamped = [&] {
    if (shared.failure) return true;
    for (unsigned queue = 0; queue < layout.queues; ++queue) {
      if (shared.progress[queue].completed.load() < due[queue]) return false;
    }
    return true;
  };
  if (!poll_until(stamped, deadline, step)) shared.failure.set("the GPU makes no progress");
  return !shared.failure;
}

}  // namespace figment::stress
