// SPDX-License-Identifier: MIT
//
// What driver and kernel did, as tracks of a timeline: for each GPU a process with the driver's
// queues, notifiers and interrupts; and the guest's own processes and threads, with their forks,
// their submissions and what they waited for.
#ifndef FIGMENT_PROGRAM_TIMELINE_DRIVER_H
#define FIGMENT_PROGRAM_TIMELINE_DRIVER_H

#include <deque>
#include <map>

#include "recording.h"
#include "timeline_jobs.h"

namespace figment::host {

class DriverTracks {
 public:
  DriverTracks(TraceJson& json, TimelineJobs& jobs, const std::vector<std::string>& gpus);

  void take(const GuestEvent& event, std::uint64_t ns);
  // After the last event: names that were not known before.
  void finish();

 private:
  using Take = void (DriverTracks::*)(const GuestEvent&, std::uint64_t);
  static const std::map<std::string_view, Take>& takes();

  struct Process {
    std::string name;
    std::int64_t order = 0;
  };

  void job_submit(const GuestEvent& event, std::uint64_t ns);
  void job_emit(const GuestEvent& event, std::uint64_t ns);
  void job_end(const GuestEvent& event, std::uint64_t ns);
  void fence_signaled(const GuestEvent& event, std::uint64_t ns);
  void fence_wait(const GuestEvent& event, std::uint64_t ns);
  void fence_wait_done(const GuestEvent& event, std::uint64_t ns);
  void dependency(const GuestEvent& event, std::uint64_t ns);
  void notifier(const GuestEvent& event, std::uint64_t ns);
  void notifier_done(const GuestEvent& event, std::uint64_t ns);
  void bind(const GuestEvent& event, std::uint64_t ns);
  void invalidate(const GuestEvent& event, std::uint64_t ns);
  void invalidated(const GuestEvent& event, std::uint64_t ns);
  void fault(const GuestEvent& event, std::uint64_t ns);
  void fault_done(const GuestEvent& event, std::uint64_t ns);
  void preempt(const GuestEvent& event, std::uint64_t ns);
  void preempt_done(const GuestEvent& event, std::uint64_t ns);
  void resume(const GuestEvent& event, std::uint64_t ns);
  void reset(const GuestEvent& event, std::uint64_t ns);
  void hardware_event(const GuestEvent& event, std::uint64_t ns);
  void user_fence_wake(const GuestEvent& event, std::uint64_t ns);
  void user_fence_wait(const GuestEvent& event, std::uint64_t ns);
  void user_fence_wait_done(const GuestEvent& event, std::uint64_t ns);
  void fork_begin(const GuestEvent& event, std::uint64_t ns);
  void fork_end(const GuestEvent& event, std::uint64_t ns);
  void process_mark(const GuestEvent& event, std::uint64_t ns);
  void nothing(const GuestEvent& event, std::uint64_t ns);
  void other(const GuestEvent& event, std::uint64_t ns);

  unsigned gpu_of(const TracedEvent& event) const;
  std::string fence_name(TimelineJobs::Fence fence) const;
  TraceJson::Lane driver_lane(unsigned gpu, std::uint64_t tid, std::string_view name);
  TraceJson::Lane queue_lane(unsigned gpu, std::uint64_t queue);
  TraceJson::Lane fault_lane(const TracedEvent& event);
  TraceJson::Lane preemption_lane(const TracedEvent& event);
  TraceJson::Lane interrupt_lane(unsigned gpu);
  TraceJson::Lane notifier_lane(unsigned gpu);
  TraceJson::Lane thread_lane(const GuestEvent& event);

  TraceJson& json_;
  TimelineJobs& jobs_;
  std::map<std::string, unsigned, std::less<>> gpus_;
  // Open calls, by GPU, VM and thread, in the order in which they came.
  std::map<std::tuple<unsigned, std::uint64_t, std::uint32_t>, std::deque<TraceJson::Lane>> calls_;
  std::map<std::pair<unsigned, std::uint64_t>, std::pair<GuestEvent, std::uint64_t>> invalidations_;
  std::map<std::uint32_t, Process> processes_;
};

}  // namespace figment::host

#endif
