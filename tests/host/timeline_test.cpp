// SPDX-License-Identifier: MIT
#include "timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "process.h"
#include "traces.h"

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::json;

std::string read_trace(const std::string& name) {
  return read_file(fs::path(FIGMENT_TEST_LOGS) / "timeline" / name);
}

struct Told {
  TimelineSummary summary;
  std::string text;
  Json json;

  // Slices of that name, on whatever track.
  std::vector<Json> slices(const std::string& name) const { return events("X", name); }
  std::vector<Json> jobs() const {
    std::vector<Json> found;
    for (const Json& event : json["traceEvents"]) {
      if (event["ph"] == "b" && event["cat"] == "job") found.push_back(event);
    }
    return found;
  }
  std::vector<Json> events(const std::string& phase, const std::string& name) const {
    std::vector<Json> found;
    for (const Json& event : json["traceEvents"]) {
      if (event["ph"] == phase && event["name"] == name) found.push_back(event);
    }
    return found;
  }
  // "PROCESS / THREAD" of a slice.
  std::string track(const Json& slice) const {
    std::string process, thread;
    for (const Json& event : json["traceEvents"]) {
      if (event["ph"] != "M" || event["pid"] != slice["pid"]) continue;
      if (event["name"] == "process_name") process = event["args"]["name"];
      if (event["name"] == "thread_name" && event["tid"] == slice["tid"]) {
        thread = event["args"]["name"];
      }
    }
    return process + " / " + thread;
  }
};

Told tell(const std::string& recording, const std::vector<std::string>& gpus) {
  std::vector<std::vector<TracedEvent>> traces;
  for (const std::string& gpu : gpus) {
    std::istringstream stream(gpu);
    traces.push_back(parse_gpu_trace(stream));
  }
  Told told;
  std::ostringstream out;
  told.summary = write_timeline(parse_recording(recording), traces, out);
  told.text = out.str();
  told.json = Json::parse(told.text);
  return told;
}

Told tell_example() {
  return tell(read_trace("recording"), {read_trace("gpu"), read_trace("gpu.1")});
}

std::string complaint(const std::string& recording, const std::vector<std::string>& gpus) {
  try {
    tell(recording, gpus);
    return "";
  } catch (const Failure& failure) {
    return failure.what();
  }
}

// With `from`, which is there once, made `to`.
std::string changed(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  if (at == text.npos || text.find(from, at + 1) != text.npos) {
    throw Failure(std::format("'{}' is not there once", from));
  }
  return text.replace(at, from.size(), to);
}

TEST(Timeline, a_job_is_told_from_submission_to_fence_on_one_clock) {
  const Told told = tell_example();
  EXPECT_THAT(told.summary.complaint(), IsEmpty());
  const auto jobs = told.jobs();
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0]["name"], "job 1 of queue 0");
  // The device's clock is 5 s ahead, and goes by 1000 parts in a million faster.
  EXPECT_EQ(jobs[0]["args"]["stages"], Json({{"submitted", 10'000'100.000},
                                             {"emitted", 10'000'120.000},
                                             {"doorbell", 10'000'121.000},
                                             {"begun", 10'000'130.000},
                                             {"released", 10'000'500.000},
                                             {"reported", 10'000'501.000},
                                             {"heard", 10'000'510.000},
                                             {"ended", 10'000'511.000},
                                             {"signalled", 10'000'512.000}}));
  EXPECT_EQ(jobs[0]["args"]["submitted by"], "stress 112");
  EXPECT_EQ(told.events("s", "job").size(), 2u);
  EXPECT_EQ(told.events("t", "job").size(), 14u);
  EXPECT_EQ(told.events("f", "job").size(), 2u);
}

TEST(Timeline, a_job_that_waits_for_another_gpu_says_so) {
  const Told told = tell_example();
  EXPECT_EQ(told.jobs()[1]["args"]["waits for"], Json({"GPU 0: job 1 of queue 0", "fence 99:1"}));
  EXPECT_EQ(told.events("s", "waited for").size(), 1u);
}

TEST(Timeline, fork_has_its_notifiers_and_what_they_wait_for_inside) {
  const Told told = tell_example();
  const auto forks = told.slices("fork");
  ASSERT_EQ(forks.size(), 1u);
  EXPECT_EQ(told.track(forks[0]), "stress 112 / stress 112");
  EXPECT_EQ(forks[0]["args"]["child"], 120);
  const auto waits = told.slices("wait for GPU 1: job 1 of queue 0");
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(told.track(waits[0]), "stress 112 / stress 112");
  EXPECT_GE(waits[0]["ts"], forks[0]["ts"]);
  EXPECT_LE(waits[0]["ts"].get<double>() + waits[0]["dur"].get<double>(),
            forks[0]["ts"].get<double>() + forks[0]["dur"].get<double>());
  const auto notifiers = told.slices("PROTECTION_PAGE of vm 2");
  ASSERT_EQ(notifiers.size(), 1u);
  EXPECT_THAT(told.track(notifiers[0]), HasSubstr("driver of GPU 1 (0000:00:07.0) / notifiers"));
  EXPECT_EQ(notifiers[0]["args"]["of these asleep"], 900'000);
  EXPECT_EQ(notifiers[0]["args"]["called by"], "stress 112");
  EXPECT_EQ(told.events("s", "notifier").size(), 1u);
}

TEST(Timeline, engines_have_queues_and_these_have_packets) {
  const Told told = tell_example();
  // Preempted in the middle, and back on another engine: each packet has two parts.
  for (const char* const name : {"queue 0", "INDIRECT", "SPIN"}) {
    std::vector<std::string> tracks;
    for (const Json& slice : told.slices(name)) tracks.push_back(told.track(slice));
    EXPECT_THAT(tracks,
                ElementsAre("GPU 0 (0000:00:06.0) / engine 0", "GPU 1 (0000:00:07.0) / engine 0",
                            "GPU 1 (0000:00:07.0) / engine 1"))
        << name;
  }
  const auto ready = told.slices("READY");
  ASSERT_FALSE(ready.empty());
  EXPECT_EQ(told.track(ready[0]), "GPU 0 (0000:00:06.0) / queue 0");
}

TEST(Timeline, slices_of_a_track_nest) {
  const Json json = tell_example().json;
  EXPECT_THAT(badly_nested(json), IsEmpty());
}

TEST(Timeline, invalidations_faults_and_preemptions_have_both_sides) {
  const Told told = tell_example();
  EXPECT_EQ(told.events("b", "invalidation 3").size(), 2u);
  const auto faults = told.slices("fault at 0x5000");
  ASSERT_EQ(faults.size(), 2u);
  std::vector<std::string> tracks;
  for (const Json& slice : faults) tracks.push_back(told.track(slice));
  EXPECT_THAT(tracks, ElementsAre("GPU 1 (0000:00:07.0) / faults",
                                  "driver of GPU 1 (0000:00:07.0) / queue 0: faults"));
  EXPECT_EQ(told.track(told.slices("leaves the GPU").at(0)),
            "driver of GPU 1 (0000:00:07.0) / queue 0: preemption");
  EXPECT_EQ(told.slices("is off the GPU").size(), 1u);
  EXPECT_EQ(told.track(told.slices("reset").at(0)), "driver of GPU 1 (0000:00:07.0) / queue 0");
}

TEST(Timeline, what_it_does_not_know_is_shown_all_the_same) {
  const Told told = tell_example();
  for (const char* const name : {"figment_reset", "figment_new"}) {
    const auto marks = told.slices(name);
    ASSERT_EQ(marks.size(), 1u) << name;
    EXPECT_EQ(told.track(marks[0]), "driver of GPU 1 (0000:00:07.0) / other events");
  }
  EXPECT_EQ(told.track(told.slices("foreign").at(0)), "kworker/u8:2 55 / kworker/u8:2 55");
  EXPECT_EQ(told.slices("injected").size(), 1u);
}

TEST(Timeline, says_how_well_it_knows_the_clocks) {
  const Told told = tell_example();
  ASSERT_EQ(told.summary.clocks.size(), 2u);
  EXPECT_EQ(told.summary.clocks[0].uncertainty_ns, 1100u);
  EXPECT_GE(told.summary.clocks[0].pairs, 2u);
  EXPECT_EQ(told.summary.clocks[0].moved_ns, 0u);
  EXPECT_EQ(told.json["otherData"]["clocks"][0]["uncertainty_ns"], 1100);
  EXPECT_EQ(told.json["otherData"]["lost"], 0);
}

TEST(Timeline, no_effect_comes_before_its_cause) {
  // As if all that is known of the clock were wrong by 10 us.
  std::string recording = read_trace("recording");
  for (const auto& [from, to] : {std::pair{"before=9999999900", "before=9999989900"},
                                 std::pair{"after=10000000100", "after=9999990100"},
                                 std::pair{"before=10099999900", "before=10099989900"},
                                 std::pair{"after=10100000100", "after=10099990100"}}) {
    recording = changed(recording, from, to);
  }
  const Told told = tell(recording, {read_trace("gpu"), read_trace("gpu.1")});
  EXPECT_THAT(told.summary.complaint(), HasSubstr("the clock of 0000:00:06.0 is off"));
  EXPECT_GE(told.summary.clocks[0].moved_ns, 8'000u);
  const Json stages = told.jobs()[0]["args"]["stages"];
  double last = 0;
  for (const char* const stage : {"submitted", "emitted", "doorbell", "begun", "released",
                                  "reported", "heard", "ended", "signalled"}) {
    EXPECT_GT(stages[stage], last) << stage;
    last = stages[stage];
  }
}

TEST(Timeline, the_same_traces_are_the_same_text) {
  EXPECT_EQ(tell_example().text, tell_example().text);
}

TEST(Timeline, what_is_lost_or_cut_is_told) {
  const std::vector<std::string> gpus{read_trace("gpu"), read_trace("gpu.1")};
  const std::string recording = read_trace("recording");
  EXPECT_THAT(tell(changed(recording, "# lost 0", "# lost 7"), gpus).summary.complaint(),
              HasSubstr("lost 7 events"));
  const std::string cut = recording.substr(0, recording.find("fence_signaled"));
  const Told told = tell(cut, gpus);
  EXPECT_THAT(told.summary.complaint(), HasSubstr("breaks off"));
  EXPECT_THAT(badly_nested(told.json), IsEmpty());
}

TEST(Timeline, traces_that_do_not_belong_together_are_refused) {
  const std::string recording = read_trace("recording"), gpu = read_trace("gpu");
  EXPECT_THAT(complaint(recording, {gpu}), HasSubstr("of 2 GPUs, and there are traces of 1"));
  EXPECT_THAT(complaint("# figment-record 1\n# gpu 0000:00:06.0\n", {gpu}), HasSubstr("no events"));
  EXPECT_THAT(complaint(changed(recording, "device=0000:00:06.0 vm=1 kind",
                                "device=0000:00:09.0 vm=1 kind"),
                        {gpu, gpu}),
              HasSubstr("of a GPU that the recording does not name"));
  const std::string alone =
      "# figment-record 1\n# gpu 0000:00:06.0\n"
      "               a-1     (      1) [000] .....     2.000000: event: x=1\n";
  EXPECT_THAT(complaint(alone, {gpu}), HasSubstr("GPU 0: nobody has compared its clock"));
  EXPECT_THAT(complaint(recording, {gpu + "99999999999999 doorbell     queue=0\n", gpu}),
              HasSubstr("without write="));
}

// Whoever can write to the traces can have nothing made but a timeline or a complaint.
TEST(Timeline, changed_traces_give_a_timeline_or_a_complaint) {
  std::mt19937_64 random(1);
  const std::string recording = read_trace("recording"), gpu = read_trace("gpu");
  const std::string other = read_trace("gpu.1");
  constexpr std::string_view kBytes = "0123456789=: \n-x#[]\"\\\xff";
  const auto spoil = [&](std::string text) {
    for (std::uint64_t i = 0; i < 1 + random() % 3; ++i) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = kBytes[random() % kBytes.size()];
          break;
        case 1:
          text.erase(at, 1 + random() % 100);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 200));
      }
      if (text.empty()) text = "x";
    }
    return text;
  };
  unsigned told = 0, refused = 0;
  for (int i = 0; i < 400; ++i) {
    try {
      const Told result = i % 2 ? tell(spoil(recording), {gpu, other})
                                : tell(recording, {spoil(gpu), spoil(other)});
      EXPECT_THAT(badly_nested(result.json), IsEmpty());
      ++told;
    } catch (const Failure&) {
      ++refused;
    }
  }
  EXPECT_GT(told, 0u);
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace figment::host
