// SPDX-License-Identifier: MIT
#include "recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "process.h"

namespace figment::host {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string kRecording =
    "# figment-record 1\n"
    "# gpu 0000:00:06.0\n"
    "# gpu 0000:00:07.0\n"
    "          stress-112     (    110) [001] d..2.    13.555067: figment_job_end: "
    "device=0000:00:06.0 "
    "job=7 error=-5\n"
    "           <...>-113     (-------) [000] .....    13.555067: sched_process_exec: "
    "filename=/bin/a b\n"
    "# lost 0\n"
    "# status 0\n";

std::string complaint(const auto& parse) {
  try {
    parse();
    return "";
  } catch (const Failure& failure) {
    return failure.what();
  }
}

TEST(Recording, is_what_figment_record_writes) {
  const Recording recording = parse_recording(kRecording);
  EXPECT_THAT(recording.gpus, testing::ElementsAre("0000:00:06.0", "0000:00:07.0"));
  EXPECT_TRUE(recording.whole);
  EXPECT_EQ(recording.lost, 0u);
  EXPECT_THAT(recording.no_forks, IsEmpty());
  ASSERT_EQ(recording.events.size(), 2u);
  const GuestEvent& event = recording.events[0];
  EXPECT_EQ(event.comm, "stress");
  EXPECT_EQ(event.thread, 112u);
  EXPECT_EQ(event.process, 110u);
  EXPECT_EQ(event.ns, 13'555'067'000u);
  EXPECT_EQ(event.name, "figment_job_end");
  EXPECT_EQ(event.number("job"), 7u);
  EXPECT_EQ(event.signed_number("error"), -5);
  EXPECT_EQ(event.line, 4u);
  EXPECT_EQ(recording.events[1].process, 0u);
}

TEST(Recording, events_at_one_moment_keep_their_order_and_are_apart) {
  const Recording recording = parse_recording(kRecording);
  EXPECT_EQ(recording.events[1].name, "sched_process_exec");
  EXPECT_EQ(recording.events[1].ns, recording.events[0].ns + 1);
}

TEST(Recording, a_late_processor_is_put_into_order) {
  const Recording recording = parse_recording(
      "# figment-record 1\n"
      "               a-1     (      1) [000] .....     2.000000: second: x=1\n"
      "               a-1     (      1) [001] .....     1.000000: first: x=1\n");
  ASSERT_EQ(recording.events.size(), 2u);
  EXPECT_EQ(recording.events[0].name, "first");
}

TEST(Recording, a_name_may_be_anything) {
  const Recording recording = parse_recording(
      "# figment-record 1\n"
      " a-1 [000] 1.0: -7     (      7) [000] .....     1.000000: event: job=1 comm=job=9 x=0x10, "
      "y=2\n"
      "                -8     (      8) [000] .....     1.000000: empty:\n");
  ASSERT_EQ(recording.events.size(), 2u);
  EXPECT_EQ(recording.events[0].comm, "a-1 [000] 1.0: ");
  EXPECT_EQ(recording.events[0].thread, 7u);
  EXPECT_EQ(recording.events[0].number("job"), 1u) << "a name that is part of another is none";
  EXPECT_EQ(recording.events[0].number("x"), 16u);
  EXPECT_EQ(recording.events[0].number("y"), 2u);
  EXPECT_EQ(recording.events[0].find("z"), std::nullopt);
  EXPECT_THAT(recording.events[1].comm, IsEmpty());
}

TEST(Recording, of_two_values_the_last_one_counts) {
  TracedEvent event{.name = "sched_process_fork",
                    .pairs = "comm=x child_pid=9 pid=1 child_comm=c child_pid=2"};
  EXPECT_EQ(event.number("child_pid"), 2u);
}

TEST(Recording, one_that_breaks_off_is_read_up_to_there) {
  const std::size_t first_line = kRecording.find('\n') + 1;
  for (std::size_t cut = first_line; cut < kRecording.size(); ++cut) {
    const Recording recording = parse_recording(kRecording.substr(0, cut));
    EXPECT_FALSE(recording.whole) << cut;
    EXPECT_LE(recording.events.size(), 2u);
  }
  EXPECT_THAT(complaint([] { parse_recording(""); }), IsEmpty()) << "nothing is an empty one";
}

TEST(Recording, lost_events_are_counted_by_whoever_tells) {
  const std::string begin = "# figment-record 1\n";
  EXPECT_EQ(parse_recording(begin + "# lost 3\n# status 0\n").lost, 3u);
  EXPECT_EQ(parse_recording(begin + "CPU:0 [LOST 4 EVENTS]\nCPU:1 [LOST 5 EVENTS]\n").lost, 9u);
}

TEST(Recording, why_there_are_no_forks_is_kept) {
  EXPECT_EQ(parse_recording("# figment-record 1\n# no times of fork(): No such file\n").no_forks,
            "No such file");
}

TEST(Recording, what_is_none_is_told_with_its_line) {
  EXPECT_THAT(complaint([] { parse_recording("hello\n"); }), HasSubstr("is no recording"));
  const std::string begin = "# figment-record 1\n";
  for (const char* const line :
       {"hello", "               a 1     (      1) [000] .....     2.000000: event: x=1",
        "               a-x     (      1) [000] .....     2.000000: event: x=1",
        "               a-1     (      1) [000] .....     2.0000: event: x=1",
        "               a-1     (      1) [000] .....     -.000000: event: x=1",
        "               a-1     (      1) [000] .....     2.000000: event",
        "               a-1     (      1) [000",
        "               a-99999999999    (      1) [000] .....     2.000000: event: x=1",
        "CPU:0 [LOST many EVENTS]", "", "\xff\xfe"}) {
    EXPECT_THAT(complaint([&] { parse_recording(begin + line + "\n"); }), HasSubstr("line 2"))
        << line;
  }
}

TEST(Recording, a_pair_that_is_missing_or_no_number_is_told) {
  const TracedEvent event{.name = "doorbell", .pairs = "queue=x write=0x", .line = 12};
  EXPECT_THAT(complaint([&] { event.number("queue"); }),
              testing::AllOf(HasSubstr("line 12"), HasSubstr("queue=x")));
  EXPECT_THAT(complaint([&] { event.number("write"); }), HasSubstr("no number"));
  EXPECT_THAT(complaint([&] { event.signed_number("queue"); }), HasSubstr("no number"));
  EXPECT_THAT(complaint([&] { event.number("engine"); }), HasSubstr("without engine="));
}

std::vector<TracedEvent> gpu_trace(const std::string& text) {
  std::istringstream stream(text);
  return parse_gpu_trace(stream);
}

TEST(GpuTrace, is_read_without_accesses) {
  const auto events = gpu_trace(
      "    123456789 doorbell     queue=3 write=0x50\n"
      "    123456790 walk         asid=1 va=0x1000 level=3 entry=0x1\n"
      "    123456790 tlb_hit      asid=1 va=0x1000 entry=0x1\n"
      "    123456790 prefetch     asid=1 va=0x1000 entry=0x1\n"
      "    123456791 reset        \n");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].ns, 123456789u);
  EXPECT_EQ(events[0].name, "doorbell");
  EXPECT_EQ(events[0].number("write"), 0x50u);
  EXPECT_EQ(events[1].name, "reset");
  EXPECT_EQ(events[1].line, 5u);
}

TEST(GpuTrace, the_last_line_may_be_cut) {
  const auto events = gpu_trace("  1 interrupt    vector=0\n  2 inter");
  EXPECT_EQ(events.size(), 1u);
}

TEST(GpuTrace, what_is_none_is_told_with_its_line) {
  EXPECT_THAT(complaint([] { gpu_trace("  1 reset\nhello\n"); }), HasSubstr("line 2"));
  EXPECT_THAT(complaint([] { gpu_trace("  12\n"); }), HasSubstr("line 1"));
  EXPECT_THAT(complaint([] { gpu_trace("\n"); }), HasSubstr("line 1"));
  EXPECT_THAT(complaint([] { gpu_trace("  5 reset\n  4 reset\n"); }), HasSubstr("time goes back"));
}

}  // namespace
}  // namespace figment::host
