// SPDX-License-Identifier: MIT
//
// The jobs of a timeline. Driver and GPU speak of the same job by different numbers: its fence, its
// number in its queue, where its packets are in the ring.
#ifndef FIGMENT_PROGRAM_TIMELINE_JOBS_H
#define FIGMENT_PROGRAM_TIMELINE_JOBS_H

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trace_json.h"

namespace figment::host {

// In the order of a job's life; a job that goes wrong does not have all of them.
enum class JobStage {
  submitted,  // the driver has it
  emitted,    // it is in the ring
  doorbell,   // the GPU was told
  begun,      // the GPU has its first packet
  released,   // and its last one
  reported,   // an event says that it has ended
  heard,      // the driver reads the event
  ended,      // the driver knows how
  signalled,  // who waits for it goes on
};
inline constexpr std::size_t kJobStages = static_cast<std::size_t>(JobStage::signalled) + 1;
std::string_view name_of(JobStage stage);

struct TimelineJob {
  unsigned gpu = 0;
  std::uint64_t queue = 0;
  std::uint64_t vm = 0;
  std::optional<std::uint64_t> number;  // in its queue, as soon as it is in the ring
  std::uint64_t begin = 0;              // its packets, in free-running bytes of the ring
  std::uint64_t end = 0;
  std::string submitter;
  std::int64_t error = 0;
  std::vector<std::size_t> waits_for;  // jobs
  std::vector<std::string> waits_for_others;
  std::array<std::optional<TraceJson::Spot>, kJobStages> stages;

  std::optional<TraceJson::Spot>& at(JobStage stage) {
    return stages[static_cast<std::size_t>(stage)];
  }
  const std::optional<TraceJson::Spot>& at(JobStage stage) const {
    return stages[static_cast<std::size_t>(stage)];
  }
  // The first time counts.
  void reach(JobStage stage, TraceJson::Spot spot);
  // "job 7 of queue 2"
  std::string name() const;
};

class TimelineJobs {
 public:
  using Index = std::size_t;
  // A fence is of a job: the one that others see, or, for a job without, that of the ring.
  struct Fence {
    std::uint64_t context = 0;
    std::uint64_t seqno = 0;
  };

  Index add(TimelineJob job);
  TimelineJob& operator[](Index job) { return jobs_[job]; }
  const std::vector<TimelineJob>& all() const { return jobs_; }

  // Traces of fences have the low 32 bits of each number; so have these.
  void name_by_fence(Index job, Fence fence);
  std::optional<Index> of_fence(Fence fence) const;

  // It is in the ring, until end_of() finds it.
  void emit(Index job);
  std::optional<Index> in_ring(unsigned gpu, std::uint64_t queue,
                               const std::function<bool(const TimelineJob&)>& is_it) const;
  std::optional<Index> end_of(unsigned gpu, std::uint64_t queue, std::uint64_t number);

  // A slice for each, from its first stage to its last one, and arrows along it and between jobs
  // that wait for each other. `pid_of`: the process of the driver of a GPU.
  void draw(TraceJson& json, const std::function<std::uint64_t(unsigned gpu)>& pid_of,
            std::uint64_t end_ns) const;

 private:
  using Key = std::pair<std::uint32_t, std::uint32_t>;
  static Key key(Fence fence);

  std::vector<TimelineJob> jobs_;
  std::map<Key, Index> by_fence_;
  std::map<std::pair<unsigned, std::uint64_t>, std::vector<Index>> rings_;
};

}  // namespace figment::host

#endif
