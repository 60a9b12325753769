// SPDX-License-Identifier: MIT
#include "chain_trace.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>
#include <ranges>
#include <set>
#include <stdexcept>

namespace figment::stress {
namespace {

/// Of each processor. A story has some hundred events, and so has a machine that is short of
/// memory.
constexpr const char* kBufferKilobytes = "2048";

constexpr const char* kNotifierEvents[] = {"figment/figment_notifier",
                                           "figment/figment_notifier_done"};
constexpr const char* kStoryEvents[] = {
    "gpu_scheduler/drm_sched_job_queue", "gpu_scheduler/drm_sched_job_add_dep",
    "dma_fence/dma_fence_wait_start", "dma_fence/dma_fence_wait_end",
    "dma_fence/dma_fence_signaled"};

/// `comm-pid [cpu] flags seconds.micros: event: fields`
struct Line {
  std::string_view text;
  pid_t thread = 0;
  double us = 0;
  std::string_view event;
  std::string_view fields;  // with a blank before the first one

  /// What follows `name=`, up to a blank or a comma.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const {
    const std::string key = std::format(" {}=", name);
    const std::size_t at = fields.find(key);
    if (at == fields.npos) return std::nullopt;
    const std::string_view value = fields.substr(at + key.size());
    return value.substr(0, value.find_first_of(" ,"));
  }
  [[noreturn]] void lacks(std::string_view what) const {
    throw std::runtime_error(std::format("a traced '{}' has no {}", text, what));
  }
  [[nodiscard]] std::string_view word(std::string_view name) const {
    const auto found = find(name);
    if (!found) lacks(name);
    return *found;
  }
  [[nodiscard]] std::uint64_t number(std::string_view name) const {
    std::string_view digits = word(name);
    int base = 10;
    if (digits.starts_with("0x")) {
      digits.remove_prefix(2);
      base = 16;
    }
    std::uint64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ec !=
        std::errc{}) {
      lacks(name);
    }
    return value;
  }
};

template <typename T>
bool parse_number(std::string_view text, T& value) {
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
}

/// Nothing: no event. What a process is called may have anything in it, but hardly " [".
std::optional<Line> parse_line(std::string_view text) {
  const std::size_t cpu = text.find(" [");
  const std::size_t colon = text.find(": ", cpu);
  if (cpu == text.npos || colon == text.npos) return std::nullopt;
  const std::size_t event_end = text.find(": ", colon + 2);
  if (event_end == text.npos) return std::nullopt;
  Line line{.text = text,
            .thread = 0,
            .us = 0,
            .event = text.substr(colon + 2, event_end - colon - 2),
            .fields = text.substr(event_end + 1)};
  std::string_view task = text.substr(0, cpu);
  task = task.substr(0, task.find_last_not_of(' ') + 1);
  const std::string_view time = text.substr(text.rfind(' ', colon) + 1);
  double seconds = 0;
  if (!parse_number(task.substr(task.rfind('-') + 1), line.thread) ||
      !parse_number(time, seconds)) {
    return std::nullopt;
  }
  line.us = seconds * 1e6;
  return line;
}

/// Two numbers with a colon between: a fence as gpu_scheduler prints it.
FenceId fence_of(const Line& line, std::string_view text) {
  FenceId id;
  const std::size_t colon = text.find(':');
  if (colon == text.npos || !parse_number(text.substr(0, colon), id.context) ||
      !parse_number(text.substr(colon + 1), id.number)) {
    line.lacks("fence");
  }
  return id;
}

/// A fence as dma_fence prints it.
FenceId fence_of(const Line& line) {
  return {.context = line.number("context"), .number = line.number("seqno")};
}

bool touches(const Line& line, std::uint64_t start, std::uint64_t end) {
  return line.number("start") < end && line.number("end") > start;
}

class Parser {
 public:
  Parser(pid_t thread, std::uint64_t start, std::uint64_t end)
      : thread_(thread), start_(start), end_(end) {}

  void add(const Line& line) {
    if (line.event == "figment_notifier") {
      if (line.thread == thread_ && touches(line, start_, end_)) call(line);
    } else if (line.event == "figment_notifier_done") {
      if (line.thread == thread_ && touches(line, start_, end_)) done(line);
    } else if (line.event == "dma_fence_wait_start") {
      if (line.thread == thread_ && !open_.empty()) {
        waits_.push_back({.fence = fence_of(line), .begin_us = line.us, .end_us = 0});
      }
    } else if (line.event == "dma_fence_wait_end") {
      if (line.thread == thread_ && !waits_.empty()) waits_.back().end_us = line.us;
    } else {
      add_job(line);
    }
  }

  ChainTrace finish() {
    if (!open_.empty()) {
      throw std::runtime_error(
          std::format("the trace has no end of the notifier of {}", *open_.begin()));
    }
    return std::move(trace_);
  }

 private:
  DeviceNotifier& of(std::string_view device) {
    const auto found = std::ranges::find(trace_.notifiers, device, &DeviceNotifier::device);
    if (found != trace_.notifiers.end()) return *found;
    auto& fresh = trace_.notifiers.emplace_back();
    fresh.device = device;
    return fresh;
  }

  void call(const Line& line) {
    DeviceNotifier& notifier = of(line.word("device"));
    if (notifier.calls++ == 0) notifier.begin_us = line.us;
    open_.insert(notifier.device);
  }

  void done(const Line& line) {
    DeviceNotifier& notifier = of(line.word("device"));
    if (notifier.calls == 0) line.lacks("beginning");
    notifier.end_us = line.us;
    notifier.total_us += static_cast<double>(line.number("total_ns")) / 1000;
    notifier.waited_us += static_cast<double>(line.number("waited_ns")) / 1000;
    // A thread waits in one notifier at a time, and that is the one that ends next.
    std::ranges::move(waits_, std::back_inserter(notifier.waits));
    waits_.clear();
    open_.erase(notifier.device);
  }

  void add_job(const Line& line) {
    if (line.event == "drm_sched_job_queue") {
      TracedJob& job = trace_.jobs[fence_of(line, line.word("fence"))];
      job.device = line.word("dev");
      job.queued_us = line.us;
    } else if (line.event == "drm_sched_job_add_dep") {
      // " fence=1:2 depends on fence=3:4"
      const std::size_t second = line.fields.rfind("fence=");
      trace_.jobs[fence_of(line, line.word("fence"))].waits_for.push_back(
          fence_of(line, line.fields.substr(second + std::string_view("fence=").size())));
    } else if (line.event == "dma_fence_signaled") {
      const auto job = trace_.jobs.find(fence_of(line));
      if (job != trace_.jobs.end()) job->second.signalled_us = line.us;
    }
  }

  pid_t thread_;
  std::uint64_t start_;
  std::uint64_t end_;
  ChainTrace trace_;
  std::set<std::string> open_;  // devices whose notifier runs
  std::vector<FenceWait> waits_;
};

template <typename Visit>
void for_each_line(std::string_view text, const Visit& visit) {
  for (const auto part : std::views::split(text, '\n')) {
    if (const auto line = parse_line(std::string_view(part))) visit(*line);
  }
}

/// Names and times of one story.
class Story {
 public:
  Story(const ChainTrace& trace, std::span<const std::string> buses)
      : trace_(trace), buses_(buses), began_(trace.begin_us()) {}

  [[nodiscard]] std::string gpu(const std::string& device) const {
    const auto found = std::ranges::find(buses_, device);
    return found == buses_.end() ? device : std::format("gpu{}", found - buses_.begin());
  }
  [[nodiscard]] std::string at(double us) const {
    return std::format("{:+.2f} ms", (us - began_) / 1000);
  }
  [[nodiscard]] std::string fence(FenceId id) const {
    const auto job = trace_.jobs.find(id);
    return std::format("{}:{}:{}", job == trace_.jobs.end() ? "?" : gpu(job->second.device),
                       id.context, id.number);
  }
  /// What a fence waits for, as far as it goes: a fence that has signalled long ago is no wait.
  void add_waits(FenceId id, unsigned depth, std::vector<std::string>& lines) const {
    const auto job = trace_.jobs.find(id);
    if (job == trace_.jobs.end()) return;
    for (const FenceId before : job->second.waits_for) {
      const auto other = trace_.jobs.find(before);
      if (other == trace_.jobs.end()) continue;
      const double end = other->second.signalled_us;
      lines.push_back(std::format("{}which waits for fence {}, signalled at {}",
                                  std::string(4 + 2 * depth, ' '), fence(before),
                                  end > 0 ? at(end) : "a time that is not in this trace"));
      add_waits(before, depth + 1, lines);
    }
  }

 private:
  const ChainTrace& trace_;
  std::span<const std::string> buses_;
  double began_;
};

}  // namespace

double ChainTrace::begin_us() const {
  return notifiers.empty() ? 0
                           : std::ranges::min(notifiers, {}, &DeviceNotifier::begin_us).begin_us;
}

double ChainTrace::end_us() const {
  return notifiers.empty() ? 0 : std::ranges::max(notifiers, {}, &DeviceNotifier::end_us).end_us;
}

ChainTrace parse_chain_trace(std::string_view text, pid_t thread, std::uint64_t start,
                             std::uint64_t end) {
  Parser parser(thread, start, end);
  for_each_line(text, [&](const Line& line) { parser.add(line); });
  return parser.finish();
}

std::uint64_t count_busy_calls(std::string_view text, std::uint64_t start, std::uint64_t end,
                               std::string_view task) {
  std::uint64_t count = 0;
  for_each_line(text, [&](const Line& line) {
    const std::string_view name = line.text.substr(line.text.find_first_not_of(' '));
    if (line.event == "figment_notifier" && touches(line, start, end) && name.starts_with(task)) {
      count += line.number("busy");
    }
  });
  return count;
}

std::vector<std::string> chain_story(const ChainTrace& trace, pid_t thread,
                                     std::span<const std::string> buses) {
  const Story story(trace, buses);
  std::vector<std::string> lines;
  lines.push_back(std::format(
      "fork() of {} at {:.6f} s: {} GPUs are told, and the pages are the "
      "kernel's at {}",
      thread, trace.begin_us() / 1e6, trace.notifiers.size(), story.at(trace.end_us())));
  for (const auto& notifier : trace.notifiers) {
    lines.push_back(std::format("  the notifier of {} is called at {}, ends at {}",
                                story.gpu(notifier.device), story.at(notifier.begin_us),
                                story.at(notifier.end_us)));
    for (const auto& wait : notifier.waits) {
      lines.push_back(std::format("    waits {:.2f} ms, from {} on, for fence {}",
                                  (wait.end_us - wait.begin_us) / 1000, story.at(wait.begin_us),
                                  story.fence(wait.fence)));
      story.add_waits(wait.fence, 1, lines);
    }
    if (notifier.waits.empty()) lines.emplace_back("    finds no job to wait for");
  }
  return lines;
}

ChainTracer::ChainTracer(Mode mode, pid_t thread)
    : trace_(std::format("figment-chain-{}", thread)) {
  trace_.set("tracing_on", "0");
  trace_.set("buffer_size_kb", kBufferKilobytes);
  trace_.set("trace_clock", "mono");
  if (mode == Mode::notifiers) trace_.set("set_event_pid", std::to_string(thread));
  const auto enable = [this](const char* event) {
    trace_.set(std::format("events/{}/enable", event), "1");
  };
  enable(kNotifierEvents[0]);
  if (mode == Mode::busy_calls) return;
  enable(kNotifierEvents[1]);
  if (mode == Mode::story) std::ranges::for_each(kStoryEvents, enable);
}

void ChainTracer::begin() {
  trace_.set("trace", "");
  trace_.set("tracing_on", "1");
}

std::string ChainTracer::end() {
  trace_.set("tracing_on", "0");
  std::string text = trace_.take();
  if (const auto lost = trace_.lost()) {
    throw std::runtime_error(std::format("{} traced events are lost", lost));
  }
  return text;
}

}  // namespace figment::stress
