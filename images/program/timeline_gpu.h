// SPDX-License-Identifier: MIT
//
// What a GPU did, as tracks of a timeline: a thread for each engine, with its queues and their
// packets; one for each queue, with its states and doorbells; events and interrupts; faults.
#ifndef FIGMENT_PROGRAM_TIMELINE_GPU_H
#define FIGMENT_PROGRAM_TIMELINE_GPU_H

#include <map>

#include "timeline_jobs.h"
#include "traced_event.h"

namespace figment::host {

class GpuTracks {
 public:
  GpuTracks(TraceJson& json, TimelineJobs& jobs, unsigned gpu, const std::string& address);

  // What came before the first one that is drawn only says in which state it was.
  void take(const TracedEvent& event, std::uint64_t ns);
  // From now on there are tracks.
  void begin_drawing(std::uint64_t ns);

 private:
  struct Queue {
    std::uint64_t state = 0;
    std::optional<std::uint64_t> engine;
    std::vector<TracedEvent> packets;  // that it is in, the innermost one last
  };

  void doorbell(const TracedEvent& event, std::uint64_t ns);
  void queue_state(const TracedEvent& event, std::uint64_t ns);
  void schedule(const TracedEvent& event, std::uint64_t ns);
  void deschedule(const TracedEvent& event, std::uint64_t ns);
  void packet(const TracedEvent& event, std::uint64_t ns);
  void retire(const TracedEvent& event, std::uint64_t ns);
  void invalidate(const TracedEvent& event, std::uint64_t ns);
  void invalidated(const TracedEvent& event, std::uint64_t ns);
  void report(const TracedEvent& event, std::uint64_t ns);
  void interrupt(const TracedEvent& event, std::uint64_t ns);
  void fault(const TracedEvent& event, std::uint64_t ns);
  void queue_error(const TracedEvent& event, std::uint64_t ns);
  void other(const TracedEvent& event, std::uint64_t ns);

  TraceJson::Lane engine_lane(std::uint64_t engine);
  TraceJson::Lane queue_lane(std::uint64_t queue);
  TraceJson::Lane lane(std::uint64_t tid, std::string_view name);
  void open_state(std::uint64_t queue, std::uint64_t ns);
  void open_turn(std::uint64_t engine, std::uint64_t queue, std::uint64_t ns);
  void open_packet(std::uint64_t engine, const TracedEvent& packet, std::uint64_t ns);
  void reach_by_packet(const TracedEvent& packet, TraceJson::Spot spot);

  TraceJson& json_;
  TimelineJobs& jobs_;
  unsigned gpu_;
  std::uint64_t pid_;
  bool drawing_ = false;
  std::map<std::uint64_t, Queue> queues_;
  std::map<std::uint64_t, std::pair<TracedEvent, std::uint64_t>> invalidations_;  // by number
};

// Of an entry of the event ring, by its type.
std::string event_name(std::uint64_t type);

// The numbers of these processes in a timeline are beyond those that a guest's have.
std::uint64_t gpu_pid(unsigned gpu);
std::uint64_t driver_pid(unsigned gpu);

}  // namespace figment::host

#endif
