// SPDX-License-Identifier: MIT
#include "report.h"

#include <sys/utsname.h>

#include <cmath>
#include <filesystem>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>
#include <print>
#include <stdexcept>

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

// 8 + 13 + 6 + 20 + 18 + 12 + 9 + 7 and seven spaces: 100 columns.
constexpr auto kLine = "{:<8} {:<13} {:>6} {:>20} {:>18} {:>12} {:>9} {:>7}";

template <typename... Cells>
std::string line(const Cells&... cells) {
  return std::vformat(kLine, std::make_format_args(cells...));
}

}  // namespace

std::string table_heading() {
  return line("", "", "", "fork us, GPU busy", "fork us, GPU idle", "GPU words", "corrupt",
              "kernel") +
         "\n" +
         line("strategy", "scenario", "forks", "p50/p99/max", "p50/p99/max", "checked", "words",
              "reports");
}

std::string table_line(const RowResult& row) {
  return line(row.strategy.name, row.scenario, row.forks, microseconds(row.fork_us),
              microseconds(row.baseline_fork_us), row.gpu_words, row.corrupt_words,
              row.kernel_reports);
}

std::string to_json(std::span<const RowResult> rows, const std::string& kernel) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& row : rows) {
    list.push_back({{"strategy", row.strategy.name},
                    {"scenario", row.scenario},
                    {"forks", row.forks},
                    {"fork_us", to_json(row.fork_us)},
                    {"baseline_fork_us", to_json(row.baseline_fork_us)},
                    {"gpu_words", row.gpu_words},
                    {"corrupt_words", row.corrupt_words},
                    {"kernel_reports", row.kernel_reports}});
  }
  return nlohmann::ordered_json{{"version", 1}, {"kernel", kernel}, {"rows", list}}.dump() + "\n";
}

void write_file(const std::string& file, const std::string& text) {
  if (file == "-") {
    std::print("{}", text);
    return;
  }
  // A regular file is replaced as a whole: who looks finds all of it, or what was there before,
  // also when this machine dies in the middle.
  const bool special = std::filesystem::exists(file) && !std::filesystem::is_regular_file(file);
  const std::string written = special ? file : file + ".partial";
  std::ofstream out(written);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(std::format("{} cannot be written", file));
  if (!special) std::filesystem::rename(written, file);
}

std::string kernel_release() {
  utsname name;
  return ::uname(&name) == 0 ? name.release : "unknown";
}

}  // namespace figment::stress
