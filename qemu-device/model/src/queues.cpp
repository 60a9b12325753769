// SPDX-License-Identifier: MIT
#include "queues.h"

#include <algorithm>
#include <cstddef>

#include "packet_check.h"
#include "records.h"

namespace figment {

namespace {

// What the device keeps in figment_descriptor::save_area. It comes back from guest memory.
struct SaveArea {
  uint32_t magic;
  uint32_t version;
  Execution run;
};
constexpr uint32_t kSaveMagic = 0x56415346;  // "FSAV"
constexpr uint32_t kSaveVersion = 1;         // changes with Execution
static_assert(sizeof(SaveArea) <= sizeof(figment_descriptor::save_area));

constexpr size_t kSaveOffset = offsetof(figment_descriptor, save_area);

}  // namespace

Queues::Queues(const Host& host, Memory& memory, EventRing& events, RunQueue& run_queue,
               Injector& injector, const figment_model_config& config, Owner& owner)
    : host_(host),
      memory_(memory),
      events_(events),
      run_queue_(run_queue),
      injector_(injector),
      config_(config),
      owner_(owner),
      queues_(config.queues) {
  reset();
}

bool Queues::set_descriptor(uint32_t id, uint64_t bus) {
  Queue& queue = queues_[id];
  if (queue.state != QueueState::off) return false;
  if (!is_multiple(bus, FIGMENT_DESCRIPTOR_BYTES) || bus >= kBusEnd) return false;
  queue.descriptor = BusAddr{bus};
  return true;
}

bool Queues::command(uint32_t id, uint32_t command, Nanos now) {
  Queue& queue = queues_[id];
  switch (command) {
    case FIGMENT_QUEUE_START:
      if (queue.state != QueueState::off) return false;
      start(queue, now);
      return true;
    case FIGMENT_QUEUE_RESET:
      stop(queue, now);
      return true;
    case FIGMENT_QUEUE_PREEMPT:
      return preempt(queue, now);
    case FIGMENT_QUEUE_RESUME:
      if (config_.preempt == FIGMENT_PREEMPT_NONE) return false;
      if (queue.state != QueueState::off && queue.state != QueueState::preempted) return false;
      resume(queue, now);
      return true;
    case FIGMENT_QUEUE_FAULT_RETRY:
      if (queue.state != QueueState::faulted) return false;
      retry(queue);
      return true;
    case FIGMENT_QUEUE_FAULT_KILL:
      if (queue.state != QueueState::faulted) return false;
      fail(queue, {Code::killed, queue.error.address}, now);
      return true;
  }
  return false;
}

void Queues::start(Queue& queue, Nanos now) {
  queue.run = {};
  set_state(queue, QueueState::ready);
  if (const Result<void> loaded = load_descriptor(queue); !loaded) {
    fail(queue, loaded.error(), now);
    return;
  }
  if (queue.announced != queue.read) announce(queue, now);
}

Injector::Behalf Queues::on_behalf(const Queue& queue) {
  return Injector::Behalf(injector_, queue.id, static_cast<uint32_t>(queue.engine));
}

Result<void> Queues::load_descriptor(Queue& queue) {
  const Injector::Behalf behalf = on_behalf(queue);
  const Fault bad{Code::descriptor, queue.descriptor.value};
  queue.read = queue.announced = queue.visible = 0;
  figment_descriptor from_guest;
  if (!memory_.read(Location(queue.descriptor),
                    std::as_writable_bytes(std::span(&from_guest, 1)))) {
    return std::unexpected(bad);
  }
  const figment_descriptor& d = from_guest;
  if (d.ring_bytes_lg2 < FIGMENT_RING_BYTES_LG2_MIN ||
      d.ring_bytes_lg2 > FIGMENT_RING_BYTES_LG2_MAX) {
    return std::unexpected(bad);
  }
  const uint64_t ring_bytes = 1ull << d.ring_bytes_lg2;
  if (!is_multiple(d.ring_address, kPageBytes) || !in_va_space(d.ring_address, ring_bytes) ||
      d.asid >= config_.asids || d.priority >= FIGMENT_PRIORITIES ||
      (d.flags & ~FIGMENT_DESC_PRIVILEGED) != 0 || !is_multiple(d.read, 8) ||
      !is_multiple(d.write, 8) || d.write - d.read > ring_bytes) {
    return std::unexpected(bad);
  }
  queue.ring = GpuVa{d.ring_address};
  queue.ring_bytes = ring_bytes;
  queue.asid = Asid{d.asid};
  queue.priority = d.priority;
  queue.privileged = (d.flags & FIGMENT_DESC_PRIVILEGED) != 0;
  queue.timeslice_ns = d.timeslice_ns != 0 ? d.timeslice_ns : config_.timeslice_ns;
  queue.read = queue.visible = d.read;
  queue.announced = d.write;
  return {};
}

// PREEMPT, RESUME

// A queue can go into ERROR at any moment, so a PREEMPT that comes too late is no mistake.
bool Queues::preempt(Queue& queue, Nanos now) {
  if (config_.preempt == FIGMENT_PREEMPT_NONE) return false;
  if (queue.state == QueueState::error || queue.stop == Queue::Stop::error) return true;
  const bool faulted = queue.state == QueueState::faulted;
  if ((queue.state != QueueState::ready && !faulted) || queue.stop != Queue::Stop::none) {
    return false;
  }
  queue.stop = Queue::Stop::preempt;
  queue.preempt_due_ns = preempt_due_ns(queue, now);
  // What it announces is in the descriptor for RESUME.
  queue.doorbell_due_ns = kNever;
  // In the middle of a packet that cannot be saved it needs an answer to its fault first.
  if (!faulted || queue.can_leave(config_.preempt)) {
    queue.error = {};
    set_state(queue, QueueState::stopping);
  }
  if (!runnable(queue)) run_queue_.remove(queue.id);
  next_due_ns_ = earliest_due_ns();
  pump(now);
  return true;
}

Nanos Queues::preempt_due_ns(const Queue& queue, Nanos now) {
  const Nanos due = later(now, host_.draw(config_.preemption));
  const Opportunity what{.queue = queue.id, .engine = static_cast<uint32_t>(queue.engine)};
  if (injector_.strike(InjectKind::preempt_stuck, what)) return kNever;
  return later(due, injector_.strike(InjectKind::preempt_slow, what).value_or(0));
}

bool Queues::awaits_preemption(const Queue& queue) const {
  return queue.stop == Queue::Stop::preempt && queue.engine < 0 &&
         queue.can_leave(config_.preempt) && !queue.preempted_pending;
}

void Queues::finish_preemption(Queue& queue, Nanos now) {
  const Injector::Behalf behalf = on_behalf(queue);
  queue.stop = Queue::Stop::none;
  queue.preempt_due_ns = kNever;
  queue.held_by_fence = false;
  run_queue_.remove(queue.id);
  SaveArea area{};
  area.magic = kSaveMagic;
  area.version = kSaveVersion;
  area.run = queue.run;
  if (!memory_.write(Location(queue.descriptor + kSaveOffset),
                     std::as_bytes(std::span(&area, 1)))) {
    owner_.raise_error(FIGMENT_ERROR_DESC_BUS);
  }
  queue.run = {};
  set_state(queue, QueueState::preempted);
  write_back(queue);
  queue.preempted_pending = true;
  report(queue, FIGMENT_EVENT_PREEMPTED, 0, 0, now);
}

void Queues::resume(Queue& queue, Nanos now) {
  queue.run = {};
  set_state(queue, QueueState::ready);
  Result<void> loaded = load_descriptor(queue);
  if (loaded) loaded = load_save_area(queue);
  if (!loaded) {
    queue.run = {};
    fail(queue, loaded.error(), now);
    return;
  }
  wake(queue);
}

// All that is announced is visible at once: the packet that goes on was.
Result<void> Queues::load_save_area(Queue& queue) {
  const Injector::Behalf behalf = on_behalf(queue);
  const Fault bad{Code::descriptor, queue.descriptor.value};
  SaveArea area;
  if (!memory_.read(Location(queue.descriptor + kSaveOffset),
                    std::as_writable_bytes(std::span(&area, 1)))) {
    return std::unexpected(bad);
  }
  if (area.magic != kSaveMagic || area.version != kSaveVersion || !known(area.run.phase)) {
    return std::unexpected(bad);
  }
  queue.visible = queue.announced;
  queue.run = area.run;
  try {
    check_execution(queue);
  } catch (const StreamRefused&) {
    return std::unexpected(bad);
  }
  return {};
}

// Faults

void Queues::stall(Queue& queue, uint64_t address, uint32_t access, Nanos now) {
  FIGMENT_ASSERT(!queue.fault_pending);
  queue.error = {Code::none, address};
  set_state(queue, QueueState::faulted);
  queue.fault_pending = true;
  report(queue, FIGMENT_EVENT_FAULT, access, address, now);
  next_due_ns_ = earliest_due_ns();
}

void Queues::retry(Queue& queue) {
  queue.error = {};
  set_state(queue, queue.stop == Queue::Stop::preempt ? QueueState::stopping : QueueState::ready);
  wake(queue);
}

// RESET: at once when nothing is in flight, otherwise when the engine lets go.
void Queues::stop(Queue& queue, Nanos now) {
  if (queue.stop == Queue::Stop::reset) return;  // one report for both
  // The descriptor belongs to the device until the queue is PREEMPTED, in ERROR or OFF.
  if (queue.state == QueueState::ready || queue.state == QueueState::faulted ||
      queue.stop == Queue::Stop::preempt) {
    write_back(queue);
  }
  queue.stop = Queue::Stop::reset;
  queue.preempt_due_ns = kNever;
  queue.doorbell_due_ns = kNever;
  queue.held_by_fence = false;
  run_queue_.remove(queue.id);
  next_due_ns_ = earliest_due_ns();
  queue.error = {};
  set_state(queue, QueueState::stopping);
  if (queue.engine < 0) left_engine(queue, now);
}

void Queues::left_engine(Queue& queue, Nanos now) {
  switch (queue.stop) {
    case Queue::Stop::none:
      wake(queue);
      return;
    case Queue::Stop::preempt:
      wake(queue);  // where it may not stop
      next_due_ns_ = earliest_due_ns();
      pump(now);
      return;
    case Queue::Stop::error:
      fail(queue, queue.stop_error, now);
      return;
    case Queue::Stop::reset:
      if (!queue.reset_pending) finish_reset(queue, now);
      return;
  }
}

void Queues::finish_reset(Queue& queue, Nanos now) {
  queue.stop = Queue::Stop::none;
  queue.run = {};
  set_state(queue, QueueState::off);
  queue.reset_pending = true;
  report(queue, FIGMENT_EVENT_QUEUE_RESET, 0, 0, now);
}

void Queues::fail(Queue& queue, const Fault& fault, Nanos now) {
  run_queue_.remove(queue.id);
  queue.stop = Queue::Stop::none;
  queue.preempt_due_ns = kNever;
  queue.doorbell_due_ns = kNever;
  next_due_ns_ = earliest_due_ns();
  queue.held_by_fence = false;
  queue.error = fault;
  host_.trace(FIGMENT_TRACE_QUEUE_ERROR, queue.id, static_cast<uint32_t>(fault.code),
              fault.address);
  set_state(queue, QueueState::error);
  // A descriptor that could not be read is not written either.
  if (fault.code != Code::descriptor) write_back(queue);
  ++queue.errors_pending;
  report(queue, FIGMENT_EVENT_QUEUE_ERROR, static_cast<uint32_t>(fault.code), fault.address, now);
}

void Queues::doorbell(uint32_t id, uint64_t write, Nanos now) {
  Queue& queue = queues_[id];
  host_.trace(FIGMENT_TRACE_DOORBELL, id, write);
  const bool listens = queue.state == QueueState::ready || queue.state == QueueState::faulted;
  if (!listens || queue.stop != Queue::Stop::none) return;
  const bool backwards = write - queue.read < queue.announced - queue.read;
  if (!is_multiple(write, 8) || backwards || write - queue.read > queue.ring_bytes) {
    const Fault fault{Code::doorbell, write};
    if (queue.engine < 0) {
      fail(queue, fault, now);
    } else {
      queue.stop = Queue::Stop::error;
      queue.stop_error = fault;
    }
    return;
  }
  queue.announced = write;
  if (queue.visible != write) announce(queue, now);
}

// What was announced becomes visible to the fetcher after a latency. A doorbell that comes in the
// meantime rides along.
void Queues::announce(Queue& queue, Nanos now) {
  if (queue.doorbell_due_ns != kNever) return;
  const Nanos due = later(now, host_.draw(config_.doorbell));
  if (due > now) {
    queue.doorbell_due_ns = due;
    next_due_ns_ = std::min(next_due_ns_, due);
    return;
  }
  queue.visible = queue.announced;
  wake(queue);
}

void Queues::pump(Nanos now) {
  if (now < next_due_ns_) return;
  for (Queue& queue : queues_) {
    if (queue.doorbell_due_ns <= now) {
      queue.doorbell_due_ns = kNever;
      queue.visible = queue.announced;
      wake(queue);
    }
    if (awaits_preemption(queue) && queue.preempt_due_ns <= now) finish_preemption(queue, now);
  }
  next_due_ns_ = earliest_due_ns();
}

Nanos Queues::due_ns(const Queue& queue) const {
  return awaits_preemption(queue) ? queue.preempt_due_ns : queue.doorbell_due_ns;
}

Nanos Queues::earliest_due_ns() const {
  Nanos earliest = kNever;
  for (const Queue& queue : queues_) earliest = std::min(earliest, due_ns(queue));
  return earliest;
}

void Queues::retire(Queue& queue, uint64_t bytes) {
  queue.read += bytes;
  if (!memory_.store(Location(queue.descriptor + offsetof(figment_descriptor, read)), queue.read,
                     8)) {
    owner_.raise_error(FIGMENT_ERROR_DESC_BUS);
  }
}

void Queues::fence(Queue& queue, uint64_t value, bool privileged, Nanos now) {
  FIGMENT_ASSERT(!queue.fence_pending);
  queue.fence_pending = true;
  report(queue, FIGMENT_EVENT_FENCE, privileged ? FIGMENT_EVENT_FENCE_PRIVILEGED : 0, value, now);
}

void Queues::event_entered(uint16_t id, uint16_t type, Nanos now) {
  Queue& queue = queues_[id];
  switch (type) {
    case FIGMENT_EVENT_FENCE:
      queue.fence_pending = false;
      queue.held_by_fence = false;
      break;
    case FIGMENT_EVENT_QUEUE_ERROR:
      --queue.errors_pending;
      break;
    case FIGMENT_EVENT_QUEUE_RESET:
      queue.reset_pending = false;
      if (queue.stop == Queue::Stop::reset && queue.engine < 0) {
        finish_reset(queue, now);
        return;
      }
      break;
    case FIGMENT_EVENT_FAULT:
      queue.fault_pending = false;
      break;
    case FIGMENT_EVENT_PREEMPTED:
      queue.preempted_pending = false;
      next_due_ns_ = earliest_due_ns();
      break;
    default:
      FIGMENT_ASSERT(!"event type");
  }
  wake(queue);
}

bool Queues::runnable(const Queue& queue) const {
  if (queue.waits_for_report() || !queue.has_work()) return false;
  if (queue.stop == Queue::Stop::none) return queue.state == QueueState::ready;
  // Only to get to where it may stop.
  return queue.stop == Queue::Stop::preempt && queue.state == QueueState::stopping &&
         !queue.can_leave(config_.preempt);
}

void Queues::wake(Queue& queue) {
  if (queue.engine >= 0 || !runnable(queue) || run_queue_.contains(queue.id)) return;
  run_queue_.push(queue.id, queue.priority);
}

void Queues::set_state(Queue& queue, QueueState state) {
  if (queue.state == state) return;
  host_.trace(FIGMENT_TRACE_QUEUE_STATE, queue.id, static_cast<uint32_t>(queue.state),
              static_cast<uint32_t>(state));
  queue.state = state;
}

void Queues::write_back(const Queue& queue) {
  const Injector::Behalf behalf = on_behalf(queue);
  figment_descriptor d{};
  d.read = queue.read;
  d.write = queue.announced;
  // One that is neither is taken away by a reset: it has no code, and will be OFF.
  const bool error = queue.state == QueueState::error;
  const bool kept = error || queue.state == QueueState::preempted;
  d.state = kept ? static_cast<uint32_t>(queue.state) : FIGMENT_QUEUE_OFF;
  d.code = error ? static_cast<uint32_t>(queue.error.code) : FIGMENT_CODE_NONE;
  d.address = error ? queue.error.address : 0;
  constexpr size_t kFirst = offsetof(figment_descriptor, read);
  constexpr size_t kEnd = offsetof(figment_descriptor, save_area);
  const auto bytes = std::as_bytes(std::span(&d, 1)).subspan(kFirst, kEnd - kFirst);
  if (!memory_.write(Location(queue.descriptor + kFirst), bytes)) {
    owner_.raise_error(FIGMENT_ERROR_DESC_BUS);
  }
}

void Queues::report(const Queue& queue, uint16_t type, uint32_t detail, uint64_t value, Nanos now) {
  figment_event event{};
  event.type = type;
  event.queue = queue.id;
  event.asid = queue.asid.value;
  event.detail = detail;
  event.value = value;
  events_.post(event, now);
}

void Queues::reset() {
  for (uint32_t id = 0; id < queues_.size(); ++id) {
    queues_[id] = {};
    queues_[id].id = static_cast<uint16_t>(id);
  }
  next_due_ns_ = kNever;
}

void Queues::describe(Archive& archive) {
  auto& [host, memory, events, run_queue, injector, config, owner, queues, next_due_ns] = *this;
  // The engines that they are on: what the engines say.
  FIGMENT_FIELDS(archive, next_due_ns);
  archive.elements("queues", queues);
}

void Queues::check() const {
  require(next_due_ns_ == earliest_due_ns(), "the queues wait for another time than each of them");
  for (uint32_t id = 0; id < queues_.size(); ++id) {
    const Queue& queue = queues_[id];
    require(queue.id == id, "queue %u says that it is queue %u", id, queue.id);
    check_queue(queue);
    const bool waits = runnable(queue) && queue.engine < 0;
    require(run_queue_.contains(queue.id) == waits &&
                (!waits || run_queue_.contains(queue.id, queue.priority)),
            "queue %u is not in the line that it belongs into", id);
  }
}

void Queues::check_queue(const Queue& queue) const {
  const auto need = [&](bool condition, const char* what) {
    require(condition, "queue %u: %s", queue.id, what);
  };
  const bool on_engine = queue.engine >= 0;
  const bool stops = queue.stop != Queue::Stop::none;
  const bool preempts = queue.stop == Queue::Stop::preempt;
  switch (queue.state) {
    case QueueState::off:
    case QueueState::error:
    case QueueState::preempted:
      need(!on_engine && !stops,
           "it is OFF, PREEMPTED or in ERROR, and still on an engine or stopping");
      break;
    case QueueState::faulted:
      need(!on_engine && (!stops || preempts), "it is FAULTED, and still on an engine or stopping");
      need(config_.faults && !(preempts && queue.can_leave(config_.preempt)),
           "it is FAULTED, but cannot be");
      break;
    case QueueState::ready:
      need(!stops || (queue.stop == Queue::Stop::error && on_engine),
           "it is READY and stops without an engine");
      break;
    case QueueState::stopping:
      need(preempts || (queue.stop == Queue::Stop::reset && (on_engine || queue.reset_pending)),
           "it is STOPPING, and nothing ends that");
      break;
  }
  need(is_multiple(queue.descriptor.value, FIGMENT_DESCRIPTOR_BYTES) &&
           queue.descriptor.value < kBusEnd,
       "its descriptor has no address");
  need((queue.error.code != Code::none) == (queue.state == QueueState::error),
       "its code does not fit its state");
  need(config_.preempt != FIGMENT_PREEMPT_NONE ||
           (!preempts && queue.state != QueueState::preempted && !queue.preempted_pending),
       "it is preempted, but this device does not do that");
  need(preempts || queue.preempt_due_ns == kNever, "it is preempted at a time, but not at all");
  need(queue.state == QueueState::error || queue.state == QueueState::faulted ||
           queue.error.address == 0,
       "it has an address that went wrong, but nothing did");
  need(queue.stop != Queue::Stop::error || queue.stop_error.code != Code::none,
       "it stops for an error that is none");
  need(queue.asid.value < config_.asids && queue.priority < FIGMENT_PRIORITIES,
       "it has an address space or a priority that there is not");

  // A queue that was never started has no ring.
  constexpr uint64_t kRingMin = 1ull << FIGMENT_RING_BYTES_LG2_MIN;
  constexpr uint64_t kRingMax = 1ull << FIGMENT_RING_BYTES_LG2_MAX;
  const bool has_ring = std::has_single_bit(queue.ring_bytes) && queue.ring_bytes >= kRingMin &&
                        queue.ring_bytes <= kRingMax && is_multiple(queue.ring.value, kPageBytes) &&
                        in_va_space(queue.ring.value, queue.ring_bytes);
  const bool alive = queue.state == QueueState::ready || queue.state == QueueState::faulted ||
                     on_engine || preempts;
  const bool never_started = queue.ring_bytes == 0 && !alive;
  need(has_ring || never_started, "its ring is not in the address space");
  need(is_multiple(queue.read | queue.visible | queue.announced, 8) &&
           queue.announced - queue.read <= queue.ring_bytes &&
           queue.visible - queue.read <= queue.announced - queue.read,
       "its indexes are not in order");
  need(queue.doorbell_due_ns == kNever || queue.state == QueueState::ready ||
           queue.state == QueueState::faulted,
       "a doorbell is under way, but it is not READY");

  need(events_.waiting(queue.id, FIGMENT_EVENT_FENCE) == (queue.fence_pending ? 1u : 0u) &&
           events_.waiting(queue.id, FIGMENT_EVENT_QUEUE_RESET) == (queue.reset_pending ? 1u : 0u) &&
           events_.waiting(queue.id, FIGMENT_EVENT_FAULT) == (queue.fault_pending ? 1u : 0u) &&
           events_.waiting(queue.id, FIGMENT_EVENT_PREEMPTED) ==
               (queue.preempted_pending ? 1u : 0u) &&
           events_.waiting(queue.id, FIGMENT_EVENT_QUEUE_ERROR) == queue.errors_pending &&
           queue.errors_pending <= 2,
       "its reports under way are not those that wait");
  need(!on_engine || !queue.waits_for_report(),
       "it is on an engine with a report under way that it has to wait for");
  need(!queue.held_by_fence || (queue.fence_pending && alive && !on_engine),
       "it waits for a report, but not as queues do");
  if (alive) check_execution(queue);
}

}  // namespace figment
