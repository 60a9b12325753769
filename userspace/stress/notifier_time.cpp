// SPDX-License-Identifier: MIT
#include "notifier_time.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <format>
#include <fstream>
#include <iterator>
#include <string>

#include "figment/error.h"
#include "figment/handle.h"

namespace figment::stress {
namespace {

constexpr const char* kTracing = "/sys/kernel/tracing";
constexpr const char* kEvent = "events/figment/figment_notifier_done";

/// Of each processor: a fork of a process with thousands of ranges fills less than a tenth.
constexpr const char* kBufferKilobytes = "8192";

std::uint64_t value_of(std::string_view line, std::string_view name) {
  const std::size_t at = line.find(name);
  std::uint64_t value = 0;
  if (at != line.npos) {
    const auto digits = line.substr(at + name.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
  }
  return value;
}

}  // namespace

NotifierTimes parse_notifier_times(std::string_view text) {
  NotifierTimes times;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('#') || !line.contains(" figment_notifier_done: ")) continue;
    ++times.count;
    times.total_ns += value_of(line, " total_ns=");
    times.waited_ns += value_of(line, " waited_ns=");
  }
  return times;
}

bool NotifierTimer::is_there() {
  return std::filesystem::exists(std::filesystem::path(kTracing) / kEvent);
}

NotifierTimer::NotifierTimer(pid_t thread)
    : folder_(std::filesystem::path(kTracing) / "instances" / std::format("figment-{}", thread)) {
  std::filesystem::create_directory(folder_);
  try {
    write("tracing_on", "0");
    write("buffer_size_kb", kBufferKilobytes);
    write("set_event_pid", std::to_string(thread));
    write(std::format("{}/enable", kEvent).c_str(), "1");
  } catch (...) {
    ::rmdir(folder_.c_str());
    throw;
  }
}

NotifierTimer::~NotifierTimer() {
  ::rmdir(folder_.c_str());
}

void NotifierTimer::write(const char* file, std::string_view text) const {
  const auto path = folder_ / file;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) fail(errno, path.string());
}

void NotifierTimer::begin() {
  write("trace", "");  // forgets what was there, by O_TRUNC
  write("tracing_on", "1");
}

NotifierTimes NotifierTimer::end() {
  write("tracing_on", "0");
  std::ifstream file(folder_ / "trace");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return parse_notifier_times(text);
}

}  // namespace figment::stress
