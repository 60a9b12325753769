// SPDX-License-Identifier: MIT
#include "event_report.h"

#include <algorithm>
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

std::string coverage_table(const Coverage& coverage) {
  std::vector<std::string_view> strategies;
  for (const auto& strategy : kStressStrategies) {
    if (strategy.follows()) strategies.push_back(strategy.name);
  }
  std::string text = std::format("\n{:<34} {:<16}", "notifiers of a busy GPU, called by", "event");
  for (const auto strategy : strategies) text += std::format(" {:>9}", strategy);
  text += '\n';
  std::vector<std::size_t> reached(strategies.size());
  for (const NotifierSite& site : notifier_sites()) {
    text += std::format("{:<34} {:<16}", site.name, site.event);
    for (std::size_t n = 0; n < strategies.size(); ++n) {
      const auto count = coverage.count(site, strategies[n]);
      reached[n] += count != 0;
      text += std::format(" {:>9}", count);
    }
    if (!site.why.empty()) text += std::format("  {}", site.why);
    text += '\n';
  }
  text += std::format("{:<51}", std::format("sites, of {}", notifier_sites().size()));
  for (const auto count : reached) text += std::format(" {:>9}", count);
  text += std::format("\n{:<51}", std::format("events, of {}", notifier_events().size()));
  for (const auto strategy : strategies) {
    text += std::format(" {:>9}", std::ranges::count_if(notifier_events(), [&](auto event) {
                          return coverage.reached_event(event, strategy);
                        }));
  }
  return text + '\n';
}

namespace {

nlohmann::ordered_json list_of(const Coverage& coverage) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [key, count] : coverage.counts()) {
    list.push_back({{"site", key.site->name},
                    {"function", key.function},
                    {"event", key.site->event},
                    {"strategy", key.strategy},
                    {"count", count}});
  }
  return list;
}

nlohmann::ordered_json list_of_sites(const Coverage& coverage) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const NotifierSite& site : notifier_sites()) {
    nlohmann::ordered_json one = {{"site", site.name},
                                  {"file", site.file},
                                  {"event", site.event},
                                  {"reached", coverage.reached(site.name)},
                                  {"why", nullptr}};
    if (!site.why.empty()) one["why"] = site.why;
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string to_json(std::span<const EventRowResult> rows, const Coverage& coverage,
                    const std::string& kernel, std::span<const std::string> about_all) {
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
        {"vram_pages", row.vram_pages},
        {"event", row.event->name},
        {"pages", row.pages->name},
        {"rounds", row.rounds},
        {"seconds", row.seconds},
        {"event_us", to_json(row.event_us)},
        {"baseline_event_us", to_json(row.baseline_us)},
        {"refused", nullptr},
        {"skipped", nullptr},
        {"complaints", complaints(row)},
        {"right", complaints(row).empty()}};
    if (row.reached) one["reached"] = list_of(*row.reached);
    if (row.refused) one["refused"] = ::strerrorname_np(row.refused);
    if (!row.skipped.empty()) one["skipped"] = row.skipped;
    list.push_back(std::move(one));
  }
  return nlohmann::ordered_json{{"version", 1},
                                {"kernel", kernel},
                                {"complaints", about_all},
                                {"rows", list},
                                {"coverage", list_of(coverage)},
                                {"sites", list_of_sites(coverage)}}
             .dump() +
         "\n";
}

namespace {

std::string under(const Event& event) {
  if (!event.strategies.empty()) return std::format("; under {} only", event.strategies);
  return event.content == Content::copied ? "" : "; not under dontfork, as pin";
}

}  // namespace

std::string list_of_events() {
  std::string text = "events:\n";
  for (const Event* event : events()) {
    text += std::format("  {:<20} {} (scenario {})\n  {:<20} on {}{}\n", event->name, event->what,
                        event->numbers, "", event->pages, under(*event));
  }
  text += "page kinds, each only where an event names it; under others the event is the same:\n";
  for (const PageKind& kind : page_kinds()) {
    text += std::format("  {:<20} {}", kind.name, kind.what);
    if (kind.refused) {
      text += std::format(" (pin and unsafe refuse it: {})", ::strerrorname_np(kind.refused));
    }
    text += '\n';
  }
  return text;
}

std::string catalogue_json() {
  using Json = nlohmann::ordered_json;
  Json catalogue = {{"version", 1},
                    {"events", Json::array()},
                    {"pages", Json::array()},
                    {"strategies", Json::array()}};
  for (const Event* event : events()) {
    catalogue["events"].push_back(
        {{"name", event->name}, {"numbers", event->numbers}, {"what", event->what}});
  }
  for (const PageKind& kind : page_kinds()) {
    catalogue["pages"].push_back(
        {{"name", kind.name}, {"what", kind.what}, {"refused", nullptr}, {"why", kind.why}});
    if (kind.refused) catalogue["pages"].back()["refused"] = ::strerrorname_np(kind.refused);
  }
  for (const StressStrategy& strategy : kStressStrategies) {
    catalogue["strategies"].push_back(
        {{"name", strategy.name}, {"what", strategy.what}, {"safe", strategy.safe}});
  }
  return catalogue.dump() + "\n";
}

}  // namespace figment::stress
