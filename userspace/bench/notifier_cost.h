// SPDX-License-Identifier: MIT
//
// What the driver's notifier costs whoever takes memory away: processor time and waiting apart,
// from the driver's tracepoint figment_notifier_done, beside the same call in a process without a
// GPU. docs/figures.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "figment/device.h"

namespace figment::bench {

/// How the memory is taken away: each is one call of the process.
enum class TakenBy { munmap, mprotect, fork };
[[nodiscard]] std::string_view name_of(TakenBy how);
inline constexpr TakenBy kTakenBy[] = {TakenBy::munmap, TakenBy::mprotect, TakenBy::fork};

struct NotifierCost {
  std::string who;  // strategy, svm, or no GPU
  /// Per 1,000 pages of the notified range that is mapped, in microseconds; one for each time.
  std::vector<double> cpu_us;       // in the notifier, not asleep
  std::vector<double> waited_us;    // asleep in it
  std::vector<double> call_us;      // the whole call, as the process sees it
  std::uint64_t notifications = 0;  // of all times together
  /// Why there are no notifiers to look at: then only call_us has samples, or nothing has.
  std::string why_not;
};

/// `bytes` that the GPU reaches, with pages of 4 KiB or 2 MiB, idle; each strategy in turns with
/// no GPU at all. Samples n of all are from turn n.
[[nodiscard]] std::vector<NotifierCost> notifier_costs(const Device& device, TakenBy how,
                                                       std::uint64_t bytes,
                                                       std::uint64_t page_bytes, unsigned turns);

}  // namespace figment::bench
