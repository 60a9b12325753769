// SPDX-License-Identifier: MIT
//
// The driver's tracepoint figment_notifier_done, in a trace buffer of our own: how long each
// notifier has taken, and how much of that it has waited.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace figment::bench {

struct NotifierSum {
  std::uint64_t notifications = 0;
  double total_ns = 0;
  double waited_ns = 0;
};

/// Adds a line of a trace to `sum`, if it is of that tracepoint and its range touches the given
/// one. std::runtime_error: it is, but lacks what is needed.
void add_line(std::string_view line, std::uint64_t start, std::uint64_t bytes, NotifierSum& sum);

class NotifierTrace {
 public:
  /// Null, and a reason, if this kernel or driver cannot trace them.
  [[nodiscard]] static std::unique_ptr<NotifierTrace> open(std::string& why_not);
  NotifierTrace(const NotifierTrace&) = delete;
  NotifierTrace& operator=(const NotifierTrace&) = delete;
  ~NotifierTrace();

  void clear();
  /// Of those since clear() that touched this range.
  [[nodiscard]] NotifierSum sum(std::uint64_t start, std::uint64_t bytes) const;

 private:
  explicit NotifierTrace(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

}  // namespace figment::bench
