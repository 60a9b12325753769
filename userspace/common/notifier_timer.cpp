// SPDX-License-Identifier: MIT
#include "notifier_timer.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <format>
#include <stdexcept>
#include <string>

namespace figment {
namespace {

constexpr const char* kEvent = "events/figment/figment_notifier_done";
constexpr std::string_view kLine = " figment_notifier_done: ";

/// Of each processor: a fork of a process with thousands of ranges fills less than a tenth.
constexpr const char* kBufferKilobytes = "8192";

std::optional<std::uint64_t> value_of(std::string_view line, std::string_view name) {
  const std::string key = std::format(" {}=", name);
  const std::size_t at = line.find(key);
  if (at == line.npos) return std::nullopt;
  line.remove_prefix(at + key.size());
  int base = 10;
  if (line.starts_with("0x")) {
    line.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  const auto end = std::from_chars(line.data(), line.data() + line.size(), value, base);
  return end.ec == std::errc{} ? std::optional(value) : std::nullopt;
}

void add_line(std::string_view line, const Touching& range, NotifierTimes& times) {
  const auto start = value_of(line, "start"), end = value_of(line, "end"),
             total = value_of(line, "total_ns"), waited = value_of(line, "waited_ns");
  if (!start || !end || !total || !waited || *waited > *total) {
    throw std::runtime_error(std::format("the driver has traced '{}'", line));
  }
  if (*start >= range.end || *end <= range.start) return;
  ++times.count;
  times.total_ns += *total;
  times.waited_ns += *waited;
}

}  // namespace

NotifierTimes parse_notifier_times(std::string_view trace, const Touching& range) {
  NotifierTimes times;
  while (!trace.empty()) {
    const std::size_t end = std::min(trace.find('\n'), trace.size());
    const std::string_view line = trace.substr(0, end);
    trace.remove_prefix(std::min(end + 1, trace.size()));
    if (line.contains(kLine)) add_line(line, range, times);
  }
  return times;
}

bool NotifierTimer::is_there() {
  return std::filesystem::exists(std::format("/sys/kernel/tracing/{}", kEvent));
}

NotifierTimer::NotifierTimer(std::string_view name, std::optional<pid_t> thread) : trace_(name) {
  trace_.set("tracing_on", "0");
  trace_.set("buffer_size_kb", kBufferKilobytes);
  if (thread) trace_.set("set_event_pid", std::to_string(*thread));
  trace_.set(std::format("{}/enable", kEvent), "1");
}

void NotifierTimer::begin() {
  trace_.set("trace", "");
  trace_.set("tracing_on", "1");
}

NotifierTimes NotifierTimer::end(const Touching& range) {
  trace_.set("tracing_on", "0");
  const std::string text = trace_.take();
  if (const auto lost = trace_.lost()) {
    throw std::runtime_error(std::format("{} traced notifiers are lost", lost));
  }
  return parse_notifier_times(text, range);
}

}  // namespace figment
