// SPDX-License-Identifier: MIT
#include "chain_report.h"

#include <cmath>
#include <format>
#include <nlohmann/json.hpp>

namespace figment::stress {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLine = "{:<9} {:>4} {:>7} {:>10} {:>10} {:>10} {:>10} {:>7} {:>9}  {}";

template <typename... Cells>
std::string line(const Cells&... cells) {
  return std::vformat(kLine, std::make_format_args(cells...));
}

std::string milliseconds(double us) {
  return us > 0 ? std::format("{:.2f}", us / 1000) : "-";
}

/// What the notifiers have to wait for at most if they wait at the same time.
double work_us(const ChainResult& row) {
  return row.config.apart() ? row.slowest_us() : row.longest_chain_us();
}

double ratio(const ChainResult& row) {
  const double work = work_us(row);
  return work > 0 ? row.worst_notifier_us() / work : 0;
}

std::string end_of(const ChainResult& row) {
  if (!row.skipped.empty()) return "skipped: " + row.skipped;
  if (!complaints(row).empty()) return "wrong";
  if (row.config.kind == ChainKind::pressure) {
    return std::format("{} notifiers of busy GPUs", row.busy_calls);
  }
  if (row.config.kind == ChainKind::kswapd) {
    return std::format("{} of busy GPUs, {} pages scanned", row.busy_calls, row.scanned);
  }
  return row.attempts > 1 ? std::format("measured {} times", row.attempts) : "";
}

/// Nobody measures nanoseconds here: two digits behind the point.
double rounded(double us) {
  return std::round(us * 100) / 100;
}

Json to_json(const ChainFork& fork, bool busy) {
  Json one = {{"fork_us", rounded(fork.fork_us)},
              {"notifier_us", rounded(fork.notifier_us)},
              {"device_us", rounded(fork.device_us)},
              {"waited_us", rounded(fork.waited_us)},
              {"devices", fork.devices}};
  if (busy) {
    one["chain_us"] = rounded(fork.chain_us);
    one["jobs_us"] = rounded(fork.jobs_us);
    one["slowest_us"] = rounded(fork.slowest_us);
  }
  return one;
}

Json to_json(const std::vector<ChainFork>& forks, bool busy) {
  Json list = Json::array();
  for (const auto& fork : forks) list.push_back(to_json(fork, busy));
  return list;
}

Json to_json(const ChainResult& row) {
  const auto found = complaints(row);
  Json one = {{"row", info(row.config.kind).name},
              {"gpus", row.config.gpus},
              {"strategy", row.config.strategy().name},
              {"job_us", row.config.job.count()},
              {"attempts", row.attempts},
              {"idle", to_json(row.idle, false)},
              {"busy", to_json(row.busy, true)},
              {"worst_notifier_us", rounded(row.worst_notifier_us())},
              {"idle_notifier_us", rounded(row.idle_notifier_us())},
              {"work_us", rounded(work_us(row))},
              {"limit_us", nullptr},
              {"ratio", rounded(ratio(row))},
              {"jobs", row.jobs},
              {"gpu_words", row.gpu_words},
              {"corrupt_words", row.corrupt_words},
              {"early_forks", row.early_forks},
              {"busy_calls", row.busy_calls},
              {"kswapd_scanned", row.scanned},
              {"hang_error", row.hang_error},
              {"kernel_reports", row.kernel_reports},
              {"story", row.story},
              {"skipped", nullptr},
              {"complaints", found},
              {"right", found.empty()}};
  if (row.limit_us() > 0) one["limit_us"] = rounded(row.limit_us());
  if (!row.skipped.empty()) one["skipped"] = row.skipped;
  return one;
}

}  // namespace

std::string chain_heading() {
  return line("", "", "", "work to", "notifiers", "notifiers", "", "worst /", "corrupt", "") +
         "\n" +
         line("row", "GPUs", "forks", "wait for", "idle", "worst", "limit", "work", "words",
              "(times in ms)");
}

std::string chain_line(const ChainResult& row) {
  const double found = ratio(row);
  return line(info(row.config.kind).name, row.config.gpus, row.idle.size() + row.busy.size(),
              milliseconds(work_us(row)), milliseconds(row.idle_notifier_us()),
              milliseconds(row.worst_notifier_us()), milliseconds(row.limit_us()),
              found > 0 ? std::format("{:.2f}", found) : "-", row.corrupt_words, end_of(row));
}

std::string to_json(std::span<const ChainResult> rows, std::size_t planned,
                    const std::string& kernel) {
  Json list = Json::array();
  for (const auto& row : rows) list.push_back(to_json(row));
  return Json{{"version", 1}, {"kernel", kernel}, {"planned", planned}, {"rows", list}}.dump() +
         "\n";
}

}  // namespace figment::stress
