// SPDX-License-Identifier: MIT
#include "timeline_gpu.h"

#include <array>
#include <format>

#include "figment_hw.h"

namespace figment::host {

namespace {

constexpr std::uint64_t kFirstPid = 10'000'000;  // Linux ends at 2^22
// Numbers of threads: in this order they are shown.
constexpr std::uint64_t kEngines = 1;
constexpr std::uint64_t kEvents = 100;
constexpr std::uint64_t kMemory = 101;
constexpr std::uint64_t kOther = 102;
constexpr std::uint64_t kQueues = 1000;

// The driver's rings have so many bytes, figment_queue.h.
constexpr std::uint64_t kRingBytes = 4096;

template <std::size_t N>
std::string name_in(const std::array<const char*, N>& names, std::uint64_t value,
                    const char* what) {
  if (value < N && names[value]) return names[value];
  return std::format("{} {}", what, value);
}

std::string packet_name(std::uint64_t header) {
  constexpr std::array kNames = {"NOP",  "INDIRECT", "FILL",      "COPY", "ATOMIC",
                                 "WAIT", "RELEASE",  "TIMESTAMP", "SPIN", "CHASE"};
  static_assert(kNames.size() == FIGMENT_OP_CHASE + 1);
  return name_in(kNames, header & FIGMENT_PACKET_OPCODE, "packet");
}

std::string state_name(std::uint64_t state) {
  constexpr std::array kNames = {"OFF", "READY", "STOPPING", "PREEMPTED", "FAULTED", "ERROR"};
  static_assert(kNames.size() == FIGMENT_QUEUE_ERROR + 1);
  return name_in(kNames, state, "state");
}

}  // namespace

std::string event_name(std::uint64_t type) {
  constexpr std::array<const char*, 7> kNames = {
      nullptr, "FENCE", "FAULT", "PREEMPTED", "INVALIDATED", "QUEUE_ERROR", "QUEUE_RESET"};
  static_assert(kNames.size() == FIGMENT_EVENT_QUEUE_RESET + 1);
  return name_in(kNames, type, "event");
}

std::uint64_t gpu_pid(unsigned gpu) {
  return kFirstPid + 2 * gpu + 1;
}
std::uint64_t driver_pid(unsigned gpu) {
  return kFirstPid + 2 * gpu;
}

GpuTracks::GpuTracks(TraceJson& json, TimelineJobs& jobs, unsigned gpu, const std::string& address)
    : json_(json), jobs_(jobs), gpu_(gpu), pid_(gpu_pid(gpu)) {
  json.process(pid_, std::format("GPU {} ({})", gpu, address), 2 * gpu + 1);
}

TraceJson::Lane GpuTracks::lane(std::uint64_t tid, std::string_view name) {
  return json_.lane(pid_, tid, name);
}

TraceJson::Lane GpuTracks::engine_lane(std::uint64_t engine) {
  return lane(kEngines + engine, std::format("engine {}", engine));
}

TraceJson::Lane GpuTracks::queue_lane(std::uint64_t queue) {
  return lane(kQueues + queue, std::format("queue {}", queue));
}

void GpuTracks::begin_drawing(std::uint64_t ns) {
  drawing_ = true;
  for (const auto& [number, queue] : queues_) {
    open_state(number, ns);
    if (queue.engine) open_turn(*queue.engine, number, ns);
  }
}

void GpuTracks::take(const TracedEvent& event, std::uint64_t ns) {
  using Take = void (GpuTracks::*)(const TracedEvent&, std::uint64_t);
  static const std::map<std::string_view, Take> kTakes = {
      {"doorbell", &GpuTracks::doorbell},     {"queue_state", &GpuTracks::queue_state},
      {"schedule", &GpuTracks::schedule},     {"deschedule", &GpuTracks::deschedule},
      {"packet", &GpuTracks::packet},         {"retire", &GpuTracks::retire},
      {"invalidate", &GpuTracks::invalidate}, {"invalidated", &GpuTracks::invalidated},
      {"event", &GpuTracks::report},          {"interrupt", &GpuTracks::interrupt},
      {"fault", &GpuTracks::fault},           {"queue_error", &GpuTracks::queue_error},
  };
  const auto take = kTakes.find(event.name);
  (this->*(take == kTakes.end() ? &GpuTracks::other : take->second))(event, ns);
}

void GpuTracks::doorbell(const TracedEvent& event, std::uint64_t ns) {
  if (!drawing_) return;
  const std::uint64_t queue = event.number("queue"), write = event.number("write");
  const auto spot = json_.mark(queue_lane(queue), ns, "doorbell", Details().number("write", write));
  const auto job =
      jobs_.in_ring(gpu_, queue, [&](const TimelineJob& it) { return it.end == write; });
  if (job) jobs_[*job].reach(JobStage::doorbell, spot);
}

void GpuTracks::open_state(std::uint64_t queue, std::uint64_t ns) {
  const std::uint64_t state = queues_[queue].state;
  if (state != FIGMENT_QUEUE_OFF) json_.open(queue_lane(queue), ns, state_name(state));
}

void GpuTracks::queue_state(const TracedEvent& event, std::uint64_t ns) {
  const std::uint64_t number = event.number("queue");
  Queue& queue = queues_[number];
  queue.state = event.number("new");
  // What comes next begins with a packet of its own.
  if (queue.state == FIGMENT_QUEUE_OFF || queue.state == FIGMENT_QUEUE_ERROR) queue.packets.clear();
  if (!drawing_) return;
  json_.close(queue_lane(number), ns);
  open_state(number, ns);
}

void GpuTracks::open_packet(std::uint64_t engine, const TracedEvent& packet, std::uint64_t ns) {
  const auto spot = json_.open(
      engine_lane(engine), ns, packet_name(packet.number("header")),
      Details().hex("address", packet.number("address")).hex("header", packet.number("header")));
  if (packet.number("depth") == 0) reach_by_packet(packet, spot);
}

// The packets of a job are known by where they are in the ring.
void GpuTracks::reach_by_packet(const TracedEvent& packet, TraceJson::Spot spot) {
  const std::uint64_t at = packet.number("address") % kRingBytes;
  const std::uint64_t qwords = (packet.number("header") & FIGMENT_PACKET_QWORDS) >> 16;
  const std::uint64_t end = (at + qwords * 8) % kRingBytes;
  const std::uint64_t queue = packet.number("queue");
  const auto first = jobs_.in_ring(
      gpu_, queue, [&](const TimelineJob& job) { return job.begin % kRingBytes == at; });
  if (first) jobs_[*first].reach(JobStage::begun, spot);
  const auto last = jobs_.in_ring(
      gpu_, queue, [&](const TimelineJob& job) { return job.end % kRingBytes == end; });
  if (last) jobs_[*last].reach(JobStage::released, spot);
}

void GpuTracks::open_turn(std::uint64_t engine, std::uint64_t queue, std::uint64_t ns) {
  json_.open(engine_lane(engine), ns, std::format("queue {}", queue));
  // It goes on where it was.
  for (const TracedEvent& packet : queues_[queue].packets) open_packet(engine, packet, ns);
}

void GpuTracks::schedule(const TracedEvent& event, std::uint64_t ns) {
  const std::uint64_t engine = event.number("engine"), queue = event.number("queue");
  queues_[queue].engine = engine;
  if (drawing_) open_turn(engine, queue, ns);
}

void GpuTracks::deschedule(const TracedEvent& event, std::uint64_t ns) {
  const std::uint64_t engine = event.number("engine");
  queues_[event.number("queue")].engine.reset();
  if (!drawing_) return;
  const auto lane = engine_lane(engine);
  while (json_.depth(lane) != 0) json_.close(lane, ns);
}

void GpuTracks::packet(const TracedEvent& event, std::uint64_t ns) {
  Queue& queue = queues_[event.number("queue")];
  std::ignore = event.number("depth");
  queue.packets.push_back(event);
  if (drawing_ && queue.engine) open_packet(*queue.engine, event, ns);
}

void GpuTracks::retire(const TracedEvent& event, std::uint64_t ns) {
  Queue& queue = queues_[event.number("queue")];
  if (queue.packets.empty()) return;
  queue.packets.pop_back();
  if (drawing_ && queue.engine) json_.close(engine_lane(*queue.engine), ns);
}

void GpuTracks::invalidate(const TracedEvent& event, std::uint64_t ns) {
  if (drawing_) invalidations_.insert_or_assign(event.number("seq"), std::pair{event, ns});
}

void GpuTracks::invalidated(const TracedEvent& event, std::uint64_t ns) {
  const std::uint64_t seq = event.number("seq");
  const auto begun = invalidations_.find(seq);
  if (begun == invalidations_.end()) return;
  const auto& [command, since] = begun->second;
  json_.overlapping(pid_, "invalidation", std::format("gpu-{}-invalidation-{}", gpu_, seq),
                    std::format("invalidation {}", seq), since, ns,
                    Details()
                        .number("vm", command.number("asid"))
                        .hex("first", command.number("first"))
                        .hex("last", command.number("last")));
  invalidations_.erase(begun);
}

void GpuTracks::report(const TracedEvent& event, std::uint64_t ns) {
  if (!drawing_) return;
  const std::uint64_t queue = event.number("queue"), value = event.number("value");
  const auto spot = json_.mark(
      lane(kEvents, "events and interrupts"), ns, event_name(event.number("type")),
      Details().number("queue", queue).hex("value", value).number("index", event.number("index")));
  if (event.number("type") != FIGMENT_EVENT_FENCE) return;
  const auto job =
      jobs_.in_ring(gpu_, queue, [&](const TimelineJob& it) { return it.number == value; });
  // A RELEASE of the user's packets may have any value, but comes before the last packet.
  if (job && jobs_[*job].at(JobStage::released)) jobs_[*job].reach(JobStage::reported, spot);
}

void GpuTracks::interrupt(const TracedEvent& event, std::uint64_t ns) {
  if (!drawing_) return;
  json_.mark(lane(kEvents, "events and interrupts"), ns,
             std::format("interrupt {}", event.number("vector")));
}

void GpuTracks::fault(const TracedEvent& event, std::uint64_t ns) {
  if (!drawing_) return;
  json_.mark(lane(kMemory, "faults"), ns, std::format("fault at {:#x}", event.number("va")),
             Details()
                 .number("vm", event.number("asid"))
                 .number("access", event.number("access"))
                 .number("code", event.number("code")));
}

void GpuTracks::queue_error(const TracedEvent& event, std::uint64_t ns) {
  if (!drawing_) return;
  json_.mark(queue_lane(event.number("queue")), ns, std::format("error {}", event.number("code")),
             Details().hex("address", event.number("address")));
}

// Resets, injections, stalls, mistakes of the driver, and what is not known here yet.
void GpuTracks::other(const TracedEvent& event, std::uint64_t ns) {
  if (!drawing_) return;
  json_.mark(lane(kOther, "resets and misbehaviour"), ns, event.name,
             Details().text("what", event.pairs));
}

}  // namespace figment::host
