// SPDX-License-Identifier: MIT
#include "interrupts.h"

#include <algorithm>

namespace figment {

void Interrupts::raise(unsigned vector) {
  Vector& it = vectors_[vector];
  if (it.raised) return;
  const Nanos latency = host_.draw(latency_);
  if (latency == 0) {
    host_.interrupt(vector);
    return;
  }
  it = {.raised = true, .due_ns = later(host_.now(), latency)};
}

void Interrupts::pump(Nanos now) {
  for (unsigned vector = 0; vector < vectors_.size(); ++vector) {
    Vector& it = vectors_[vector];
    if (!it.raised || it.due_ns > now) continue;
    it = {};
    host_.interrupt(vector);
  }
}

Nanos Interrupts::next_ns() const {
  Nanos next = kNever;
  for (const Vector& vector : vectors_) {
    if (vector.raised) next = std::min(next, vector.due_ns);
  }
  return next;
}

bool Interrupts::pending() const {
  return std::ranges::any_of(vectors_, &Vector::raised);
}

void Interrupts::Vector::describe(Archive& archive) {
  auto& [is_raised, due] = *this;
  FIGMENT_FIELDS(archive, is_raised, due);
}

void Interrupts::describe(Archive& archive) {
  auto& [host, latency, vectors] = *this;
  FIGMENT_FIELDS(archive, vectors);
}

}  // namespace figment
