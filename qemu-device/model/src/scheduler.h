// SPDX-License-Identifier: MIT
// Which queue is on which engine, and which engine works next.
//
// Policy: a free engine takes the first queue of the highest priority that
// waits. A queue leaves its engine when it has nothing to do, when it stops, or
// at the end of a job (a RELEASE with EVENT in the ring) if a queue of higher
// priority waits, or one of the same priority and the timeslice is over. With
// preemption this may also be after any packet, or any access. Engines that can
// work take turns, a step each.
#pragma once

#include <memory>
#include <vector>

#include "archive.h"
#include "engine.h"

namespace figment {

class Scheduler {
 public:
  Scheduler(const Host& host, Memory& memory, Mmu& mmu, Queues& queues, RunQueue& run_queue,
            Injector& injector, const figment_model_config& config, Engine::Owner& owner);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Engines that are not enabled finish what is in flight and start nothing.
  bool enabled() const { return enabled_; }
  void set_enabled(bool enabled) { enabled_ = enabled; }

  // One step of one engine; false when none can work now.
  bool step(Nanos now);
  // When step() can do something next; 0: now.
  Nanos next_ns() const;
  // No engine has a queue, and none waits for one.
  bool idle() const;

  // A bit per engine whose access in flight uses a translation of the range.
  uint32_t engines_using(Asid asid, GpuVa first, GpuVa last) const;
  // A bit per engine with any access in flight.
  uint32_t engines_in_flight() const;

  // Complete what is in flight and due. When engines_in_flight() is 0 all is quiet.
  void drain(Nanos now);
  // When drain() can do something next.
  Nanos next_drain_ns() const;
  void reset();

  // State, archive.h. When loading: after the queues.
  void describe(Archive& archive);
  void check() const;

 private:
  void assign(Nanos now);

  RunQueue& run_queue_;
  Queues& queues_;
  std::vector<std::unique_ptr<Engine>> engines_;
  unsigned last_ = 0;  // engine that had the last step
  bool enabled_ = false;
};

}  // namespace figment
