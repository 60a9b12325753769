// SPDX-License-Identifier: MIT
#include "timeline_jobs.h"

#include <algorithm>
#include <array>
#include <format>

namespace figment::host {

namespace {

constexpr std::array<std::string_view, kJobStages> kStageNames = {
    "submitted", "emitted", "doorbell", "begun",    "released",
    "reported",  "heard",   "ended",    "signalled"};

std::string micros(std::uint64_t ns) {
  return std::format("{}.{:03}", ns / 1000, ns % 1000);
}

}  // namespace

std::string_view name_of(JobStage stage) {
  return kStageNames[static_cast<std::size_t>(stage)];
}

void TimelineJob::reach(JobStage stage, TraceJson::Spot spot) {
  if (!at(stage)) at(stage) = spot;
}

std::string TimelineJob::name() const {
  if (!number) return std::format("a job of queue {} that is not in the ring", queue);
  return std::format("job {} of queue {}", *number, queue);
}

TimelineJobs::Index TimelineJobs::add(TimelineJob job) {
  jobs_.push_back(std::move(job));
  return jobs_.size() - 1;
}

TimelineJobs::Key TimelineJobs::key(Fence fence) {
  return {static_cast<std::uint32_t>(fence.context), static_cast<std::uint32_t>(fence.seqno)};
}

void TimelineJobs::name_by_fence(Index job, Fence fence) {
  by_fence_[key(fence)] = job;
}

std::optional<TimelineJobs::Index> TimelineJobs::of_fence(Fence fence) const {
  const auto at = by_fence_.find(key(fence));
  if (at == by_fence_.end()) return std::nullopt;
  return at->second;
}

void TimelineJobs::emit(Index job) {
  rings_[{jobs_[job].gpu, jobs_[job].queue}].push_back(job);
}

std::optional<TimelineJobs::Index> TimelineJobs::in_ring(
    unsigned gpu, std::uint64_t queue, const std::function<bool(const TimelineJob&)>& is_it) const {
  const auto ring = rings_.find({gpu, queue});
  if (ring == rings_.end()) return std::nullopt;
  const auto job = std::ranges::find_if(ring->second, [&](Index i) { return is_it(jobs_[i]); });
  if (job == ring->second.end()) return std::nullopt;
  return *job;
}

std::optional<TimelineJobs::Index> TimelineJobs::end_of(unsigned gpu, std::uint64_t queue,
                                                        std::uint64_t number) {
  const auto job = in_ring(gpu, queue, [&](const TimelineJob& it) { return it.number == number; });
  if (job) std::erase(rings_[{gpu, queue}], *job);
  return job;
}

void TimelineJobs::draw(TraceJson& json, const std::function<std::uint64_t(unsigned)>& pid_of,
                        std::uint64_t end_ns) const {
  for (Index i = 0; i < jobs_.size(); ++i) {
    const TimelineJob& job = jobs_[i];
    std::vector<TraceJson::Spot> spots;
    std::string stages, waits;
    for (std::size_t stage = 0; stage < kJobStages; ++stage) {
      const auto& spot = job.stages[stage];
      if (!spot) continue;
      spots.push_back(*spot);
      stages += std::format("{}{}:{}", stages.empty() ? "" : ",", quoted_json(kStageNames[stage]),
                            micros(spot->ns));
    }
    const auto wait = [&](const std::string& text) {
      waits += (waits.empty() ? "" : ",") + quoted_json(text);
    };
    for (const Index other : job.waits_for) {
      wait(std::format("GPU {}: {}", jobs_[other].gpu, jobs_[other].name()));
      const auto& from = jobs_[other].at(JobStage::signalled);
      const auto& to = job.at(JobStage::emitted);
      if (from && to && from->ns < to->ns) json.arrow("waited for", {*from, *to});
    }
    std::ranges::for_each(job.waits_for_others, wait);
    const bool over = job.at(JobStage::ended) || job.at(JobStage::signalled);
    const auto order = [](const auto& a, const auto& b) { return a.ns < b.ns; };
    const auto [first, last] = std::ranges::minmax(spots, order);
    Details details;
    details.text("submitted by", job.submitter).number("vm", job.vm);
    if (job.error != 0) details.number("error", job.error);
    if (!over) details.text("end", "not in this trace");
    details.json("waits for", "[" + waits + "]").json("stages", "{" + stages + "}");
    json.overlapping(pid_of(job.gpu), "job", std::format("job-{}", i), job.name(), first.ns,
                     over ? last.ns : std::max(last.ns, end_ns), details);
    json.arrow("job", std::move(spots));
  }
}

}  // namespace figment::host
