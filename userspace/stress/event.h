// SPDX-License-Identifier: MIT
//
// Events that happen to memory while a GPU works on it, as a table: those of
// design/scenarios.md. To add one, add a function and a line to the table of its family
// (fork_events.cpp, mapping_events.cpp, reclaim_events.cpp, watcher_events.cpp, peer_events.cpp,
// vram_events.cpp).
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
  /// Sites of notifier_sites.h, one of which it must reach while jobs are in flight, under
  /// strategies that follow; empty: that is up to the kernel. "kind:site" is for pages of that
  /// kind, which then need not reach any other.
  std::string_view reaches = {};
  /// Names of strategies under which it is luck whether a job is in flight then: no row of them
  /// fails for having reached nothing.
  std::string_view luck = {};
  /// Before each time, with an idle GPU and restored words: what has to be so when it comes.
  void (*prepare)(Cell& cell) = nullptr;
  bool with_test_hmm = false;  // it needs another device
  unsigned quick_kinds = 1;    // so many of `pages`, from the first, have rows with --quick
  /// Names of strategies that have rows of it; empty: all in which it can differ.
  std::string_view strategies = {};
  /// It happens to memory beside the range: where the range itself is makes no difference.
  bool beside = false;
  /// What it does to pages the kernel does not do to those in VRAM: there it need not reach a site.
  bool passes_vram = false;
};

/// The families, one after the other.
[[nodiscard]] std::vector<const Event*> events();
/// Null: there is none.
[[nodiscard]] const Event* event_named(std::string_view name);

/// The kinds of an event; std::logic_error: a kind that does not exist.
[[nodiscard]] std::vector<const PageKind*> kinds_of(const Event& event);
/// The sites that it is about with pages of that kind.
[[nodiscard]] std::vector<std::string_view> sites_for(const Event& event, const PageKind& pages);
/// Whether the event can differ from what another strategy does: `dontfork` is `pin` until
/// somebody forks, and `svm-vram` is `svm` where no page of the range goes to VRAM.
[[nodiscard]] bool differs(const Event& event, const PageKind& pages,
                           const StressStrategy& strategy);
/// Sites, one of which a row has to reach; empty: it need not.
[[nodiscard]] std::vector<std::string_view> must_reach(const Event& event, const PageKind& pages,
                                                       const StressStrategy& strategy);
/// Whether the control has to be caught: pages are shared after fork().
[[nodiscard]] bool must_catch(const Event& event, const PageKind& pages);

}  // namespace figment::stress
