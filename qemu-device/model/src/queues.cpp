// SPDX-License-Identifier: MIT
#include "queues.h"

#include <algorithm>
#include <cstddef>

#include "packet_check.h"
#include "records.h"

namespace figment {

Queues::Queues(const Host& host, Memory& memory, EventRing& events, RunQueue& run_queue,
               const figment_model_config& config, Owner& owner)
    : host_(host),
      memory_(memory),
      events_(events),
      run_queue_(run_queue),
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
  }
  // PREEMPT, RESUME and the FAULT commands belong to features that this device does not have.
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

Result<void> Queues::load_descriptor(Queue& queue) {
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

// RESET: at once when nothing is in flight, otherwise when the engine lets go.
void Queues::stop(Queue& queue, Nanos now) {
  if (queue.stop == Queue::Stop::reset) return;  // one report for both
  queue.stop = Queue::Stop::reset;
  cancel_doorbell(queue);
  queue.held_by_fence = false;
  run_queue_.remove(queue.id);
  // The descriptor belongs to the device only as long as the queue is READY.
  if (queue.state == QueueState::ready) write_back(queue);
  queue.error = {};
  set_state(queue, QueueState::stopping);
  if (queue.engine < 0) left_engine(queue, now);
}

void Queues::left_engine(Queue& queue, Nanos now) {
  switch (queue.stop) {
    case Queue::Stop::none:
      wake(queue);
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
  cancel_doorbell(queue);
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
  if (queue.state != QueueState::ready || queue.stop != Queue::Stop::none) return;
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
    next_doorbell_ns_ = std::min(next_doorbell_ns_, due);
    return;
  }
  queue.visible = queue.announced;
  wake(queue);
}

void Queues::pump(Nanos now) {
  if (now < next_doorbell_ns_) return;
  for (Queue& queue : queues_) {
    if (queue.doorbell_due_ns > now) continue;
    queue.doorbell_due_ns = kNever;
    queue.visible = queue.announced;
    wake(queue);
  }
  find_next_doorbell();
}

void Queues::cancel_doorbell(Queue& queue) {
  if (queue.doorbell_due_ns == kNever) return;
  queue.doorbell_due_ns = kNever;
  find_next_doorbell();
}

void Queues::find_next_doorbell() {
  next_doorbell_ns_ =
      std::ranges::min_element(queues_, {}, &Queue::doorbell_due_ns)->doorbell_due_ns;
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
    default:
      FIGMENT_ASSERT(!"event type");
  }
  wake(queue);
}

void Queues::wake(Queue& queue) {
  if (queue.engine >= 0 || !queue.runnable() || run_queue_.contains(queue.id)) return;
  run_queue_.push(queue.id, queue.priority);
}

void Queues::set_state(Queue& queue, QueueState state) {
  if (queue.state == state) return;
  host_.trace(FIGMENT_TRACE_QUEUE_STATE, queue.id, static_cast<uint32_t>(queue.state),
              static_cast<uint32_t>(state));
  queue.state = state;
}

void Queues::write_back(const Queue& queue) {
  figment_descriptor d{};
  d.read = queue.read;
  d.write = queue.announced;
  // A queue that a reset takes out of READY has no code; it will be OFF.
  const bool error = queue.state == QueueState::error;
  d.state = error ? FIGMENT_QUEUE_ERROR : FIGMENT_QUEUE_OFF;
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
  next_doorbell_ns_ = kNever;
}

void Queues::describe(Archive& archive) {
  auto& [host, memory, events, run_queue, config, owner, queues, next_doorbell_ns] = *this;
  archive.elements("queues", queues);
  // Follows from the queues, and so do the engines that they are on: from the engines.
  if (archive.loading()) find_next_doorbell();
}

void Queues::check() const {
  for (uint32_t id = 0; id < queues_.size(); ++id) {
    const Queue& queue = queues_[id];
    require(queue.id == id, "queue %u says that it is queue %u", id, queue.id);
    check_queue(queue);
    const bool waits = queue.runnable() && queue.engine < 0;
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
  switch (queue.state) {
    case QueueState::off:
    case QueueState::error:
      need(!on_engine && !stops, "it is OFF or in ERROR, and still on an engine or stopping");
      break;
    case QueueState::ready:
      need(!stops || (queue.stop == Queue::Stop::error && on_engine),
           "it is READY and stops without an engine");
      break;
    case QueueState::stopping:
      need(queue.stop == Queue::Stop::reset && (on_engine || queue.reset_pending),
           "it is STOPPING, and nothing ends that");
      break;
  }
  need(is_multiple(queue.descriptor.value, FIGMENT_DESCRIPTOR_BYTES) &&
           queue.descriptor.value < kBusEnd,
       "its descriptor has no address");
  need((queue.error.code != Code::none) == (queue.state == QueueState::error),
       "its code does not fit its state");
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
  const bool never_started = queue.ring_bytes == 0 && queue.state != QueueState::ready && !on_engine;
  need(has_ring || never_started, "its ring is not in the address space");
  need(is_multiple(queue.read | queue.visible | queue.announced, 8) &&
           queue.announced - queue.read <= queue.ring_bytes &&
           queue.visible - queue.read <= queue.announced - queue.read,
       "its indexes are not in order");
  need(queue.doorbell_due_ns == kNever || queue.state == QueueState::ready,
       "a doorbell is under way, but it is not READY");

  need(events_.waiting(queue.id, FIGMENT_EVENT_FENCE) == (queue.fence_pending ? 1u : 0u) &&
           events_.waiting(queue.id, FIGMENT_EVENT_QUEUE_RESET) == (queue.reset_pending ? 1u : 0u) &&
           events_.waiting(queue.id, FIGMENT_EVENT_QUEUE_ERROR) == queue.errors_pending &&
           queue.errors_pending <= 2,
       "its reports under way are not those that wait");
  need(!on_engine || (queue.errors_pending == 0 && !queue.reset_pending),
       "it is on an engine with a report of an error or a reset under way");
  need(!queue.held_by_fence ||
           (queue.fence_pending && queue.state == QueueState::ready && !on_engine),
       "it waits for a report, but not as queues do");
  if (queue.state == QueueState::ready || on_engine) check_execution(queue);
}

}  // namespace figment
