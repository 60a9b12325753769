// SPDX-License-Identifier: MIT
#include "notifier_trace.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ranges>

namespace figment::stress {
namespace {

constexpr std::string_view kCall = ": figment_notifier: ";
constexpr std::string_view kStack = ": <stack trace>";
constexpr std::string_view kFrame = " => ";

/// Value of a field of the tracepoint: `name=value`, ended by a blank.
std::string_view field(std::string_view line, std::string_view name) {
  const std::string key = std::string(" ") + std::string(name) + "=";
  const auto at = line.find(key);
  if (at == line.npos) return {};
  line.remove_prefix(at + key.size());
  return line.substr(0, line.find(' '));
}

std::uint64_t number(std::string_view hex) {
  std::uint64_t value = 0;
  if (hex.starts_with("0x")) hex.remove_prefix(2);
  std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  return value;
}

/// `name-pid [cpu]`: what an entry and its stack have in common.
std::string_view task(std::string_view line) {
  return line.substr(0, line.find("] "));
}

/// A compiler makes parts and clones of functions: f.isra.0, f.part.0, f.cold.
std::string function(std::string_view frame) {
  return std::string(frame.substr(0, frame.find_first_of(". +[")));
}

NotifierCall parse_call(std::string_view line) {
  return {.strategy = std::string(field(line, "strategy")),
          .svm = field(line, "svm") == "1",
          .event = std::string(field(line, "event")),
          .busy = field(line, "busy") == "1",
          .stack = {}};
}

/// Functions that run notifiers, from which on the stack is the driver's.
constexpr std::array<std::string_view, 2> kDoors = {"__mmu_notifier_invalidate_range_start",
                                                    "__mmu_notifier_release"};

}  // namespace

std::map<NotifierCall, std::uint64_t> NotifierTraceParser::parse(std::string_view text,
                                                                 const Concerns& concerns) {
  std::map<NotifierCall, std::uint64_t> counts;
  NotifierCall current;
  bool telling = false;  // its stack
  const auto close = [&] {
    if (telling) ++counts[current];
    telling = false;
  };
  for (const auto part : std::views::split(text, '\n')) {
    const std::string_view line(part);
    if (line.starts_with(kFrame)) {
      if (telling) current.stack.push_back(function(line.substr(kFrame.size())));
      continue;
    }
    close();
    if (const auto at = line.find(kCall); at != line.npos) {
      NotifierCall call = parse_call(line.substr(at));
      const auto [entry, fresh] = open_.try_emplace(std::string(task(line)));
      if (!fresh) ++counts[entry->second];
      entry->second = std::move(call);
      if (entry->second.svm && concerns &&
          !concerns(number(field(line, "start")), number(field(line, "end")))) {
        open_.erase(entry);
      }
    } else if (line.contains(kStack)) {
      if (const auto entry = open_.find(task(line)); entry != open_.end()) {
        current = std::move(entry->second);
        telling = true;
        open_.erase(entry);
      }
    }
  }
  close();
  return counts;
}

std::map<NotifierCall, std::uint64_t> NotifierTraceParser::rest() {
  std::map<NotifierCall, std::uint64_t> counts;
  for (const auto& [_, call] : open_) ++counts[call];
  open_.clear();
  return counts;
}

std::map<NotifierCall, std::uint64_t> parse_notifier_trace(std::string_view text,
                                                           const Concerns& concerns) {
  NotifierTraceParser parser;
  auto counts = parser.parse(text, concerns);
  for (const auto& [call, count] : parser.rest()) counts[call] += count;
  return counts;
}

std::string_view caller_of(const NotifierCall& call) {
  const auto door = std::ranges::find_first_of(call.stack, kDoors);
  if (door == call.stack.end()) return {};
  // Releasing is the whole of what the second one is for.
  if (*door == kDoors[1]) return *door;
  return door + 1 == call.stack.end() ? std::string_view{} : std::string_view(*(door + 1));
}

}  // namespace figment::stress
