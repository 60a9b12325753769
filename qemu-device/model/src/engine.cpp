// SPDX-License-Identifier: MIT
#include "engine.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "packet_check.h"
#include "records.h"

namespace figment {

void Engine::take(Queue& queue, Nanos now) {
  FIGMENT_ASSERT(!queue_ && queue.engine < 0);
  queue_ = &queue;
  queue.engine = static_cast<int>(id_);
  since_ns_ = now;
  worked_ = false;
  sleep_until_ns_ = 0;
  host_.trace(FIGMENT_TRACE_SCHEDULE, id_, queue.id, queue.priority);
}

Nanos Engine::ready_ns(bool enabled) const {
  if (!queue_) return kNever;
  if (in_flight_) return access_.done_ns;
  if (!enabled || hung_) return stop_ns();
  return std::min({sleep_until_ns_, stop_ns(), yield_ns()});
}

// When the queue leaves for its own reasons.
Nanos Engine::stop_ns() const {
  switch (queue_->stop) {
    case Queue::Stop::none:
      return kNever;
    case Queue::Stop::preempt:
      return !hung_ && queue_->can_leave(config_.preempt) ? queue_->preempt_due_ns : kNever;
    case Queue::Stop::reset:
    case Queue::Stop::error:
      return 0;
  }
  FIGMENT_ASSERT(!"stop");
}

// When it leaves for the sake of another one, here in the middle of a job.
Nanos Engine::yield_ns() const {
  if (!worked_ || hung_ || !queue_->can_leave(config_.preempt)) return kNever;
  return turn_ends_ns();
}

// When another queue has a better right to the engine, from what waits now.
Nanos Engine::turn_ends_ns() const {
  const auto waiting = run_queue_.highest();
  if (!waiting || *waiting < queue_->priority) return kNever;
  if (*waiting > queue_->priority) return 0;
  return queue_->timeslice_ns == 0 ? kNever : later(since_ns_, queue_->timeslice_ns);
}

bool Engine::must_leave(Nanos now, bool enabled) const {
  return stop_ns() <= now || (enabled && yield_ns() <= now);
}

void Engine::step(Nanos now, bool enabled) {
  const Injector::Behalf behalf(injector_, queue_->id, id_);
  // Accesses and packets have no use for an odd rest of a step.
  const uint64_t least = config_.step_bytes_min != 0 ? config_.step_bytes_min : config_.step_bytes;
  step_bytes_left_ = host_.draw({.min_ns = least, .max_ns = config_.step_bytes}) & ~uint64_t{7};
  for (unsigned accesses = 0;;) {
    if (in_flight_) {
      if (now < access_.done_ns) return;
      const Result<void> completed = complete(now);
      // A queue that is reset does not fail any more, whatever else happened on the way.
      const bool fails = queue_->stop == Queue::Stop::none || queue_->stop == Queue::Stop::preempt;
      if (!completed && fails) {
        if (completed.error().code >= Code::unmapped) {
          trace_fault(completed.error(), access_.write.bytes != 0 ? FIGMENT_EVENT_ACCESS_WRITE : 0);
        }
        fail(completed.error(), now);
        return;
      }
      ++accesses;
    }
    if (must_leave(now, enabled)) {
      leave(now);
      return;
    }
    if (!enabled || accesses == kAccessesPerStep || step_bytes_left_ < 8) return;
    if (advance(now) == Then::stop) return;
  }
}

void Engine::drain(Nanos now) {
  if (!in_flight_ || access_.done_ns > now) return;
  const Injector::Behalf behalf(injector_, queue_->id, id_);
  (void)complete(now);
}

void Engine::reset() {
  queue_ = nullptr;
  hung_ = false;
  in_flight_ = false;
}

Engine::Then Engine::advance(Nanos now) {
  if (hung_) return Then::stop;
  worked_ = true;
  switch (queue_->run.phase) {
    case Execution::Phase::fetch:
      return fetch(now);
    case Execution::Phase::run:
      return run(now);
  }
  FIGMENT_ASSERT(!"phase");
}

// Fetching: as much of a packet as one page and one run of the ring hold, then the rest.

Engine::Then Engine::fetch(Nanos now) {
  Execution& run = queue_->run;
  const uint64_t available = queue_->source_bytes();
  if (available == 0) return run.depth == 0 ? leave(now) : return_from_call(now);
  // The header says how much there is; until it is here, as much as any packet may need.
  uint64_t qwords = kPacketQwordsMax;
  if (run.fetched != 0) {
    qwords = run.packet.opcode() == FIGMENT_OP_NOP ? 1 : run.packet.qwords();
  }
  FIGMENT_ASSERT(run.fetched < qwords);
  const GpuVa at = queue_->source_at(run.fetched * 8);
  // Rings are made of whole pages, so a page's end is also where a ring wraps.
  const uint64_t page_rest = kPageBytes - at.value % kPageBytes;
  const uint64_t bytes =
      std::min({(qwords - run.fetched) * 8, available - run.fetched * 8, page_rest});
  return issue({.kind = Want::Kind::access, .read = at, .read_bytes = bytes}, now);
}

Result<void> Engine::accept_fetched() {
  Execution& run = queue_->run;
  const Extent& extent = access_.read;
  FIGMENT_ASSERT(extent.count == 1 && run.fetched + extent.bytes / 8 <= kPacketQwordsMax);
  const auto words = std::span(run.packet.words).subspan(run.fetched, extent.bytes / 8);
  if (!memory_.read(extent.pieces[0].at, std::as_writable_bytes(words))) {
    return std::unexpected(bus_fault(extent));
  }
  if (run.fetched == 0) run.packet.at = extent.va.value;
  run.fetched += words.size();
  return accept_packet();
}

// The header as soon as it is here, the operands as soon as they are.
Result<void> Engine::accept_packet() {
  Execution& run = queue_->run;
  const Packet& packet = run.packet;
  const Code code = check_packet(*queue_);
  if (code != Code::none) return std::unexpected(Fault{code, packet.at});
  if (!is_complete(run)) return {};
  host_.trace(FIGMENT_TRACE_PACKET, queue_->id, packet.header(), packet.at, run.depth);
  run.phase = Execution::Phase::run;
  run.progress = {};
  begin_packet();
  return {};
}

// What may happen to a packet as a whole.
void Engine::begin_packet() {
  Opportunity what = opportunity();
  if (injector_.strike(InjectKind::removed, what)) return;
  what.address = queue_->run.packet.at;
  what.bytes = queue_->run.packet.bytes();
  hung_ = injector_.strike(InjectKind::hang, what).has_value();
}

Opportunity Engine::opportunity() const {
  return {.queue = queue_->id, .engine = id_};
}

// Running.

Engine::Then Engine::run(Nanos now) {
  Execution& run = queue_->run;
  const Executor* executor = executor_of(run.packet.opcode());
  FIGMENT_ASSERT(executor);
  const Pace pace{.now = now, .step_bytes = step_bytes_left_, .poll_ns = config_.poll_ns};
  const Want want = executor->plan(run.packet, run.progress, pace);
  switch (want.kind) {
    case Want::Kind::done:
      return retire(now);
    case Want::Kind::access:
      return issue(want, now);
    case Want::Kind::sleep:
      executor->begin_sleep(run.progress, want.until_ns);
      sleep_until_ns_ = want.until_ns;
      return Then::stop;
    case Want::Kind::report:
      return report(want.value, now);
    case Want::Kind::call:
      return call(want);
  }
  FIGMENT_ASSERT(!"kind");
}

// Translate the access and let it fly. When less of one side can be had, less is taken of both.
Engine::Then Engine::issue(const Want& want, Nanos now) {
  access_.asid = queue_->asid;
  access_.read.clear();
  access_.write.clear();
  Accessor accessor{.asid = queue_->asid, .write = false, .privileged = queue_->has_privilege()};
  uint64_t write_bytes = want.write_bytes;
  if (want.read_bytes != 0) {
    const auto read =
        mmu_.translate(access_.read, accessor, want.read, want.read_bytes, want.backward, now);
    if (!read) return miss(read.error(), accessor, now);
    if (write_bytes != 0) write_bytes = access_.read.bytes;
  }
  if (write_bytes != 0) {
    accessor.write = true;
    const GpuVa at = want.backward ? want.write + (want.write_bytes - write_bytes) : want.write;
    const auto write = mmu_.translate(access_.write, accessor, at, write_bytes, want.backward, now);
    if (!write) return miss(write.error(), accessor, now);
  }
  const uint64_t bytes = std::max(access_.read.bytes, access_.write.bytes);
  Nanos latency = host_.draw(config_.access);
  if (config_.bytes_per_us != 0) latency = later(latency, bytes * 1000 / config_.bytes_per_us);
  access_.done_ns = later(now, latency);
  in_flight_ = true;
  // Fetching is bounded by itself; counting it would only leave data at odd offsets.
  if (queue_->run.phase == Execution::Phase::run) {
    step_bytes_left_ -= std::min(step_bytes_left_, bytes);
  }
  return Then::go_on;
}

Result<void> Engine::complete(Nanos now) {
  in_flight_ = false;
  const Result<void> result =
      queue_->run.phase == Execution::Phase::fetch ? accept_fetched() : arrive(now);
  owner_.access_completed(id_);
  return result;
}

// At memory. RELEASE has just one access, the store of its value.
Result<void> Engine::arrive(Nanos now) {
  Execution& run = queue_->run;
  const Executor& executor = *executor_of(run.packet.opcode());
  if (run.packet.opcode() != FIGMENT_OP_RELEASE) {
    return executor.apply(run.packet, run.progress, access_, memory_, now);
  }
  Opportunity what = opportunity();
  what.address = access_.write.va.value;
  what.bytes = access_.write.bytes;
  const auto mask = injector_.strike(InjectKind::completion_corrupt, what);
  Packet packet = run.packet;
  packet.words[offsetof(figment_packet_release, value) / 8] ^= mask.value_or(0);
  return executor.apply(packet, run.progress, access_, memory_, now);
}

Engine::Then Engine::call(const Want& want) {
  Execution& run = queue_->run;
  FIGMENT_ASSERT(run.depth < FIGMENT_INDIRECT_DEPTH);
  // In a buffer the packet counts as passed now; in the ring it is retired when it returns.
  if (run.depth != 0) run.frames[run.depth - 1].at += run.packet.bytes();
  const bool keep = (run.packet.flags() & FIGMENT_INDIRECT_PRIVILEGED) != 0;
  run.frames[run.depth++] = {.at = want.read.value,
                             .end = want.read.value + want.read_bytes,
                             .privileged = keep ? 1u : 0u};
  run.phase = Execution::Phase::fetch;
  run.fetched = 0;
  return Then::stop;
}

Engine::Then Engine::return_from_call(Nanos now) {
  Execution& run = queue_->run;
  --run.depth;
  constexpr uint64_t kBytes = sizeof(figment_packet_indirect);
  const uint64_t header = FIGMENT_PACKET(FIGMENT_OP_INDIRECT, kBytes / 8, 0);
  if (run.depth != 0) {
    host_.trace(FIGMENT_TRACE_RETIRE, queue_->id, header, queue_->source_at(0).value - kBytes,
                queue_->read);
    return Then::stop;
  }
  const uint64_t at = queue_->source_at(0).value;
  queues_.retire(*queue_, kBytes);
  host_.trace(FIGMENT_TRACE_RETIRE, queue_->id, header, at, queue_->read);
  return queue_->has_work() ? Then::stop : leave(now);
}

Engine::Then Engine::retire(Nanos now) {
  Execution& run = queue_->run;
  const Packet& packet = run.packet;
  run.phase = Execution::Phase::fetch;
  run.fetched = 0;
  if (run.depth != 0) {
    run.frames[run.depth - 1].at += packet.bytes();
  } else {
    queues_.retire(*queue_, packet.bytes());
  }
  host_.trace(FIGMENT_TRACE_RETIRE, queue_->id, packet.header(), packet.at, queue_->read);
  if (!queue_->has_work()) return leave(now);
  const bool job_ends = run.depth == 0 && packet.opcode() == FIGMENT_OP_RELEASE &&
                        (packet.flags() & FIGMENT_RELEASE_EVENT) != 0;
  return job_ends && turn_ends_ns() <= now ? leave(now) : Then::stop;
}

// The report before this one has first to get into the event ring. The engine is not held for
// that: a driver that does not read its events stops only those who have something to report.
Engine::Then Engine::report(uint64_t value, Nanos now) {
  if (queue_->fence_pending) {
    queue_->held_by_fence = true;
    return leave(now);
  }
  Opportunity what = opportunity();
  what.event = FIGMENT_EVENT_FENCE;
  const auto mask = injector_.strike(InjectKind::completion_corrupt, what);
  queues_.fence(*queue_, value ^ mask.value_or(0), queue_->has_privilege(), now);
  return retire(now);
}

// A translation that was asked for is not to be had.
Engine::Then Engine::miss(const Fault& fault, const Accessor& accessor, Nanos now) {
  uint32_t access = accessor.write ? FIGMENT_EVENT_ACCESS_WRITE : 0;
  const Execution& run = queue_->run;
  if (run.phase == Execution::Phase::run && run.packet.opcode() == FIGMENT_OP_ATOMIC &&
      run.progress.stage == 0) {
    access |= FIGMENT_EVENT_ACCESS_ATOMIC;
  }
  trace_fault(fault, access);
  if (!fault.recoverable) return fail(fault, now);
  // It is about to go anyway; when it is back it asks again.
  if (queue_->stop == Queue::Stop::preempt && queue_->can_leave(config_.preempt)) return leave(now);
  if (fault.code == Code::permission) access |= FIGMENT_EVENT_ACCESS_DENIED;
  queues_.stall(let_go(now), fault.address, access, now);
  return Then::stop;
}

void Engine::trace_fault(const Fault& fault, uint32_t access) const {
  host_.trace(FIGMENT_TRACE_FAULT, queue_->asid.value, fault.address, access,
              static_cast<uint32_t>(fault.code));
}

Engine::Then Engine::fail(const Fault& fault, Nanos now) {
  queue_->stop = Queue::Stop::error;
  queue_->stop_error = fault;
  return leave(now);
}

Engine::Then Engine::leave(Nanos now) {
  queues_.left_engine(let_go(now), now);
  return Then::stop;
}

// The queue is on no engine, and everything to go on from is in its Execution.
Queue& Engine::let_go(Nanos now) {
  Queue& queue = *queue_;
  if (queue.run.phase == Execution::Phase::run) {
    executor_of(queue.run.packet.opcode())->pause(queue.run.progress, now);
  }
  queue_ = nullptr;
  queue.engine = -1;
  hung_ = false;
  host_.trace(FIGMENT_TRACE_DESCHEDULE, id_, queue.id, now - since_ns_);
  return queue;
}

void Engine::describe(Archive& archive) {
  auto& [id, host, memory, mmu, queues, run_queue, injector, config, owner, queue, since_ns, worked,
         sleep_until_ns, hung, in_flight, access, step_bytes_left] = *this;
  // `step_bytes_left` lives as long as one step.
  uint32_t on_queue = queue ? queue->id : FIGMENT_EVENT_NO_QUEUE;
  FIGMENT_FIELDS(archive, on_queue, since_ns, worked, sleep_until_ns, hung);
  archive.optional("access", in_flight, access);
  if (!archive.loading() || on_queue == FIGMENT_EVENT_NO_QUEUE) return;
  require(on_queue < queues.count(), "engine %u has queue %u, which does not exist", id, on_queue);
  queue = &queues[on_queue];
  require(queue->engine < 0, "queue %u is on two engines", on_queue);
  queue->engine = static_cast<int>(id);
}

void Engine::check() const {
  require(queue_ || !in_flight_, "engine %u has an access in flight and no queue", id_);
  require(!hung_ || (queue_ && queue_->run.phase == Execution::Phase::run),
          "engine %u hangs, but in no packet", id_);
  if (in_flight_) check_access(*queue_, access_);
}

}  // namespace figment
