// SPDX-License-Identifier: MIT
//
// Events that happen to memory while a GPU works on it, as a table: those of
// design/scenarios.md. To add one, add a function and a line to the table of its family
// (fork_events.cpp, mapping_events.cpp, reclaim_events.cpp, watcher_events.cpp).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace figment::stress {

class Cell;
struct PageKind;
struct StressStrategy;

/// What the process finds in the range after the event, if nobody has written since.
enum class Content {
  kept,         // what was there before
  zeroed,       // zeros, in the pages that the event has told Cell::zeroed(), or in all
  overwritten,  // zeros as well, but in the pages that were there
  gone,         // the range has gone, and another one is there
  copied,       // what was there before, and somebody else has a copy: children are judged, and the
                // control must be caught
};

/// Where jobs may fail with EFAULT while the event happens.
enum class Missing {
  nowhere,
  in_process,  // memory of the process: under strategies that follow the process
  on_gpu,      // the mapping of the GPU: under all
};

struct Event {
  std::string_view name;
  std::string_view numbers;  // of design/scenarios.md
  std::string_view what;
  Content content = Content::kept;
  void (*run)(Cell& cell) = nullptr;
  std::string_view pages = "4k";  // names of page kinds under which it can differ
  Missing missing = Missing::nowhere;
  bool harmless = false;  // copied, but never shared: even the control is right
  unsigned share = 1;     // it is done so many times less often than others: it takes long
};

/// The families, one after the other.
[[nodiscard]] std::vector<const Event*> events();
/// Null: there is none.
[[nodiscard]] const Event* event_named(std::string_view name);

/// The kinds of an event; std::logic_error: a kind that does not exist.
[[nodiscard]] std::vector<const PageKind*> kinds_of(const Event& event);
/// Whether the event can differ from what another strategy does: `dontfork` is `pin` until
/// somebody forks.
[[nodiscard]] bool differs(const Event& event, const StressStrategy& strategy);
/// Whether the control has to be caught: pages are shared after fork().
[[nodiscard]] bool must_catch(const Event& event, const PageKind& pages);

}  // namespace figment::stress
