// SPDX-License-Identifier: MIT
// The life of all queues: commands, doorbells, errors, resets, and what the
// driver sees of them in descriptors and events.
//
// A queue that stops while an access of it is in flight keeps its engine until
// the access has completed; only then is it OFF, PREEMPTED or in ERROR. Reports
// follow the state. A queue has at most one fence, one fault, one preemption and
// one reset report under way: RELEASE waits for its turn, a queue does not run
// before its fault is in the ring, and a preemption or a reset waits for the
// report of the one before it. It
// has at most two error reports under way: with one of an error or a reset it
// does not run, so only a START or a doorbell can make it fail again, and after
// that only the reset that waits leads on.
#pragma once

#include <vector>

#include "archive.h"
#include "event_ring.h"
#include "memory.h"
#include "queue.h"
#include "run_queue.h"

namespace figment {

class Queues {
 public:
  class Owner {
   public:
    virtual void raise_error(uint32_t bits) = 0;

   protected:
    ~Owner() = default;
  };

  Queues(const Host& host, Memory& memory, EventRing& events, RunQueue& run_queue,
         Injector& injector, const figment_model_config& config, Owner& owner);
  Queues(const Queues&) = delete;
  Queues& operator=(const Queues&) = delete;

  Queue& operator[](uint32_t id) { return queues_[id]; }
  const Queue& operator[](uint32_t id) const { return queues_[id]; }
  uint32_t count() const { return static_cast<uint32_t>(queues_.size()); }

  // From the guest. False: a guest error, nothing has changed.
  bool set_descriptor(uint32_t id, uint64_t bus);
  bool command(uint32_t id, uint32_t command, Nanos now);
  // Ignored unless the queue is READY: user space may ring without knowing.
  void doorbell(uint32_t id, uint64_t write, Nanos now);

  // Doorbells whose latency is over, and preemptions of queues that are on no engine.
  void pump(Nanos now);
  Nanos next_ns() const { return next_due_ns_; }

  // From the engine that the queue is on.
  // A packet of the ring is retired: `bytes` of it.
  void retire(Queue& queue, uint64_t bytes);
  void fence(Queue& queue, uint64_t value, bool privileged, Nanos now);
  // The queue has left its engine with nothing in flight: finish what `stop` says, or wait in line.
  void left_engine(Queue& queue, Nanos now);
  void fail(Queue& queue, const Fault& fault, Nanos now);
  // The queue has left its engine at an access that the driver may make possible. `access` is
  // FIGMENT_EVENT_ACCESS_*.
  void stall(Queue& queue, uint64_t address, uint32_t access, Nanos now);

  // From the event ring: that report has entered it.
  void event_entered(uint16_t id, uint16_t type, Nanos now);

  void reset();

  // State, archive.h. check() after the engines and the run queue are loaded.
  void describe(Archive& archive);
  void check() const;

 private:
  void start(Queue& queue, Nanos now);
  bool preempt(Queue& queue, Nanos now);
  void resume(Queue& queue, Nanos now);
  void retry(Queue& queue);
  void check_queue(const Queue& queue) const;
  Result<void> load_descriptor(Queue& queue);
  Result<void> load_save_area(Queue& queue);
  void stop(Queue& queue, Nanos now);
  void finish_reset(Queue& queue, Nanos now);
  void finish_preemption(Queue& queue, Nanos now);
  // May be put on an engine.
  bool runnable(const Queue& queue) const;
  // On no engine, and PREEMPT can end as soon as it is due.
  bool awaits_preemption(const Queue& queue) const;
  Nanos preempt_due_ns(const Queue& queue, Nanos now);
  Nanos due_ns(const Queue& queue) const;
  // Accesses to the queue's descriptor, for as long as that lives.
  Injector::Behalf on_behalf(const Queue& queue);
  void announce(Queue& queue, Nanos now);
  Nanos earliest_due_ns() const;
  void wake(Queue& queue);
  void set_state(Queue& queue, QueueState state);
  void write_back(const Queue& queue);
  void report(const Queue& queue, uint16_t type, uint32_t detail, uint64_t value, Nanos now);

  const Host& host_;
  Memory& memory_;
  EventRing& events_;
  RunQueue& run_queue_;
  Injector& injector_;
  const figment_model_config& config_;
  Owner& owner_;
  std::vector<Queue> queues_;
  Nanos next_due_ns_ = kNever;  // of all queues
};

}  // namespace figment
