// SPDX-License-Identifier: MIT
#include "invalidator.h"

#include <algorithm>
#include <cinttypes>

#include "records.h"

namespace figment {

bool Invalidator::command(uint64_t command, Nanos now) {
  constexpr uint64_t kBits = FIGMENT_INVAL_ASID | FIGMENT_INVAL_KIND | FIGMENT_INVAL_EVENT;
  if ((command & ~kBits) != 0) return false;
  Request request{.asid = Asid{static_cast<uint32_t>(field(command, FIGMENT_INVAL_ASID))},
                  .last = GpuVa{kVaEnd - 1},
                  .event = (command & FIGMENT_INVAL_EVENT) != 0};
  switch (field(command, FIGMENT_INVAL_KIND)) {
    case FIGMENT_INVAL_KIND_RANGE:
      if (first_ > last_ || last_ >= kVaEnd) return false;
      request.kind = Kind::range;
      request.first = GpuVa{first_};
      request.last = GpuVa{last_};
      break;
    case FIGMENT_INVAL_KIND_ASID:
      request.kind = Kind::asid;
      break;
    case FIGMENT_INVAL_KIND_ALL:
      if (request.asid.value != 0) return false;
      break;
    default:
      return false;
  }
  if (request.asid.value >= config_.asids) return false;
  if (accepted_ - acknowledged_ == FIGMENT_INVAL_DEPTH ||
      (request.event && events_pending_ == FIGMENT_INVAL_DEPTH)) {
    owner_.raise_error(FIGMENT_ERROR_INVAL_FULL);
    return true;
  }
  request.due_ns = later(now, host_.draw(config_.invalidate));
  ++accepted_;
  if (request.event) ++events_pending_;
  this->request(accepted_) = request;
  host_.trace(FIGMENT_TRACE_INVALIDATE, accepted_, request.asid.value, request.first.value,
              request.last.value);
  return true;
}

void Invalidator::pump(Nanos now) {
  while (dropped_ != accepted_ && request(dropped_ + 1).due_ns <= now) drop(request(++dropped_));
  acknowledge(now);
}

void Invalidator::drop(Request& request) {
  switch (request.kind) {
    case Kind::range:
      mmu_.drop_range(request.asid, request.first, request.last);
      break;
    case Kind::asid:
      mmu_.drop_asid(request.asid);
      break;
    case Kind::all:
      mmu_.drop_all();
      request.engines_waited = owner_.engines_in_flight();
      return;
  }
  request.engines_waited = owner_.engines_using(request.asid, request.first, request.last);
}

void Invalidator::access_completed(unsigned engine) {
  for (uint64_t sequence = acknowledged_; sequence != dropped_;) {
    request(++sequence).engines_waited &= ~(1u << engine);
  }
}

void Invalidator::acknowledge(Nanos now) {
  while (acknowledged_ != dropped_ && request(acknowledged_ + 1).engines_waited == 0) {
    const Request& done = request(++acknowledged_);
    host_.trace(FIGMENT_TRACE_INVALIDATED, acknowledged_);
    if (!done.event) continue;
    figment_event event{};
    event.type = FIGMENT_EVENT_INVALIDATED;
    event.queue = FIGMENT_EVENT_NO_QUEUE;
    event.asid = done.asid.value;
    event.value = acknowledged_;
    events_.post(event, now);
  }
}

Nanos Invalidator::next_ns() const {
  if (acknowledged_ != dropped_ && request(acknowledged_ + 1).engines_waited == 0) return 0;
  return dropped_ != accepted_ ? request(dropped_ + 1).due_ns : kNever;
}

void Invalidator::reset() {
  requests_ = {};
  first_ = last_ = accepted_ = dropped_ = acknowledged_ = 0;
  events_pending_ = 0;
}

void Invalidator::Request::describe(Archive& archive) {
  auto& [kind, asid, first, last, event, engines_waited, due_ns] = *this;
  FIGMENT_FIELDS(archive, kind, asid, first, last, event, engines_waited, due_ns);
}

void Invalidator::describe(Archive& archive) {
  auto& [host, mmu, events, config, owner, requests, first, last, accepted, dropped, acknowledged,
         events_pending] = *this;
  FIGMENT_FIELDS(archive, first, last, accepted, dropped, acknowledged, events_pending);
  // Those that are acknowledged mean nothing any more.
  std::vector<Request> open;
  if (!archive.loading()) {
    for (uint64_t sequence = acknowledged; sequence != accepted;) open.push_back(request(++sequence));
  }
  archive.sequence("open", open, requests.size());
  if (!archive.loading()) return;
  require(accepted - acknowledged == open.size() && dropped - acknowledged <= open.size(),
          "of invalidations %" PRIu64 " are accepted, %" PRIu64 " dropped, %" PRIu64
          " acknowledged, but %zu are open", accepted,
          dropped, acknowledged, open.size());
  for (size_t i = 0; i < open.size(); ++i) request(acknowledged + 1 + i) = open[i];
}

void Invalidator::check(uint32_t reports, uint32_t in_flight) const {
  uint32_t promised = 0;
  for (uint64_t sequence = acknowledged_; sequence != accepted_;) {
    const Request& open = request(++sequence);
    promised += open.event;
    const auto need = [&](bool condition, const char* what) {
      require(condition, "invalidation %" PRIu64 " %s", sequence, what);
    };
    need(open.asid.value < config_.asids, "is of an address space that does not exist");
    need(open.first <= open.last && open.last.value < kVaEnd, "is of no range of addresses");
    const bool dropped = sequence - acknowledged_ <= dropped_ - acknowledged_;
    need((open.engines_waited & ~(dropped ? in_flight : 0)) == 0,
         "waits for an engine that has nothing in flight");
  }
  require(events_pending_ == promised + reports && events_pending_ <= FIGMENT_INVAL_DEPTH,
          "%u invalidations are to be reported, but %u reports are counted", promised + reports,
          events_pending_);
}

}  // namespace figment
