// SPDX-License-Identifier: MIT
#include "invalidator.h"

#include <algorithm>

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

}  // namespace figment
