// SPDX-License-Identifier: MIT
//
// The places in Linux 7.3 that call mmu notifiers, as a table, and which of them have reached a
// notifier of the driver. A call from a place that the table does not have is an error: that is how
// a new kernel's new place is found. To add one, add a line to the table in notifier_sites.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "notifier_trace.h"
#include "trace_instance.h"

namespace figment::stress {

struct NotifierSite {
  std::string_view name;  // the function that has the call
  std::string_view file;
  std::string_view event;  // enum mmu_notifier_event, without MMU_NOTIFY_
  /// Functions that compilers put it into, beside its own, separated by blanks.
  std::string_view inlined = {};
  /// Why nothing here reaches it; empty: something has to.
  std::string_view why = {};
};

[[nodiscard]] std::span<const NotifierSite> notifier_sites();
/// Null: there is none.
[[nodiscard]] const NotifierSite* notifier_site_named(std::string_view name);
/// Null: it is none that is known.
[[nodiscard]] const NotifierSite* site_of(const NotifierCall& call);

/// The types of events, in the order of the kernel.
[[nodiscard]] std::span<const std::string_view> notifier_events();

/// What has reached notifiers while jobs were in flight.
class Coverage {
 public:
  struct Key {
    const NotifierSite* site = nullptr;
    std::string function;  // as the stack has it
    std::string strategy;  // of the table

    auto operator<=>(const Key&) const = default;
  };
  using Counts = std::map<Key, std::uint64_t>;

  /// `mirror`: the strategy of the table that calls of a mirror are put down to; the driver knows
  /// no more of them than that.
  void add(const std::map<NotifierCall, std::uint64_t>& calls, std::string_view mirror = "svm");
  void add(const Coverage& other);

  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] std::uint64_t count(const NotifierSite& site, std::string_view strategy) const;
  [[nodiscard]] bool reached(std::string_view site) const;
  [[nodiscard]] bool reached_event(std::string_view event, std::string_view strategy) const;
  /// What must not be: calls from places that the table does not have, with their stacks, and from
  /// those that it says nothing reaches.
  [[nodiscard]] std::vector<std::string> surprises() const;
  /// Of a run that has done everything: places that were not reached, and nobody has said why.
  [[nodiscard]] std::vector<std::string> missing() const;

 private:
  Counts counts_;
  std::map<NotifierCall, std::uint64_t> unknown_;
};

/// Records calls of notifiers of a busy GPU while it lives. Needs root, and tracefs.
class NotifierWatch {
 public:
  NotifierWatch();
  /// Those since the last call. `mirror`: see Coverage::add().
  [[nodiscard]] Coverage take(const Concerns& concerns = {}, std::string_view mirror = "svm");
  /// Calls that were not recorded, for want of room.
  [[nodiscard]] std::uint64_t lost() const { return trace_.lost(); }

 private:
  TraceInstance trace_{"figment-stress"};
  NotifierTraceParser parser_;
};

}  // namespace figment::stress
