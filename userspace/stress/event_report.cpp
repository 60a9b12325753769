// SPDX-License-Identifier: MIT
#include "event_report.h"

#include <cmath>
#include <cstring>
#include <format>
#include <nlohmann/json.hpp>

namespace figment::stress {
namespace {

std::string microseconds(const Summary& summary) {
  return std::format("{:.0f}/{:.0f}/{:.0f}", summary.p50, summary.p99, summary.max);
}

nlohmann::ordered_json to_json(const Summary& summary) {
  return {{"p50", std::llround(summary.p50)},
          {"p99", std::llround(summary.p99)},
          {"max", std::llround(summary.max)}};
}

constexpr auto kLine = "{:<20} {:<13} {:<8} {:>6} {:>19} {:>11} {:>9} {:>6}  {}";

template <typename... Cells>
std::string line(const Cells&... cells) {
  return std::vformat(kLine, std::make_format_args(cells...));
}

std::string verdict(const EventRowResult& row) {
  if (!row.failures.empty()) return "failed";
  if (!row.skipped.empty()) return "skipped: " + row.skipped;
  if (row.refused) return ::strerrorname_np(row.refused);
  if (!complaints(row).empty()) return "wrong";
  return row.corrupt_words ? "caught" : "right";
}

}  // namespace

std::string event_heading() {
  return line("", "", "", "", "event us", "GPU words", "corrupt", "kernel", "") + "\n" +
         line("event", "pages", "strategy", "rounds", "p50/p99/max", "checked", "words", "report",
              "");
}

std::string event_line(const EventRowResult& row) {
  return line(row.event->name, row.pages->name, row.strategy.name, row.rounds,
              microseconds(row.event_us), row.gpu_words, row.corrupt_words, row.kernel_reports,
              verdict(row));
}

std::string to_json(std::span<const EventRowResult> rows, const std::string& kernel) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& row : rows) {
    const bool forks = row.event->content == Content::copied;
    nlohmann::ordered_json one = {
        {"strategy", row.strategy.name},
        {"scenario", "events"},
        {"forks", forks ? row.event_us.count : 0},
        {"fork_us", to_json(forks ? row.event_us : Summary{})},
        {"baseline_fork_us", to_json(forks ? row.baseline_us : Summary{})},
        {"gpu_words", row.gpu_words},
        {"corrupt_words", row.corrupt_words},
        {"kernel_reports", row.kernel_reports},
        {"event", row.event->name},
        {"pages", row.pages->name},
        {"rounds", row.rounds},
        {"event_us", to_json(row.event_us)},
        {"baseline_event_us", to_json(row.baseline_us)},
        {"refused", nullptr},
        {"skipped", nullptr},
        {"right", complaints(row).empty()}};
    if (row.refused) one["refused"] = ::strerrorname_np(row.refused);
    if (!row.skipped.empty()) one["skipped"] = row.skipped;
    list.push_back(std::move(one));
  }
  return nlohmann::ordered_json{{"version", 1}, {"kernel", kernel}, {"rows", list}}.dump() + "\n";
}

std::string list_of_events() {
  std::string text = "events:\n";
  for (const Event* event : events()) {
    text += std::format("  {:<20} {} (scenario {})\n  {:<20} on {}{}\n", event->name, event->what,
                        event->numbers, "", event->pages,
                        event->content == Content::copied ? "" : "; not under dontfork, as pin");
  }
  text += "page kinds, each only where an event names it; under others the event is the same:\n";
  for (const PageKind& kind : page_kinds()) {
    text += std::format("  {:<20} {}", kind.name, kind.what);
    if (kind.refused) text += std::format(" (refused: {})", ::strerrorname_np(kind.refused));
    text += '\n';
  }
  return text;
}

}  // namespace figment::stress
