// SPDX-License-Identifier: MIT
#include "scheduler.h"

#include <algorithm>

namespace figment {

Scheduler::Scheduler(const Host& host, Memory& memory, Mmu& mmu, Queues& queues,
                     RunQueue& run_queue, Injector& injector, const figment_model_config& config,
                     Engine::Owner& owner)
    : run_queue_(run_queue), queues_(queues) {
  for (unsigned id = 0; id < config.engines; ++id) {
    engines_.push_back(std::make_unique<Engine>(id, host, memory, mmu, queues, run_queue, injector,
                                                config, owner));
  }
}

void Scheduler::assign(Nanos now) {
  if (!enabled_) return;
  for (const auto& engine : engines_) {
    if (run_queue_.empty()) return;
    if (engine->free()) engine->take(queues_[*run_queue_.pop()], now);
  }
}

bool Scheduler::step(Nanos now) {
  assign(now);
  for (size_t turn = 1; turn <= engines_.size(); ++turn) {
    const auto id = static_cast<unsigned>((last_ + turn) % engines_.size());
    if (engines_[id]->ready_ns(enabled_) > now) continue;
    last_ = id;
    engines_[id]->step(now, enabled_);
    return true;
  }
  return false;
}

Nanos Scheduler::next_ns() const {
  Nanos next = kNever;
  for (const auto& engine : engines_) {
    if (engine->free() && enabled_ && !run_queue_.empty()) return 0;
    next = std::min(next, engine->ready_ns(enabled_));
  }
  return next;
}

bool Scheduler::idle() const {
  return run_queue_.empty() &&
         std::ranges::all_of(engines_, [](const auto& engine) { return engine->free(); });
}

uint32_t Scheduler::engines_using(Asid asid, GpuVa first, GpuVa last) const {
  uint32_t mask = 0;
  for (size_t id = 0; id < engines_.size(); ++id) {
    if (engines_[id]->uses(asid, first, last)) mask |= 1u << id;
  }
  return mask;
}

uint32_t Scheduler::engines_in_flight() const {
  uint32_t mask = 0;
  for (size_t id = 0; id < engines_.size(); ++id) {
    if (engines_[id]->in_flight()) mask |= 1u << id;
  }
  return mask;
}

void Scheduler::drain(Nanos now) {
  for (const auto& engine : engines_) engine->drain(now);
}

Nanos Scheduler::next_drain_ns() const {
  Nanos next = kNever;
  for (const auto& engine : engines_) {
    if (engine->in_flight()) next = std::min(next, engine->ready_ns(false));
  }
  return next;
}

void Scheduler::reset() {
  for (const auto& engine : engines_) engine->reset();
  last_ = 0;
  enabled_ = false;
}

void Scheduler::describe(Archive& archive) {
  auto& [run_queue, queues, engines, last, enabled] = *this;
  FIGMENT_FIELDS(archive, last, enabled);
  archive.elements("engines", engines);
}

void Scheduler::check() const {
  require(last_ < engines_.size(), "engine %u had the last step, but does not exist", last_);
  for (const auto& engine : engines_) engine->check();
}

}  // namespace figment
