// SPDX-License-Identifier: MIT
#include "event.h"

#include <algorithm>
#include <format>
#include <ranges>
#include <stdexcept>

#include "event_families.h"
#include "page_kind.h"
#include "stress_strategy.h"

namespace figment::stress {
namespace {

bool has_word(std::string_view words, std::string_view one) {
  return std::ranges::any_of(std::views::split(words, ' '),
                             [&](auto word) { return std::string_view(word) == one; });
}

}  // namespace

std::vector<const Event*> events() {
  std::vector<const Event*> all;
  for (const auto family : {fork_events(), mapping_events(), reclaim_events(), watcher_events(),
                            peer_events(), vram_events()}) {
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

std::vector<std::string_view> sites_for(const Event& event, const PageKind& pages) {
  std::vector<std::string_view> own;
  std::vector<std::string_view> others;
  for (const auto part : std::views::split(event.reaches, ' ')) {
    const std::string_view word(part);
    const auto colon = word.find(':');
    if (word.empty()) continue;
    if (colon == word.npos) {
      others.push_back(word);
    } else if (word.substr(0, colon) == pages.name) {
      own.push_back(word.substr(colon + 1));
    }
  }
  return own.empty() ? others : own;
}

bool differs(const Event& event, const PageKind& pages, const StressStrategy& strategy) {
  if (!event.strategies.empty() && !has_word(event.strategies, strategy.name)) return false;
  if (strategy.vram && (event.beside || !pages.goes_to_vram())) return false;
  // Nothing is bound that could be taken from the GPU alone; nor is a part of a huge page, but a
  // part of it may move.
  if (strategy.svm && event.missing == Missing::on_gpu) return false;
  if (strategy.svm && !strategy.vram && pages.in_part) return false;
  return !strategy.dontfork || event.content == Content::copied;
}

std::vector<std::string_view> must_reach(const Event& event, const PageKind& pages,
                                         const StressStrategy& strategy) {
  if (!strategy.follows() || (strategy.vram && event.passes_vram)) return {};
  if (has_word(event.luck, strategy.name)) return {};
  return sites_for(event, pages);
}

bool must_catch(const Event& event, const PageKind& pages) {
  return event.content == Content::copied && !event.harmless && !pages.shared() &&
         pages.refused == 0;
}

}  // namespace figment::stress
