// SPDX-License-Identifier: MIT
#include "timeline_driver.h"

#include <format>

#include "figment_hw.h"
#include "process.h"
#include "timeline_gpu.h"

namespace figment::host {

namespace {

// Numbers of threads of the driver of a GPU: in this order they are shown.
constexpr std::uint64_t kInterrupts = 1;
constexpr std::uint64_t kOther = 2;
constexpr std::uint64_t kNotifiers = 100;
constexpr std::uint64_t kQueues = 10'000;
constexpr std::uint64_t kLanesOfQueue = 3;
// Processes of the guest come behind the GPUs.
constexpr std::int64_t kFirstProcess = 1000;

// A thread may have an empty name.
std::string label(const GuestEvent& event) {
  return std::format("{} {}", event.comm.empty() ? "thread" : event.comm, event.thread);
}

}  // namespace

DriverTracks::DriverTracks(TraceJson& json, TimelineJobs& jobs,
                           const std::vector<std::string>& gpus)
    : json_(json), jobs_(jobs) {
  for (unsigned gpu = 0; gpu < gpus.size(); ++gpu) {
    gpus_[gpus[gpu]] = gpu;
    json.process(driver_pid(gpu), std::format("driver of GPU {} ({})", gpu, gpus[gpu]), 2 * gpu);
  }
}

const std::map<std::string_view, DriverTracks::Take>& DriverTracks::takes() {
  static const std::map<std::string_view, Take> kTakes = {
      {"figment_job_submit", &DriverTracks::job_submit},
      {"figment_job_emit", &DriverTracks::job_emit},
      {"figment_job_end", &DriverTracks::job_end},
      {"figment_notifier", &DriverTracks::notifier},
      {"figment_notifier_done", &DriverTracks::notifier_done},
      {"figment_bind", &DriverTracks::bind},
      {"figment_invalidate", &DriverTracks::invalidate},
      {"figment_invalidated", &DriverTracks::invalidated},
      {"figment_fault", &DriverTracks::fault},
      {"figment_fault_done", &DriverTracks::fault_done},
      {"figment_preempt", &DriverTracks::preempt},
      {"figment_preempt_done", &DriverTracks::preempt_done},
      {"figment_resume", &DriverTracks::resume},
      {"figment_reset", &DriverTracks::reset},
      {"figment_event", &DriverTracks::hardware_event},
      {"figment_user_fence_wake", &DriverTracks::user_fence_wake},
      {"figment_user_fence_wait", &DriverTracks::user_fence_wait},
      {"figment_user_fence_wait_done", &DriverTracks::user_fence_wait_done},
      {"figment_clock", &DriverTracks::nothing},
      {"dma_fence_signaled", &DriverTracks::fence_signaled},
      {"dma_fence_wait_start", &DriverTracks::fence_wait},
      {"dma_fence_wait_end", &DriverTracks::fence_wait_done},
      {"drm_sched_job_add_dep", &DriverTracks::dependency},
      // These say again what the driver says.
      {"drm_sched_job_queue", &DriverTracks::nothing},
      {"drm_sched_job_run", &DriverTracks::nothing},
      {"drm_sched_job_done", &DriverTracks::nothing},
      {"fork_begin", &DriverTracks::fork_begin},
      {"fork_end", &DriverTracks::fork_end},
      {"sched_process_fork", &DriverTracks::process_mark},
      {"sched_process_exec", &DriverTracks::process_mark},
      {"sched_process_exit", &DriverTracks::process_mark},
  };
  return kTakes;
}

void DriverTracks::take(const GuestEvent& event, std::uint64_t ns) {
  const auto take = takes().find(event.name);
  (this->*(take == takes().end() ? &DriverTracks::other : take->second))(event, ns);
}

void DriverTracks::finish() {
  for (const auto& [pid, process] : processes_) {
    json_.process(pid, std::format("{} {}", process.name, pid), process.order);
  }
}

// --- lanes -----------------------------------------------------------------

unsigned DriverTracks::gpu_of(const TracedEvent& event) const {
  const auto gpu = gpus_.find(event.word("device"));
  if (gpu != gpus_.end()) return gpu->second;
  throw Failure(std::format("line {}: {} is of a GPU that the recording does not name", event.line,
                            event.name));
}

TraceJson::Lane DriverTracks::driver_lane(unsigned gpu, std::uint64_t tid, std::string_view name) {
  return json_.lane(driver_pid(gpu), tid, name);
}

TraceJson::Lane DriverTracks::queue_lane(unsigned gpu, std::uint64_t queue) {
  return driver_lane(gpu, kQueues + kLanesOfQueue * queue, std::format("queue {}", queue));
}

TraceJson::Lane DriverTracks::fault_lane(const TracedEvent& event) {
  const std::uint64_t queue = event.number("queue");
  return driver_lane(gpu_of(event), kQueues + kLanesOfQueue * queue + 1,
                     std::format("queue {}: faults", queue));
}

TraceJson::Lane DriverTracks::preemption_lane(const TracedEvent& event) {
  const std::uint64_t queue = event.number("queue");
  return driver_lane(gpu_of(event), kQueues + kLanesOfQueue * queue + 2,
                     std::format("queue {}: preemption", queue));
}

TraceJson::Lane DriverTracks::interrupt_lane(unsigned gpu) {
  return driver_lane(gpu, kInterrupts, "events");
}

// Calls overlap, and not as brackets do: each has a lane for itself while it lasts.
TraceJson::Lane DriverTracks::notifier_lane(unsigned gpu) {
  for (std::uint64_t i = 0;; ++i) {
    const auto lane = driver_lane(gpu, kNotifiers + i, "notifiers");
    if (json_.depth(lane) == 0) return lane;
  }
}

TraceJson::Lane DriverTracks::thread_lane(const GuestEvent& event) {
  const std::uint32_t pid = event.process != 0 ? event.process : event.thread;
  const auto [process, fresh] = processes_.try_emplace(
      pid, Process{.name = event.comm,
                   .order = kFirstProcess + static_cast<std::int64_t>(processes_.size())});
  // A process is called as its first thread is, and as it is called last.
  if (!fresh && event.thread == pid) process->second.name = event.comm;
  const auto lane = json_.lane(pid, event.thread, "");
  json_.rename(lane, label(event));
  return lane;
}

// --- jobs and fences -------------------------------------------------------

std::string DriverTracks::fence_name(TimelineJobs::Fence fence) const {
  const auto job = jobs_.of_fence(fence);
  if (!job) return std::format("fence {}:{}", fence.context, fence.seqno);
  const TimelineJob& it = jobs_.all()[*job];
  return std::format("GPU {}: {}", it.gpu, it.name());
}

void DriverTracks::job_submit(const GuestEvent& event, std::uint64_t ns) {
  const auto job = jobs_.add({.gpu = gpu_of(event),
                              .queue = event.number("queue"),
                              .vm = event.number("vm"),
                              .submitter = label(event)});
  jobs_.name_by_fence(job, {event.number("context"), event.number("seqno")});
  const auto spot = json_.mark(thread_lane(event), ns, "submit",
                               Details()
                                   .number("gpu", std::uint64_t{jobs_[job].gpu})
                                   .number("queue", jobs_[job].queue)
                                   .number("vm", jobs_[job].vm)
                                   .hex("address", event.number("address"))
                                   .number("size", event.number("size")));
  jobs_[job].reach(JobStage::submitted, spot);
}

void DriverTracks::job_emit(const GuestEvent& event, std::uint64_t ns) {
  const TimelineJobs::Fence visible{event.number("context"), event.number("seqno")};
  const unsigned gpu = gpu_of(event);
  auto job = visible.context != 0 ? jobs_.of_fence(visible) : std::nullopt;
  if (!job) {
    // Long-running, and emitted by who has submitted it; or submitted before the recording began.
    job = jobs_.add({.gpu = gpu,
                     .queue = event.number("queue"),
                     .vm = event.number("vm"),
                     .submitter = visible.context == 0 ? label(event) : "not in this trace"});
    if (visible.context == 0) {
      const auto spot = json_.mark(thread_lane(event), ns, "submit",
                                   Details()
                                       .number("gpu", std::uint64_t{gpu})
                                       .number("queue", event.number("queue"))
                                       .number("vm", event.number("vm")));
      jobs_[*job].reach(JobStage::submitted, spot);
    }
    jobs_.name_by_fence(*job, visible.context != 0 ? visible
                                                   : TimelineJobs::Fence{event.number("hw_context"),
                                                                         event.number("job")});
  }
  TimelineJob& it = jobs_[*job];
  it.number = event.number("job");
  it.begin = event.number("begin");
  it.end = event.number("end");
  jobs_.emit(*job);
  it.reach(JobStage::emitted,
           json_.mark(queue_lane(gpu, it.queue), ns, std::format("job {} emitted", *it.number),
                      Details().number("doorbell", event.number("rung"))));
}

void DriverTracks::job_end(const GuestEvent& event, std::uint64_t ns) {
  const unsigned gpu = gpu_of(event);
  const std::uint64_t queue = event.number("queue"), number = event.number("job");
  const std::int64_t error = event.signed_number("error");
  Details details;
  if (error != 0) details.number("error", error);
  const auto spot =
      json_.mark(queue_lane(gpu, queue), ns,
                 std::format("job {} {}", number, error == 0 ? "ended" : "failed"), details);
  const auto job = jobs_.end_of(gpu, queue, number);
  if (!job) return;
  jobs_[*job].error = error;
  jobs_[*job].reach(JobStage::ended, spot);
}

void DriverTracks::fence_signaled(const GuestEvent& event, std::uint64_t ns) {
  const auto job = jobs_.of_fence({event.number("context"), event.number("seqno")});
  if (!job) return;
  TimelineJob& it = jobs_[*job];
  const auto spot = json_.mark(queue_lane(it.gpu, it.queue), ns, "fence signals",
                               Details().text("job", it.name()));
  it.reach(JobStage::signalled, spot);
}

void DriverTracks::fence_wait(const GuestEvent& event, std::uint64_t ns) {
  const TimelineJobs::Fence fence{event.number("context"), event.number("seqno")};
  json_.open(
      thread_lane(event), ns, std::format("wait for {}", fence_name(fence)),
      Details().text("driver", event.word("driver")).text("timeline", event.word("timeline")));
}

void DriverTracks::fence_wait_done(const GuestEvent& event, std::uint64_t ns) {
  json_.close(thread_lane(event), ns);
}

// "fence=1:2 depends on fence=3:4": the job of the first waits for the other.
void DriverTracks::dependency(const GuestEvent& event, std::uint64_t) {
  const auto parse = [&](std::string_view text) -> TimelineJobs::Fence {
    const std::size_t colon = text.find(':');
    const auto context = parse_number(text.substr(0, colon));
    const auto seqno = colon == text.npos ? std::nullopt : parse_number(text.substr(colon + 1));
    if (!context || !seqno)
      throw Failure(std::format("line {}: '{}' is no fence", event.line, text));
    return {*context, *seqno};
  };
  constexpr std::string_view kBegin = "fence=";
  const std::string_view first = event.pairs;
  if (!first.starts_with(kBegin)) throw Failure(std::format("line {}: no fence", event.line));
  const auto job =
      jobs_.of_fence(parse(first.substr(kBegin.size(), first.find(' ') - kBegin.size())));
  const TimelineJobs::Fence other = parse(event.word("fence"));
  if (!job) return;
  if (const auto known = jobs_.of_fence(other)) {
    jobs_[*job].waits_for.push_back(*known);
  } else {
    jobs_[*job].waits_for_others.push_back(fence_name(other));
  }
}

// --- memory ----------------------------------------------------------------

void DriverTracks::notifier(const GuestEvent& event, std::uint64_t ns) {
  const unsigned gpu = gpu_of(event);
  const std::uint64_t vm = event.number("vm");
  const auto lane = notifier_lane(gpu);
  const Details details = Details()
                              .text("called by", label(event))
                              .text("strategy", event.word("strategy"))
                              .number("busy", event.number("busy"))
                              .number("blockable", event.number("blockable"))
                              .hex("start", event.number("start"))
                              .hex("end", event.number("end"));
  const std::string reason{event.word("event")};
  const auto call = json_.open(lane, ns, std::format("{} of vm {}", reason, vm), details);
  const auto caller =
      json_.mark(thread_lane(event), ns, std::format("notifier of GPU {}, vm {}", gpu, vm),
                 Details().text("event", reason));
  json_.arrow("notifier", {caller, call});
  calls_[{gpu, vm, event.thread}].push_back(lane);
}

void DriverTracks::notifier_done(const GuestEvent& event, std::uint64_t ns) {
  auto& calls = calls_[{gpu_of(event), event.number("vm"), event.thread}];
  if (calls.empty()) return;
  json_.close(calls.front(), ns,
              Details()
                  .number("driver's ns", event.number("total_ns"))
                  .number("of these asleep", event.number("waited_ns"))
                  .number("pages", event.number("pages")));
  calls.pop_front();
}

void DriverTracks::bind(const GuestEvent& event, std::uint64_t ns) {
  json_.mark(thread_lane(event), ns, std::format("bind {}", event.word("kind")),
             Details()
                 .number("gpu", std::uint64_t{gpu_of(event)})
                 .number("vm", event.number("vm"))
                 .hex("address", event.number("address"))
                 .number("size", event.number("size")));
}

void DriverTracks::invalidate(const GuestEvent& event, std::uint64_t ns) {
  invalidations_.insert_or_assign({gpu_of(event), event.number("seq")}, std::pair{event, ns});
}

// One acknowledgement is for all before it, too.
void DriverTracks::invalidated(const GuestEvent& event, std::uint64_t ns) {
  const unsigned gpu = gpu_of(event);
  const auto end = invalidations_.upper_bound({gpu, event.number("seq")});
  for (auto at = invalidations_.lower_bound({gpu, 0}); at != end; at = invalidations_.erase(at)) {
    const auto& [command, since] = at->second;
    const std::uint64_t seq = at->first.second;
    json_.overlapping(driver_pid(gpu), "invalidation",
                      std::format("driver-{}-invalidation-{}", gpu, seq),
                      std::format("invalidation {}", seq), since, ns,
                      Details()
                          .text("issued by", label(command))
                          .number("vm", command.number("vm"))
                          .number("all", command.number("all"))
                          .hex("first", command.number("first"))
                          .hex("last", command.number("last")));
  }
}

// --- queues ----------------------------------------------------------------

void DriverTracks::fault(const GuestEvent& event, std::uint64_t ns) {
  const auto lane = fault_lane(event);
  // The one before was answered by the end of its queue.
  json_.close(lane, ns);
  json_.open(lane, ns, std::format("fault at {:#x}", event.number("address")),
             Details().number("access", event.number("access")).number("vm", event.number("vm")));
}

void DriverTracks::fault_done(const GuestEvent& event, std::uint64_t ns) {
  json_.close(
      fault_lane(event), ns,
      Details().number("error", event.signed_number("error")).text("answered by", label(event)));
}

void DriverTracks::preempt(const GuestEvent& event, std::uint64_t ns) {
  const auto lane = preemption_lane(event);
  json_.close(lane, ns);
  json_.open(lane, ns, "leaves the GPU", Details().text("asked by", label(event)));
}

void DriverTracks::preempt_done(const GuestEvent& event, std::uint64_t ns) {
  const auto lane = preemption_lane(event);
  json_.close(lane, ns, Details().number("saved", event.number("saved")));
  json_.open(lane, ns, "is off the GPU");
}

void DriverTracks::resume(const GuestEvent& event, std::uint64_t ns) {
  const auto lane = preemption_lane(event);
  json_.close(lane, ns, Details().text("resumed by", label(event)));
}

// Of a queue, or of all of the device.
void DriverTracks::reset(const GuestEvent& event, std::uint64_t ns) {
  const auto queue = parse_number(event.find("queue").value_or(""));
  if (!queue) return other(event, ns);
  json_.mark(queue_lane(gpu_of(event), *queue), ns, "reset",
             Details().text("what", event.pairs).text("in the context of", label(event)));
}

// --- events and user fences ------------------------------------------------

void DriverTracks::hardware_event(const GuestEvent& event, std::uint64_t ns) {
  const unsigned gpu = gpu_of(event);
  const std::uint64_t type = event.number("type"), queue = event.number("queue");
  const std::uint64_t value = event.number("value");
  const auto spot = json_.mark(interrupt_lane(gpu), ns, event_name(type),
                               Details()
                                   .number("index", event.number("index"))
                                   .number("queue", queue)
                                   .hex("value", value)
                                   .text("interrupted", label(event)));
  if (type != FIGMENT_EVENT_FENCE) return;
  const auto job =
      jobs_.in_ring(gpu, queue, [&](const TimelineJob& it) { return it.number == value; });
  if (job && jobs_[*job].at(JobStage::reported)) jobs_[*job].reach(JobStage::heard, spot);
}

void DriverTracks::user_fence_wake(const GuestEvent& event, std::uint64_t ns) {
  json_.mark(interrupt_lane(gpu_of(event)), ns, "wakes who waits for user fences");
}

void DriverTracks::user_fence_wait(const GuestEvent& event, std::uint64_t ns) {
  json_.open(thread_lane(event), ns, "wait for a user fence",
             Details()
                 .number("gpu", std::uint64_t{gpu_of(event)})
                 .hex("address", event.number("address")));
}

void DriverTracks::user_fence_wait_done(const GuestEvent& event, std::uint64_t ns) {
  json_.close(thread_lane(event), ns, Details().number("error", event.signed_number("error")));
}

// --- processes -------------------------------------------------------------

void DriverTracks::fork_begin(const GuestEvent& event, std::uint64_t ns) {
  json_.open(thread_lane(event), ns, "fork");
}

void DriverTracks::fork_end(const GuestEvent& event, std::uint64_t ns) {
  json_.close(thread_lane(event), ns, Details().number("child", event.signed_number("child")));
}

void DriverTracks::process_mark(const GuestEvent& event, std::uint64_t ns) {
  const std::string name = event.name == "sched_process_fork"
                               ? std::format("child {}", event.number("child_pid"))
                               : event.name.substr(event.name.rfind('_') + 1);
  json_.mark(thread_lane(event), ns, name, Details().text("what", event.pairs));
}

void DriverTracks::nothing(const GuestEvent&, std::uint64_t) {}

// Tracepoints that are not known here yet: of a GPU if they name one.
void DriverTracks::other(const GuestEvent& event, std::uint64_t ns) {
  const auto device = event.find("device");
  const auto gpu = device ? gpus_.find(*device) : gpus_.end();
  const auto lane =
      gpu != gpus_.end() ? driver_lane(gpu->second, kOther, "other events") : thread_lane(event);
  json_.mark(lane, ns, event.name,
             Details().text("what", event.pairs).text("in the context of", label(event)));
}

}  // namespace figment::host
