// SPDX-License-Identifier: MIT
//
// The kernel's own verdict: reports (WARNING, BUG, KASAN, lockdep and their kind)
// that appear in /dev/kmsg while something runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "figment/handle.h"

namespace figment {

/// Whether this line of the kernel log begins a report of something that must not
/// happen. Lines of the report that follow (registers, stack) are none by themselves.
[[nodiscard]] bool is_kernel_report(std::string_view message);

/// The part of the kernel log from construction on. Needs root; where /dev/kmsg
/// cannot be opened std::system_error says so.
class KernelLog {
 public:
  KernelLog();

  /// Reports since the last call.
  [[nodiscard]] std::vector<std::string> take_reports();

 private:
  UniqueFd fd_;
};

}  // namespace figment
