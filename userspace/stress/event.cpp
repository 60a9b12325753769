// SPDX-License-Identifier: MIT
#include "event.h"

#include <format>
#include <ranges>
#include <stdexcept>

#include "event_families.h"
#include "page_kind.h"
#include "stress_strategy.h"

namespace figment::stress {

std::vector<const Event*> events() {
  std::vector<const Event*> all;
  for (const auto family : {fork_events(), mapping_events(), reclaim_events(), watcher_events()}) {
    for (const Event& event : family) all.push_back(&event);
  }
  return all;
}

const Event* event_named(std::string_view name) {
  for (const Event* event : events()) {
    if (event->name == name) return event;
  }
  return nullptr;
}

std::vector<const PageKind*> kinds_of(const Event& event) {
  std::vector<const PageKind*> kinds;
  for (const auto word : std::views::split(event.pages, ' ')) {
    const std::string_view name(word);
    const PageKind* kind = page_kind_named(name);
    if (!kind) throw std::logic_error(std::format("{}: no page kind {}", event.name, name));
    kinds.push_back(kind);
  }
  return kinds;
}

bool differs(const Event& event, const StressStrategy& strategy) {
  return !strategy.dontfork || event.content == Content::copied;
}

bool must_catch(const Event& event, const PageKind& pages) {
  return event.content == Content::copied && !event.harmless && !pages.shared() &&
         pages.refused == 0;
}

}  // namespace figment::stress
