// SPDX-License-Identifier: MIT
#include "timeline.h"

#include <algorithm>
#include <format>
#include <map>
#include <ranges>

#include "clock_map.h"
#include "process.h"
#include "timeline_driver.h"
#include "timeline_gpu.h"

namespace figment::host {

namespace {

// The kernel's text has whole microseconds.
constexpr std::uint64_t kTextNs = 1000;
// Two moments further apart are not of one pair: what one side told has got lost on the other.
constexpr std::uint64_t kPairNs = 10'000'000;

using Times = std::vector<std::uint64_t>;

// One event of the driver and one of a GPU, of which one is the cause.
struct Pair {
  std::size_t driver = 0;
  std::size_t gpu = 0;
};

// What makes two lines of two traces the same thing.
struct Meaning {
  std::string_view driver;
  std::string_view gpu;
  bool driver_first;
  std::vector<std::pair<std::string_view, std::string_view>> same;  // names in each
};

const std::vector<Meaning>& meanings() {
  static const std::vector<Meaning> kMeanings = {
      {"figment_job_emit", "doorbell", true, {{"queue", "queue"}, {"end", "write"}}},
      {"figment_invalidate", "invalidate", true, {{"seq", "seq"}}},
      {"figment_event",
       "event",
       false,
       {{"index", "index"}, {"type", "type"}, {"queue", "queue"}, {"value", "value"}}},
  };
  return kMeanings;
}

// The events of one GPU, and where they are on the clock of the driver.
struct GpuSide {
  const std::vector<TracedEvent>& events;
  Times times = {};
  std::vector<Pair> causes = {};   // of events of the GPU
  std::vector<Pair> effects = {};  // of events of the GPU, in the driver
  TimelineClock clock = {};
};

std::vector<ClockLook> looks_of(const Recording& recording, const std::string& gpu) {
  std::vector<ClockLook> looks;
  for (const GuestEvent& event : recording.events) {
    if (event.name != "figment_clock" || event.word("device") != gpu) continue;
    looks.push_back({.before = event.number("before"),
                     .device = event.number("time"),
                     .after = event.number("after")});
  }
  return looks;
}

void tell_times(GpuSide& side, const Recording& recording) {
  const ClockMap map(looks_of(recording, side.clock.gpu));
  side.clock.looks = map.looks();
  side.clock.uncertainty_ns = map.uncertainty_ns() + kTextNs;
  for (const TracedEvent& event : side.events) side.times.push_back(map.to_guest(event.ns));
}

// The one of `candidates`, by time, that is nearest to `ns`, if any is near.
std::optional<std::size_t> nearest(const std::vector<std::size_t>& candidates, const Times& times,
                                   std::uint64_t ns) {
  const auto distance = [&](std::size_t i) {
    return times[i] > ns ? times[i] - ns : ns - times[i];
  };
  const auto next =
      std::ranges::lower_bound(candidates, ns, {}, [&](std::size_t i) { return times[i]; });
  std::optional<std::size_t> best;
  for (auto at = next == candidates.begin() ? next : next - 1; at != candidates.end() && at <= next;
       ++at) {
    if (!best || distance(*at) < distance(*best)) best = *at;
  }
  return best && distance(*best) <= kPairNs ? best : std::nullopt;
}

void find_pairs(GpuSide& side, const Recording& recording, const Times& driver_times) {
  for (const Meaning& meaning : meanings()) {
    std::map<std::vector<std::uint64_t>, std::vector<std::size_t>> candidates;
    for (std::size_t i = 0; i < side.events.size(); ++i) {
      if (side.events[i].name != meaning.gpu) continue;
      std::vector<std::uint64_t> key;
      for (const auto& [_, name] : meaning.same) key.push_back(side.events[i].number(name));
      candidates[key].push_back(i);
    }
    for (std::size_t i = 0; i < recording.events.size(); ++i) {
      const GuestEvent& event = recording.events[i];
      if (event.name != meaning.driver || event.word("device") != side.clock.gpu) continue;
      std::vector<std::uint64_t> key;
      for (const auto& [name, _] : meaning.same) key.push_back(event.number(name));
      const auto found = candidates.find(key);
      if (found == candidates.end()) continue;
      const auto other = nearest(found->second, side.times, driver_times[i]);
      if (!other) continue;
      (meaning.driver_first ? side.causes : side.effects).push_back({.driver = i, .gpu = *other});
      ++side.clock.pairs;
    }
  }
  std::ranges::sort(side.causes, {}, &Pair::gpu);
  std::ranges::sort(side.effects, {}, &Pair::driver);
}

// Moves events to later times until each comes after the one before it and after its cause; true if
// any was moved.
bool move_behind(Times& times, const Times& causes, const std::vector<Pair>& pairs,
                 std::size_t Pair::* own, std::size_t Pair::* cause, std::uint64_t& moved) {
  bool any = false;
  const auto raise = [&](std::size_t i, std::uint64_t ns) {
    if (times[i] >= ns) return;
    moved = std::max(moved, ns - times[i]);
    times[i] = ns;
    any = true;
  };
  auto pair = pairs.begin();
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (i > 0 && times[i] <= times[i - 1]) {
      times[i] = times[i - 1] + 1;
      any = true;
    }
    for (; pair != pairs.end() && (*pair).*own == i; ++pair) raise(i, causes[(*pair).*cause] + 1);
  }
  return any;
}

// Both clocks are known to within something, and the order of things is known for certain.
void respect_causes(std::vector<GpuSide>& sides, Times& driver_times) {
  // Each round settles one step of the longest chain to and fro; a trace that is none may have any.
  constexpr int kRounds = 100;
  bool moved = true;
  for (int round = 0; moved && round < kRounds; ++round) {
    moved = false;
    for (GpuSide& side : sides) {
      moved |= move_behind(side.times, driver_times, side.causes, &Pair::gpu, &Pair::driver,
                           side.clock.moved_ns);
      moved |= move_behind(driver_times, side.times, side.effects, &Pair::driver, &Pair::gpu,
                           side.clock.moved_ns);
    }
  }
}

std::string about_clocks(const std::vector<GpuSide>& sides) {
  std::string text;
  for (const GpuSide& side : sides) {
    text += std::format("{}{{{}}}", text.empty() ? "" : ",",
                        Details()
                            .text("gpu", side.clock.gpu)
                            .number("looks", std::uint64_t{side.clock.looks})
                            .number("uncertainty_ns", side.clock.uncertainty_ns)
                            .number("pairs", std::uint64_t{side.clock.pairs})
                            .number("moved_ns", side.clock.moved_ns)
                            .string());
  }
  return "[" + text + "]";
}

// One event of any of the traces.
struct Step {
  std::uint64_t ns = 0;
  std::size_t side = 0;  // of a GPU; one past the last one: the driver's
  std::size_t index = 0;
};

std::vector<Step> merged(const std::vector<GpuSide>& sides, const Times& driver_times) {
  std::vector<Step> steps;
  for (std::size_t side = 0; side < sides.size(); ++side) {
    for (std::size_t i = 0; i < sides[side].times.size(); ++i) {
      // What the GPU did after the recording is of nobody's interest.
      if (sides[side].times[i] > driver_times.back()) break;
      steps.push_back({.ns = sides[side].times[i], .side = side, .index = i});
    }
  }
  for (std::size_t i = 0; i < driver_times.size(); ++i) {
    steps.push_back({.ns = driver_times[i], .side = sides.size(), .index = i});
  }
  std::ranges::stable_sort(steps, {}, &Step::ns);
  return steps;
}

template <typename Work>
auto about_gpu(std::size_t gpu, Work work) {
  try {
    return work();
  } catch (const Failure& failure) {
    throw Failure(std::format("GPU {}: {}", gpu, failure.what()));
  }
}

}  // namespace

std::string TimelineSummary::complaint() const {
  std::string text;
  if (lost > 0) {
    text += std::format("the recording has lost {} events: its buffer was too small\n", lost);
  }
  if (!whole) text += "the recording breaks off: the guest has ended before its command\n";
  for (const TimelineClock& clock : clocks) {
    if (clock.is_sound()) continue;
    text += std::format(
        "the clock of {} is off: it is known to within {} ns, but an event had to be "
        "moved by {} ns\n",
        clock.gpu, clock.uncertainty_ns, clock.moved_ns);
  }
  return text;
}

TimelineSummary write_timeline(const Recording& recording,
                               const std::vector<std::vector<TracedEvent>>& gpu_traces,
                               std::ostream& out) {
  if (recording.gpus.size() != gpu_traces.size()) {
    throw Failure(std::format("the recording is of {} GPUs, and there are traces of {}",
                              recording.gpus.size(), gpu_traces.size()));
  }
  if (recording.events.empty()) throw Failure("the recording has no events");
  Times driver_times;
  for (const GuestEvent& event : recording.events) driver_times.push_back(event.ns);

  std::vector<GpuSide> sides;
  for (std::size_t gpu = 0; gpu < gpu_traces.size(); ++gpu) {
    sides.push_back({.events = gpu_traces[gpu], .clock = {.gpu = recording.gpus[gpu]}});
    about_gpu(gpu, [&] {
      tell_times(sides.back(), recording);
      find_pairs(sides.back(), recording, driver_times);
    });
  }
  respect_causes(sides, driver_times);

  TraceJson json;
  TimelineJobs jobs;
  DriverTracks driver(json, jobs, recording.gpus);
  std::vector<GpuTracks> gpus;
  for (unsigned gpu = 0; gpu < sides.size(); ++gpu) {
    gpus.emplace_back(json, jobs, gpu, recording.gpus[gpu]);
  }
  bool drawing = false;
  for (const Step& step : merged(sides, driver_times)) {
    if (step.side < sides.size()) {
      about_gpu(step.side,
                [&] { gpus[step.side].take(sides[step.side].events[step.index], step.ns); });
      continue;
    }
    if (!drawing) {
      for (GpuTracks& gpu : gpus) gpu.begin_drawing(step.ns);
      drawing = true;
    }
    driver.take(recording.events[step.index], step.ns);
  }
  const std::uint64_t end = driver_times.back() + 1;
  json.finish(end);
  driver.finish();
  jobs.draw(json, driver_pid, end);

  TimelineSummary summary{.lost = recording.lost, .whole = recording.whole};
  for (const GpuSide& side : sides) summary.clocks.push_back(side.clock);
  Details about;
  about.text("made by", "Figment, docs/timeline.md")
      .text("clock", "CLOCK_MONOTONIC of the guest")
      .json("clocks", about_clocks(sides))
      .number("lost", recording.lost)
      .number("whole", std::uint64_t{recording.whole});
  if (!recording.no_forks.empty()) about.text("no times of fork()", recording.no_forks);
  json.write(out, about);
  summary.events = json.events();
  return summary;
}

}  // namespace figment::host
