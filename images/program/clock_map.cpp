// SPDX-License-Identifier: MIT
#include "clock_map.h"

#include <algorithm>
#include <format>
#include <limits>

#include "process.h"

namespace figment::host {

namespace {

// Times of a run, in which sums and differences have room.
constexpr std::uint64_t kLatest = std::uint64_t{1} << 60;

std::uint64_t width(const ClockLook& look) {
  return look.after - look.before;
}
std::uint64_t middle(const ClockLook& look) {
  return look.before + width(look) / 2;
}

void check(const std::vector<ClockLook>& looks) {
  for (const ClockLook& look : looks) {
    if (look.before > look.after || look.after > kLatest || look.device > kLatest) {
      throw Failure(
          std::format("the clocks at {}, {}, {} are none", look.before, look.device, look.after));
    }
  }
  for (std::size_t i = 1; i < looks.size(); ++i) {
    // Looks do not overlap: the driver takes them one after the other.
    if (looks[i].device <= looks[i - 1].device || looks[i].before < looks[i - 1].after) {
      throw Failure(std::format("a clock goes back: device time {} at {}, but {} at {}",
                                looks[i - 1].device, looks[i - 1].before, looks[i].device,
                                looks[i].before));
    }
  }
}

}  // namespace

ClockMap::ClockMap(std::vector<ClockLook> looks) : looks_(std::move(looks)) {
  if (looks_.empty()) throw Failure("nobody has compared its clock with the driver's");
  std::ranges::sort(looks_, {}, &ClockLook::before);
  check(looks_);
  // A look in which the host did something else says little, and its middle would bend the rest.
  std::vector<std::uint64_t> widths;
  for (const ClockLook& look : looks_) widths.push_back(width(look));
  std::ranges::nth_element(widths, widths.begin() + static_cast<std::ptrdiff_t>(widths.size() / 2));
  const std::uint64_t most = 2 * widths[widths.size() / 2];
  std::erase_if(looks_, [&](const ClockLook& look) { return width(look) > most; });
  for (const ClockLook& look : looks_) {
    uncertainty_ns_ = std::max(uncertainty_ns_, (width(look) + 1) / 2);
  }
}

std::uint64_t ClockMap::to_guest(std::uint64_t device_ns) const {
  const auto next = std::ranges::upper_bound(looks_, device_ns, {}, &ClockLook::device);
  if (next == looks_.begin()) {
    const std::uint64_t ago = next->device - device_ns;
    return middle(*next) - std::min(ago, middle(*next));
  }
  const ClockLook& last = *(next - 1);
  const std::uint64_t since = device_ns - last.device;
  if (next == looks_.end()) {
    // No time that a trace can have overflows.
    return middle(last) + std::min(since, std::numeric_limits<std::uint64_t>::max() / 4);
  }
  const long double rate = static_cast<long double>(middle(*next) - middle(last)) /
                           static_cast<long double>(next->device - last.device);
  return middle(last) + static_cast<std::uint64_t>(rate * static_cast<long double>(since) + 0.5L);
}

}  // namespace figment::host
