// SPDX-License-Identifier: MIT
#include "notifier_trace.h"

#include <sys/mount.h>

#include <charconv>
#include <filesystem>
#include <format>
#include <fstream>
#include <optional>
#include <stdexcept>

namespace figment::bench {
namespace {

namespace fs = std::filesystem;
const fs::path kTracing = "/sys/kernel/tracing";
constexpr std::string_view kEvent = "figment_notifier_done:";

std::optional<std::uint64_t> value_of(std::string_view line, std::string_view name) {
  const std::string key = std::format(" {}=", name);
  const std::size_t at = line.find(key);
  if (at == line.npos) return std::nullopt;
  line.remove_prefix(at + key.size());
  int base = 10;
  if (line.starts_with("0x")) line.remove_prefix(2), base = 16;
  std::uint64_t value = 0;
  if (std::from_chars(line.data(), line.data() + line.size(), value, base).ec != std::errc{}) {
    return std::nullopt;
  }
  return value;
}

void write_to(const fs::path& file, std::string_view text) {
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(std::format("{} cannot be written", file.string()));
}

}  // namespace

void add_line(std::string_view line, std::uint64_t start, std::uint64_t bytes, NotifierSum& sum) {
  const std::size_t at = line.find(kEvent);
  if (at == line.npos) return;
  line.remove_prefix(at + kEvent.size());
  const auto from = value_of(line, "start"), to = value_of(line, "end"),
             total = value_of(line, "total_ns"), waited = value_of(line, "waited_ns");
  if (!from || !to || !total || !waited || *waited > *total) {
    throw std::runtime_error(std::format("the driver has traced '{}'", line));
  }
  if (*from >= start + bytes || *to <= start) return;
  ++sum.notifications;
  sum.total_ns += static_cast<double>(*total);
  sum.waited_ns += static_cast<double>(*waited);
}

std::unique_ptr<NotifierTrace> NotifierTrace::open(std::string& why_not) {
  if (!fs::exists(kTracing / "instances")) {
    ::mount("tracefs", kTracing.c_str(), "tracefs", 0, nullptr);
  }
  if (!fs::exists(kTracing / "events/figment/figment_notifier_done")) {
    why_not = "no tracepoint figment_notifier_done";
    return nullptr;
  }
  const fs::path folder = kTracing / "instances/figment-bench";
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) {
    why_not = error.message();
    return nullptr;
  }
  std::unique_ptr<NotifierTrace> trace(new NotifierTrace(folder));
  write_to(folder / "events/figment/figment_notifier_done/enable", "1");
  return trace;
}

NotifierTrace::~NotifierTrace() {
  std::error_code ignored;
  fs::remove(folder_, ignored);
}

void NotifierTrace::clear() {
  write_to(fs::path(folder_) / "trace", "\n");
}

NotifierSum NotifierTrace::sum(std::uint64_t start, std::uint64_t bytes) const {
  NotifierSum sum;
  std::ifstream lines(fs::path(folder_) / "trace");
  for (std::string line; std::getline(lines, line);) add_line(line, start, bytes, sum);
  return sum;
}

}  // namespace figment::bench
