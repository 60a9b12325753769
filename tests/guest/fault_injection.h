// SPDX-License-Identifier: MIT
//
// Faults that the kernel injects into itself (its Documentation/fault-injection), where it was
// built with them: each allocation of one call failing in turn, or some of all allocations at
// random.
//
// A kernel of a distribution has none of this; tests then skip, with the reason.
#pragma once

#include <string>
#include <vector>

#include "figment/handle.h"

namespace figment::guest {

/// The settings of debugfs for faults: with them allocations that may sleep fail, too, of any size,
/// and say nothing in the log. Put back at the end.
class FaultSettings {
 public:
  FaultSettings();
  FaultSettings(const FaultSettings&) = delete;
  FaultSettings& operator=(const FaultSettings&) = delete;
  ~FaultSettings();

  /// Why there are no faults to inject; empty: there are.
  [[nodiscard]] static std::string missing();
  /// Why functions cannot be made to fail; empty: they can.
  [[nodiscard]] static std::string functions_missing();

  /// From now on `percent` of the allocations of tasks that may_fail() fail.
  void fail_at_random(unsigned percent);
  /// From now on nobody gets pages of 2^order or more at once, whatever task it is, unless they
  /// must not fail.
  void fail_pages_from(unsigned order);
  /// And `percent` of the calls of `function` that they make return `error` (an errno). False: the
  /// kernel does not let this one fail.
  [[nodiscard]] bool fail_function(const std::string& function, int error, unsigned percent);
  /// This task, and what it forks from now on.
  static void may_fail();
  static void may_not_fail();

 private:
  void set(const std::string& file, const std::string& value);

  std::vector<std::pair<std::string, std::string>> before_;
  std::vector<std::string> functions_;
};

/// Lets the n-th possible fault of this thread happen.
class FailNth {
 public:
  FailNth();

  /// The n-th from here on, from 1.
  void arm(unsigned nth);
  /// Ends it. How many possible faults were still to come, 0: it has happened.
  [[nodiscard]] unsigned left();
  [[nodiscard]] bool disarm() { return left() == 0; }

 private:
  UniqueFd file_;
};

}  // namespace figment::guest
