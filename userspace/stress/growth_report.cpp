// SPDX-License-Identifier: MIT
#include "growth_report.h"

#include <cmath>
#include <format>
#include <nlohmann/json.hpp>

#include "statistics.h"

namespace figment::stress {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLine = "{:<12} {:<9} {:>5} {:>6} {:>9} {:>12} {:>12} {:>12} {:>12}  {}";

template <typename... Cells>
std::string line(const Cells&... cells) {
  return std::vformat(kLine, std::make_format_args(cells...));
}

std::string median(std::span<const double> samples) {
  return samples.empty() ? "-" : std::format("{:.0f}", summarise(samples).p50);
}

std::string size(std::uint64_t bytes) {
  return bytes >= 1_MiB ? std::format("{} MiB", bytes >> 20) : std::format("{} KiB", bytes >> 10);
}

/// Nobody measures nanoseconds here: two digits behind the point.
Json samples(std::span<const double> times) {
  Json list = Json::array();
  for (const double time : times) list.push_back(std::round(time * 100) / 100);
  return list;
}

Json series(const NotifierSeries& notifiers) {
  return {{"count", samples(notifiers.count)},
          {"total_us", samples(notifiers.total_us)},
          {"waited_us", samples(notifiers.waited_us)}};
}

Json to_json(const GrowthResult& row) {
  const auto found = complaints(row);
  Json one = {{"axis", row.axis},
              {"strategy", row.strategy.name},
              {"processes", row.point.processes},
              {"ranges", row.point.ranges},
              {"bytes", row.point.bytes},
              {"fork_us_samples",
               {{"none", samples(row.none_us)},
                {"idle", samples(row.idle_us)},
                {"busy", samples(row.busy_us)}}},
              {"bind_us", samples(row.bind_us)},
              {"first_job_us", samples(row.first_job_us)},
              {"rewrite_us", samples(row.rewrite_us)},
              {"notifiers", nullptr},
              {"jobs", row.jobs},
              {"gpu_words", row.gpu_words},
              {"corrupt_words", row.corrupt_words},
              {"kernel_reports", row.kernel_reports},
              {"skipped", nullptr},
              {"complaints", found},
              {"right", found.empty()}};
  if (row.traced) {
    one["notifiers"] = {{"idle", series(row.idle_notifiers)}, {"busy", series(row.busy_notifiers)}};
  }
  if (!row.skipped.empty()) one["skipped"] = row.skipped;
  return one;
}

}  // namespace

std::string growth_heading() {
  return line("", "", "pro-", "", "bytes of", "fork us, p50", "fork us, p50", "fork us, p50",
              "notifier us,", "") +
         "\n" +
         line("axis", "strategy", "cess.", "ranges", "a range", "no GPU", "GPU idle", "GPU busy",
              "busy, p50", "");
}

std::string growth_line(const GrowthResult& row) {
  const std::string end = !row.failures.empty()      ? "failed"
                          : !row.skipped.empty()     ? "skipped: " + row.skipped
                          : !complaints(row).empty() ? "wrong"
                                                     : "";
  return line(row.axis, row.strategy.name, row.point.processes, row.point.ranges,
              size(row.point.bytes), median(row.none_us), median(row.idle_us), median(row.busy_us),
              median(row.busy_notifiers.total_us), end);
}

std::string to_json(std::span<const GrowthResult> rows, std::size_t planned,
                    const std::string& kernel) {
  Json list = Json::array();
  for (const auto& row : rows) list.push_back(to_json(row));
  return Json{{"version", 1}, {"kernel", kernel}, {"planned", planned}, {"rows", list}}.dump() +
         "\n";
}

}  // namespace figment::stress
