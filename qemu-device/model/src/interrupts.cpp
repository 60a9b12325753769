// SPDX-License-Identifier: MIT
#include "interrupts.h"

#include <algorithm>

namespace figment {

void Interrupts::raise(unsigned vector, const Opportunity& cause) {
  Vector& it = vectors_[vector];
  if (it.raised) return;
  Nanos latency = host_.draw(latency_);
  const Opportunity what{.queue = cause.queue, .vector = vector, .event = cause.event};
  if (injector_.strike(InjectKind::interrupt_lost, what)) return;
  if (const auto more = injector_.strike(InjectKind::interrupt_late, what)) {
    latency = later(latency, *more);
  }
  if (const auto apart = injector_.strike(InjectKind::interrupt_duplicated, what)) {
    it.again_ns = later(later(host_.now(), latency), *apart);
  }
  if (latency == 0) {
    send(vector);
    return;
  }
  it.raised = true;
  it.due_ns = later(host_.now(), latency);
}

void Interrupts::send(unsigned vector) {
  if (!injector_.removed()) host_.interrupt(vector);
}

void Interrupts::pump(Nanos now) {
  const uint32_t spurious = injector_.spurious(now);
  for (unsigned vector = 0; vector < vectors_.size(); ++vector) {
    Vector& it = vectors_[vector];
    if (it.raised && it.due_ns <= now) {
      it.raised = false;
      it.due_ns = 0;
      send(vector);
    }
    if (it.again_ns <= now) {
      it.again_ns = kNever;
      send(vector);
    }
    if (spurious & 1u << vector) send(vector);
  }
}

Nanos Interrupts::next_ns() const {
  Nanos next = injector_.next_ns();
  for (const Vector& vector : vectors_) {
    if (vector.raised) next = std::min(next, vector.due_ns);
    next = std::min(next, vector.again_ns);
  }
  return next;
}

bool Interrupts::pending() const {
  return std::ranges::any_of(vectors_, &Vector::raised);
}

void Interrupts::Vector::describe(Archive& archive) {
  auto& [is_raised, due, again] = *this;
  FIGMENT_FIELDS(archive, is_raised, due, again);
}

void Interrupts::describe(Archive& archive) {
  auto& [host, injector, latency, vectors] = *this;
  FIGMENT_FIELDS(archive, vectors);
}

}  // namespace figment
