// SPDX-License-Identifier: MIT
//
// `run --timeline`: what driver and GPUs really did, on one clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "scenario.h"
#include "timeline_jobs.h"
#include "traces.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::StartsWith;
using Json = nlohmann::json;

// Jobs of the timeline that have ended.
std::vector<Json> jobs_of(const Json& timeline) {
  std::vector<Json> jobs;
  for (const Json& event : timeline["traceEvents"]) {
    if (event["ph"] == "b" && event["cat"] == "job" && !event["args"].contains("end")) {
      jobs.push_back(event);
    }
  }
  return jobs;
}

std::set<std::string> slices_of(const Json& timeline) {
  std::set<std::string> names;
  for (const Json& event : timeline["traceEvents"]) {
    if (event["ph"] == "X") names.insert(event["name"].get<std::string>());
  }
  return names;
}

std::set<std::string> tracks_of(const Json& timeline) {
  std::set<std::string> names;
  for (const Json& event : timeline["traceEvents"]) {
    if (event["name"] == "process_name") names.insert(event["args"]["name"].get<std::string>());
  }
  return names;
}

// Stages of a job that are there, and whether each comes after the one before it.
void expect_in_order(const Json& job) {
  const Json& stages = job["args"]["stages"];
  double last = 0;
  for (std::size_t i = 0; i < kJobStages; ++i) {
    const std::string name{name_of(static_cast<JobStage>(i))};
    if (!stages.contains(name)) continue;
    EXPECT_GE(stages[name].get<double>(), last) << name << " of " << job.dump();
    last = stages[name];
  }
}

// What is certain of each GPU: the clocks are known to within less than a job takes, none had to be
// bent, and there was something to find that out by.
void expect_sound_clocks(const Json& timeline, std::size_t gpus, const std::vector<Json>& jobs) {
  ASSERT_FALSE(jobs.empty());
  std::vector<double> times_us;
  for (const Json& job : jobs) {
    const Json& stages = job["args"]["stages"];
    times_us.push_back(stages.at("signalled").get<double>() - stages.at("submitted").get<double>());
  }
  const Json& clocks = timeline["otherData"]["clocks"];
  ASSERT_EQ(clocks.size(), gpus);
  for (const Json& clock : clocks) {
    EXPECT_LE(clock["moved_ns"], clock["uncertainty_ns"]) << clock.dump();
    EXPECT_GT(clock["pairs"], 10) << clock.dump();
    EXPECT_GT(clock["looks"], 2) << clock.dump();
    EXPECT_LT(clock["uncertainty_ns"].get<double>() / 1000, std::ranges::min(times_us));
  }
}

TEST(Timeline, has_what_two_gpus_and_the_driver_did_while_processes_forked) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "it.json";
  // On the first GPU jobs that the kernel waits for; on the other one it takes pages away.
  const Finished run = run_figment(
      {"run", "--gpus", "2", "--timeline", file, "--", "sh", "-c",
       "set -e; figment-stress --strategy fence --scenario both --seconds 2 --size 64K >&2; "
       "figment-stress --gpu 1 --strategy preempt,fault --scenario both --seconds 1 --size 64K "
       ">&2; "
       "exit 7"});
  EXPECT_EQ(run.status, 7) << run.err;
  EXPECT_THAT(run.err, HasSubstr("figment: timeline: "));
  const Json timeline = Json::parse(read_file(file));
  EXPECT_THAT(badly_nested(timeline), IsEmpty());
  const auto jobs = jobs_of(timeline);
  expect_sound_clocks(timeline, 2, jobs);
  EXPECT_EQ(timeline["otherData"]["lost"], 0);
  EXPECT_EQ(timeline["otherData"]["whole"], 1);
  EXPECT_FALSE(timeline["otherData"].contains("no times of fork()"));

  std::set<std::int64_t> drivers;
  std::size_t complete = 0;
  for (const Json& job : jobs) {
    expect_in_order(job);
    drivers.insert(job["pid"].get<std::int64_t>());
    complete += job["args"]["stages"].size() == kJobStages;
    EXPECT_TRUE(job["args"]["stages"].contains("begun")) << job.dump();
  }
  EXPECT_EQ(drivers.size(), 2u);
  // An interrupt may be late: then another one has told of the job already.
  EXPECT_GT(complete, jobs.size() / 4);

  for (const char* const track : {"driver of GPU 0 (", "GPU 0 (", "driver of GPU 1 (", "GPU 1 ("}) {
    EXPECT_THAT(tracks_of(timeline), Contains(StartsWith(track)));
  }
  const auto slices = slices_of(timeline);
  EXPECT_THAT(slices, IsSupersetOf({"fork", "submit", "doorbell", "READY", "PREEMPTED", "FAULTED",
                                    "INDIRECT", "FILL", "RELEASE", "FENCE", "FAULT", "interrupt 0",
                                    "fence signals", "bind USERPTR", "leaves the GPU",
                                    "is off the GPU", "wait for a user fence"}));
  EXPECT_THAT(slices, Contains(HasSubstr("PROTECTION_PAGE of vm ")));
  EXPECT_THAT(slices, Contains(HasSubstr("notifier of GPU 1, vm ")));
  EXPECT_THAT(slices, Contains(HasSubstr("fault at 0x")));
  EXPECT_THAT(slices, Contains(HasSubstr("wait for GPU 0: job ")));
}

TEST(Timeline, of_a_seed_is_the_same_each_time) {
  const TemporaryFolder folder;
  std::string told[2];
  for (int i = 0; i < 2; ++i) {
    const fs::path file = folder.path() / std::to_string(i);
    const Finished run =
        run_figment({"run", "--seed", "5", "--timeline", file, "--", "figment-stress", "--strategy",
                     "fence", "--scenario", "both", "--seconds", "0.2", "--size", "64K"});
    EXPECT_EQ(run.status, 0) << run.err;
    told[i] = read_file(file);
  }
  const Json timeline = Json::parse(told[0]);
  const auto jobs = jobs_of(timeline);
  expect_sound_clocks(timeline, 1, jobs);
  std::ranges::for_each(jobs, expect_in_order);
  EXPECT_TRUE(told[0] == told[1]) << "timelines differ";
}

TEST(Timeline, of_a_guest_that_dies_has_what_came_before) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "it.json", trace = folder.path() / "trace";
  const Finished run =
      run_figment({"run", "--timeline", file, "--trace", trace, "--", "sh", "-c",
                   "figment-info >/dev/null; sleep 1; echo c > /proc/sysrq-trigger"});
  EXPECT_EQ(run.status, 3) << run.err;
  EXPECT_THAT(run.err, HasSubstr("the recording breaks off"));
  const Json timeline = Json::parse(read_file(file));
  EXPECT_EQ(timeline["otherData"]["whole"], 0);
  EXPECT_TRUE(fs::exists(trace)) << "it was asked for";
}

TEST(Timeline, does_not_count_as_a_word_of_the_command) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "it.json";
  // Its one word comes when the recording has begun.
  const Finished run = run_figment(
      {"run", "--timeline", file, "--silence", "3", "--", "sh", "-c", "echo up; sleep 1000"});
  EXPECT_EQ(run.status, 124) << run.err;
  EXPECT_THAT(run.err, HasSubstr("the recording breaks off"));
  EXPECT_EQ(Json::parse(read_file(file))["otherData"]["whole"], 0);
}

TEST(Timeline, is_refused_before_the_guest_has_worked_for_it) {
  const Finished run = run_figment({"run", "--timeline", "/nowhere/it.json", "--", "true"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("--timeline: cannot write"), HasSubstr("/nowhere/it.json")));
  const Finished made = run_figment({"timeline", "/nowhere/recording", "/nowhere/trace"});
  EXPECT_EQ(made.status, 1);
  EXPECT_THAT(made.err, HasSubstr("/nowhere/recording"));
}

}  // namespace
}  // namespace figment::host
