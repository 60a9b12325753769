// SPDX-License-Identifier: MIT
#include "event_ring.h"

#include <algorithm>
#include <atomic>
#include <cinttypes>

#include "records.h"

namespace figment {

namespace {

constexpr uint32_t kAccess = FIGMENT_EVENT_ACCESS_WRITE | FIGMENT_EVENT_ACCESS_ATOMIC |
                             FIGMENT_EVENT_ACCESS_DENIED;

}  // namespace

EventRing::EventRing(const Host& host, Memory& memory, Interrupts& interrupts, Injector& injector,
                     const figment_latency& latency, size_t capacity, Owner& owner)
    : host_(host),
      memory_(memory),
      interrupts_(interrupts),
      injector_(injector),
      latency_(latency),
      owner_(owner) {
  waiting_.reserve(capacity);
}

void EventRing::post(const figment_event& event, Nanos now) {
  FIGMENT_ASSERT(waiting_.size() < waiting_.capacity());
  Waiting report{.event = event, .due_ns = later(now, host_.draw(latency_))};
  report.event.time_ns = now;
  for (const Waiting& before : waiting_) {
    if (before.event.queue == event.queue) report.due_ns = std::max(report.due_ns, before.due_ns);
  }
  waiting_.push_back(report);
}

void EventRing::pump(Nanos now) {
  if (waiting_.empty() || next_ns() > now) return;
  if (full_until_ns_ <= now) full_until_ns_ = 0;
  size_t kept = 0;
  for (size_t i = 0; i < waiting_.size(); ++i) {
    Waiting& report = waiting_[i];
    if (report.due_ns <= now && usable()) {
      if (may_enter(report, now) && enter(report.event)) {
        // The owner may post: only behind the end, and never into this slot.
        const figment_event done = report.event;
        owner_.event_entered(done.queue, done.type);
        continue;
      }
      if (usable()) stall(report);
    }
    if (kept != i) waiting_[kept] = waiting_[i];
    ++kept;
  }
  waiting_.resize(kept);
}

Nanos EventRing::next_ns() const {
  if (!usable() || waiting_.empty()) return kNever;
  Nanos next = full_until_ns_ != 0 ? full_until_ns_ : kNever;
  const bool space = has_space();
  for (const Waiting& report : waiting_) {
    // A stalled report waits for space, not for time.
    if (space || !report.stalled) next = std::min(next, report.due_ns);
  }
  return next;
}

bool EventRing::may_enter(Waiting& report, Nanos now) {
  if (!has_space()) return false;
  if (report.tried) return true;
  report.tried = true;
  const Opportunity what{.queue = report.event.queue, .event = report.event.type};
  const auto full = injector_.strike(InjectKind::event_full, what);
  if (full) full_until_ns_ = later(now, *full);
  return !full;
}

bool EventRing::enter(figment_event event) {
  const uint32_t slot = write_ & ((1u << size_lg2_) - 1);
  const Location at(base_ + uint64_t{slot} * FIGMENT_EVENT_BYTES);
  event.seq = write_ + 1;
  // SEQ goes last, with release order: a CPU that sees it sees the whole entry, and all memory
  // that the device wrote before.
  const auto bytes = std::as_bytes(std::span(&event, 1));
  bool written = memory_.write(at + sizeof(event.seq), bytes.subspan(sizeof(event.seq)));
  if (written) {
    // Before it can be seen: in a trace with the driver's, the cause comes first.
    host_.trace(FIGMENT_TRACE_EVENT, write_, event.type, event.queue, event.value);
    written = memory_.store(at, event.seq, sizeof(event.seq));
  }
  if (!written) {
    broken_ = true;
    owner_.raise_error(FIGMENT_ERROR_EVENT_BUS);
    return false;
  }
  const bool was_empty = write_ == read_;
  ++write_;
  if (was_empty) {
    interrupts_.raise(FIGMENT_VECTOR_EVENTS, {.queue = event.queue, .event = event.type});
  }
  return true;
}

void EventRing::stall(Waiting& waiting) {
  if (waiting.stalled) return;
  waiting.stalled = true;
  ++stalls_;
  host_.trace(FIGMENT_TRACE_EVENT_STALL, waiting.event.queue, waiting.event.type);
  owner_.raise_error(FIGMENT_ERROR_EVENT_FULL);
}

bool EventRing::set_base(uint64_t base) {
  if (size_lg2_ != 0 || !is_multiple(base, kPageBytes) || base >= kBusEnd) return false;
  base_ = BusAddr{base};
  return true;
}

bool EventRing::set_size_lg2(uint32_t lg2) {
  if (lg2 == 0) {
    size_lg2_ = 0;
    broken_ = false;
    full_until_ns_ = 0;
    return true;
  }
  if (size_lg2_ != 0 || lg2 < FIGMENT_EVENT_SIZE_LG2_MIN || lg2 > FIGMENT_EVENT_SIZE_LG2_MAX) {
    return false;
  }
  size_lg2_ = lg2;
  read_ = 0;
  write_ = 0;
  return true;
}

bool EventRing::set_read_index(uint32_t read) {
  if (write_ - read > write_ - read_) return false;
  read_ = read;
  full_until_ns_ = 0;
  if (read_ != write_) interrupts_.raise(FIGMENT_VECTOR_EVENTS);
  return true;
}

void EventRing::reset() {
  waiting_.clear();
  base_ = {};
  size_lg2_ = read_ = write_ = stalls_ = 0;
  broken_ = false;
  full_until_ns_ = 0;
}

void EventRing::Waiting::describe(Archive& archive) {
  auto& [report, due, has_stalled, was_tried] = *this;
  FIGMENT_FIELDS(archive, report, due, has_stalled, was_tried);
}

void EventRing::describe(Archive& archive) {
  auto& [host, memory, interrupts, injector, latency, owner, waiting, base, size_lg2, read, write,
         stalls, broken, full_until] = *this;
  FIGMENT_FIELDS(archive, base, size_lg2, read, write, stalls, broken, full_until);
  archive.sequence("waiting", waiting, waiting.capacity());
}

void EventRing::check(uint32_t queues, uint32_t asids) const {
  require(is_multiple(base_.value, kPageBytes) && base_.value < kBusEnd,
          "the event ring is at bus address %#" PRIx64, base_.value);
  require(size_lg2_ == 0 || (size_lg2_ >= FIGMENT_EVENT_SIZE_LG2_MIN &&
                             size_lg2_ <= FIGMENT_EVENT_SIZE_LG2_MAX),
          "the event ring has 2^%u entries", size_lg2_);
  // While it is off, the indexes are those of the ring that was.
  const uint32_t size = 1u << (size_lg2_ != 0 ? size_lg2_ : FIGMENT_EVENT_SIZE_LG2_MAX);
  require(write_ - read_ <= size, "the event ring holds %u of %u entries", write_ - read_, size);
  require(!broken_ || size_lg2_ != 0, "the event ring is off and does not answer");
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const figment_event& event = waiting_[i].event;
    const auto need = [&](bool condition, const char* what) {
      require(condition, "report %zu %s", i, what);
    };
    need(event.seq == 0, "has a number before it is in the ring");
    need(event.asid < asids, "is of an address space that does not exist");
    switch (event.type) {
      case FIGMENT_EVENT_FENCE:
        need(event.queue < queues && (event.detail & ~FIGMENT_EVENT_FENCE_PRIVILEGED) == 0,
             "is no report of a fence");
        break;
      case FIGMENT_EVENT_QUEUE_ERROR:
        need(event.queue < queues && event.detail != FIGMENT_CODE_NONE &&
                 known(static_cast<Code>(event.detail)),
             "is no report of an error");
        break;
      case FIGMENT_EVENT_QUEUE_RESET:
      case FIGMENT_EVENT_PREEMPTED:
        need(event.queue < queues && event.detail == 0 && event.value == 0,
             "is no report of a reset or a preemption");
        break;
      case FIGMENT_EVENT_FAULT:
        need(event.queue < queues && (event.detail & ~kAccess) == 0 && event.value < kVaEnd,
             "is no report of a fault");
        break;
      case FIGMENT_EVENT_INVALIDATED:
        need(event.queue == FIGMENT_EVENT_NO_QUEUE && event.detail == 0,
             "is no report of an invalidation");
        break;
      default:
        need(false, "has a type that there is not");
    }
    for (size_t before = 0; before < i; ++before) {
      need(waiting_[before].event.queue != event.queue ||
               waiting_[before].due_ns <= waiting_[i].due_ns,
           "overtakes another of its source");
    }
  }
}

uint32_t EventRing::waiting(uint16_t queue, uint16_t type) const {
  return static_cast<uint32_t>(std::ranges::count_if(waiting_, [&](const Waiting& report) {
    return report.event.queue == queue && report.event.type == type;
  }));
}

}  // namespace figment
