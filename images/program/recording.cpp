// SPDX-License-Identifier: MIT
#include "recording.h"

#include <algorithm>
#include <array>
#include <format>

#include "process.h"

namespace figment::host {

namespace {

constexpr std::string_view kBegin = "# figment-record 1";
constexpr std::size_t kNameColumns = 16;
// 92 days: nanoseconds of more are no numbers of JSON, which has 53 bits.
constexpr std::uint64_t kSecondsMax = 8'000'000;

// The next word, which blanks may come before, up to `end`.
std::string_view take_until(std::string_view& text, std::string_view end) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::size_t at = text.find(end);
  if (at == text.npos) return {};
  const std::string_view word = text.substr(0, at);
  text.remove_prefix(at + end.size());
  return word;
}

// "SECONDS.MICROSECONDS", as tracefs prints nanoseconds.
std::optional<std::uint64_t> parse_time(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == text.npos || text.size() != dot + 7) return std::nullopt;
  const auto seconds = parse_number(text.substr(0, dot));
  const auto micros = parse_number(text.substr(dot + 1));
  if (!seconds || !micros || *seconds > kSecondsMax || *micros > 999'999) return std::nullopt;
  return *seconds * 1'000'000'000 + *micros * 1000;
}

// The name of a thread may have anything in it, but has always as many columns:
// "           stress-123     (    120) [001] d..2.    18.725600: figment_event: device=..."
std::optional<GuestEvent> parse_event(std::string_view line) {
  if (line.size() <= kNameColumns || line[kNameColumns] != '-') return std::nullopt;
  GuestEvent event;
  const std::string_view comm = line.substr(0, kNameColumns);
  event.comm = comm.substr(std::min(comm.find_first_not_of(' '), comm.size()));
  line.remove_prefix(kNameColumns + 1);
  const auto thread = parse_number(take_until(line, " "));
  take_until(line, "(");
  const std::string_view process = take_until(line, ")");
  take_until(line, "[");
  const auto cpu = parse_number(take_until(line, "]"));
  take_until(line, " ");  // what the processor was doing
  const auto ns = parse_time(take_until(line, ": "));
  const std::size_t colon = line.find(':');
  if (!thread || *thread > 0xffff'ffff || !cpu || !ns || colon == line.npos || colon == 0) {
    return std::nullopt;
  }
  event.thread = static_cast<std::uint32_t>(*thread);
  event.process = static_cast<std::uint32_t>(parse_number(process).value_or(0));
  event.ns = *ns;
  event.name = line.substr(0, colon);
  event.pairs = line.substr(std::min(colon + 2, line.size()));
  return event;
}

// What figment-record says itself, behind "# ".
void take_remark(Recording& recording, std::string_view remark) {
  const auto value_of = [&](std::string_view key) -> std::optional<std::string_view> {
    if (!remark.starts_with(key)) return std::nullopt;
    return remark.substr(key.size());
  };
  if (const auto gpu = value_of("gpu ")) recording.gpus.emplace_back(*gpu);
  if (const auto why = value_of("no times of fork(): ")) recording.no_forks = *why;
  if (const auto lost = value_of("lost ")) {
    recording.lost = std::max(recording.lost, parse_number(*lost).value_or(0));
  }
  if (value_of("status ")) recording.whole = true;
}

// "CPU:1 [LOST 12 EVENTS]"
std::optional<std::uint64_t> parse_lost(std::string_view line) {
  if (!line.starts_with("CPU:") || !line.ends_with(" EVENTS]")) return std::nullopt;
  take_until(line, "[LOST ");
  return parse_number(take_until(line, " "));
}

// The kernel's text has microseconds; its order is finer. So what is at one moment follows each
// other by a nanosecond, and arrows between events have a direction.
template <typename Event>
void spread(std::vector<Event>& events) {
  for (std::size_t i = 1; i < events.size(); ++i) {
    events[i].ns = std::max(events[i].ns, events[i - 1].ns + 1);
  }
}

constexpr std::array<std::string_view, 3> kAccesses = {"tlb_hit", "walk", "prefetch"};

}  // namespace

Recording parse_recording(std::string_view text) {
  Recording recording;
  std::uint64_t lost = 0;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    // Cut in the middle.
    if (end == text.npos && number > 1) break;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (number == 1) {
      if (line == kBegin) continue;
      throw Failure(std::format("is no recording: its first line is not '{}'", kBegin));
    }
    if (line.starts_with("# ")) {
      take_remark(recording, line.substr(2));
    } else if (const auto count = parse_lost(line)) {
      lost += *count;
    } else if (auto event = parse_event(line)) {
      event->line = number;
      recording.events.push_back(std::move(*event));
    } else {
      throw Failure(std::format("line {}: is no event: '{}'", number, line.substr(0, 100)));
    }
  }
  recording.lost = std::max(recording.lost, lost);
  std::ranges::stable_sort(recording.events, {}, &GuestEvent::ns);
  spread(recording.events);
  return recording;
}

std::vector<TracedEvent> parse_gpu_trace(std::istream& text) {
  std::vector<TracedEvent> events;
  std::uint64_t last = 0;
  std::string line;
  for (std::size_t number = 1; std::getline(text, line); ++number) {
    if (text.eof()) break;
    std::string_view rest = line;
    const auto ns = parse_number(take_until(rest, " "));
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const std::string_view name = rest.substr(0, rest.find(' '));
    if (!ns || name.empty()) {
      throw Failure(std::format("line {}: is no event: '{}'", number, line.substr(0, 100)));
    }
    if (*ns < last) throw Failure(std::format("line {}: time goes back", number));
    last = *ns;
    if (std::ranges::contains(kAccesses, name)) continue;
    rest.remove_prefix(name.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    events.push_back(
        {.ns = *ns, .name = std::string{name}, .pairs = std::string{rest}, .line = number});
  }
  spread(events);
  return events;
}

}  // namespace figment::host
