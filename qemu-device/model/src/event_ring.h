// SPDX-License-Identifier: MIT
// The event ring: reports from the device to the driver through system memory
// (docs/hardware.md, "Events and interrupts").
//
// Nothing is lost. A report waits here, outside guest memory, until its latency
// is over and the ring is on and has space. The number that can wait is bounded
// because each source may have only so many under way: a queue one fence, two
// error, and one each of reset, fault and preemption reports, the invalidator
// FIGMENT_INVAL_DEPTH. Sources hold themselves to it; EventRing tells its Owner when a report has left.
//
// Reports of one source keep their order. Those of different sources may
// overtake each other when latencies are drawn.
#pragma once

#include <vector>

#include "archive.h"
#include "interrupts.h"
#include "memory.h"

namespace figment {

class EventRing {
 public:
  class Owner {
   public:
    // The report of `queue` (or FIGMENT_EVENT_NO_QUEUE) is in the ring.
    virtual void event_entered(uint16_t queue, uint16_t type) = 0;
    // FIGMENT_ERROR_*.
    virtual void raise_error(uint32_t bits) = 0;

   protected:
    ~Owner() = default;
  };

  EventRing(const Host& host, Memory& memory, Interrupts& interrupts, Injector& injector,
            const figment_latency& latency, size_t capacity, Owner& owner);
  EventRing(const EventRing&) = delete;
  EventRing& operator=(const EventRing&) = delete;

  // `event` without seq and time. Memory has been written before, in program order.
  void post(const figment_event& event, Nanos now);
  // Move what is due into the ring, as far as there is space.
  void pump(Nanos now);
  // When pump() has something to do next.
  Nanos next_ns() const;
  bool pending() const { return !waiting_.empty(); }

  // Registers. The setters are false for what is a guest error.
  uint64_t base() const { return base_.value; }
  uint32_t size_lg2() const { return size_lg2_; }
  uint32_t read_index() const { return read_; }
  uint32_t write_index() const { return write_; }
  uint32_t stalls() const { return stalls_; }
  bool set_base(uint64_t base);
  bool set_size_lg2(uint32_t lg2);
  bool set_read_index(uint32_t read);

  void reset();

  // State, archive.h. check() leaves it to others whether the sources have that much under way.
  void describe(Archive& archive);
  void check(uint32_t queues, uint32_t asids) const;
  // Reports of that source and type that wait.
  uint32_t waiting(uint16_t queue, uint16_t type) const;

 private:
  struct Waiting {
    figment_event event;
    Nanos due_ns = 0;
    bool stalled = false;
    bool tried = false;  // there was space for it once, and whether it may be had was asked
    void describe(Archive& archive);
  };

  bool usable() const { return size_lg2_ != 0 && !broken_; }
  bool has_space() const { return full_until_ns_ == 0 && write_ - read_ < 1u << size_lg2_; }
  bool may_enter(Waiting& report, Nanos now);
  bool enter(figment_event event);
  void stall(Waiting& waiting);

  const Host& host_;
  Memory& memory_;
  Interrupts& interrupts_;
  Injector& injector_;
  const figment_latency latency_;
  Owner& owner_;

  std::vector<Waiting> waiting_;  // in the order of post()
  BusAddr base_;
  uint32_t size_lg2_ = 0;
  uint32_t read_ = 0;
  uint32_t write_ = 0;
  uint32_t stalls_ = 0;
  bool broken_ = false;  // memory did not answer; until the ring is turned off
  Nanos full_until_ns_ = 0;  // injected: as if it had no space; 0: it is as it is
};

}  // namespace figment
