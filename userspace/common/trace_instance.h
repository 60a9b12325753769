// SPDX-License-Identifier: MIT
//
// An instance of tracefs: a ring buffer of its own, with the events that somebody asks for, beside
// those of anybody else. Its text is what `trace_pipe` has. Needs root.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "figment/handle.h"

namespace figment {

class TraceInstance {
 public:
  /// Makes it, with nothing enabled. std::system_error: there is no tracefs, or one of that name
  /// is in use; one that a crashed program has left is taken over.
  explicit TraceInstance(std::string_view name);
  TraceInstance(const TraceInstance&) = delete;
  TraceInstance& operator=(const TraceInstance&) = delete;
  /// Gives buffer and events back.
  ~TraceInstance();

  /// Writes to a file of the instance, "events/figment/enable" for one.
  void set(std::string_view file, std::string_view value);
  /// What has been recorded since the last call. Does not wait.
  [[nodiscard]] std::string take();
  /// Events that the buffer had no room for, since it was made.
  [[nodiscard]] std::uint64_t lost() const;

 private:
  std::string folder_;
  UniqueFd pipe_;
};

}  // namespace figment
