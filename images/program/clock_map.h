// SPDX-License-Identifier: MIT
//
// From the time of a device to that of the guest's kernel, by moments at which both are known: the
// driver's tracepoint figment_clock. Between two looks both clocks go evenly.
#ifndef FIGMENT_PROGRAM_CLOCK_MAP_H
#define FIGMENT_PROGRAM_CLOCK_MAP_H

#include <cstdint>
#include <vector>

namespace figment::host {

// The device's time was read after `before` and before `after`, by the kernel's clock.
struct ClockLook {
  std::uint64_t before = 0;
  std::uint64_t device = 0;
  std::uint64_t after = 0;
};

class ClockMap {
 public:
  // In any order. Throws Failure when there is none, or when one of the clocks goes back.
  explicit ClockMap(std::vector<ClockLook> looks);

  // Before the first look and after the last one, as at these.
  std::uint64_t to_guest(std::uint64_t device_ns) const;
  // How far off the result may be, for all that is between looks.
  std::uint64_t uncertainty_ns() const { return uncertainty_ns_; }
  std::size_t looks() const { return looks_.size(); }

 private:
  std::vector<ClockLook> looks_;  // those that say much, by time
  std::uint64_t uncertainty_ns_ = 0;
};

}  // namespace figment::host

#endif
