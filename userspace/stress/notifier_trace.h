// SPDX-License-Identifier: MIT
//
// What the driver's tracepoint figment_notifier tells, as text of tracefs with the option
// `stacktrace`: which notifier was called, why, and by whom.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace figment::stress {

/// One call of a notifier.
struct NotifierCall {
  std::string strategy;            // of the driver
  bool svm = false;                // the mirror, not a userptr
  std::string event;               // enum mmu_notifier_event, without MMU_NOTIFY_
  bool busy = false;               // jobs of the VM were in flight
  std::vector<std::string> stack;  // functions, the innermost first, without suffixes

  auto operator<=>(const NotifierCall&) const = default;
};

/// The calls in a text of trace_pipe, with their stacks, and how often each happened. A call
/// without a stack has an empty one. Entries of several CPUs may be mixed.
/// Of shared virtual memory only those with bytes [start, end) that `concerns` says yes to.
using Concerns = std::function<bool(std::uint64_t start, std::uint64_t end)>;
[[nodiscard]] std::map<NotifierCall, std::uint64_t> parse_notifier_trace(
    std::string_view text, const Concerns& concerns = {});

/// The same of a text that comes in parts, of whole entries: the stack of a call may be in the part
/// after it.
class NotifierTraceParser {
 public:
  [[nodiscard]] std::map<NotifierCall, std::uint64_t> parse(std::string_view text,
                                                            const Concerns& concerns = {});
  /// Calls whose stacks have not come.
  [[nodiscard]] std::map<NotifierCall, std::uint64_t> rest();

 private:
  std::map<std::string, NotifierCall, std::less<>> open_;  // by task
};

/// The function of the kernel that has called notifiers: the first of the stack that is no part of
/// the notifiers themselves. Empty: the stack does not tell.
[[nodiscard]] std::string_view caller_of(const NotifierCall& call);

}  // namespace figment::stress
