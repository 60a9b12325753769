// SPDX-License-Identifier: MIT
// Invalidations: from the command to the acknowledgement (docs/hardware.md,
// "Invalidation").
//
// A command takes its latency, then the TLB and the page-walk cache drop what
// it names, and then it waits for every access in flight that was translated
// before and touches the named range. So a stale translation can be used right
// up to the acknowledgement, and never after. Acknowledgements are in order.
#pragma once

#include <array>

#include "archive.h"
#include "event_ring.h"
#include "mmu.h"

namespace figment {

class Invalidator {
 public:
  class Owner {
   public:
    // Bit masks of engines, as Scheduler has them.
    virtual uint32_t engines_using(Asid asid, GpuVa first, GpuVa last) const = 0;
    virtual uint32_t engines_in_flight() const = 0;
    virtual void raise_error(uint32_t bits) = 0;

   protected:
    ~Owner() = default;
  };

  Invalidator(const Host& host, Mmu& mmu, EventRing& events, const figment_model_config& config,
              Owner& owner)
      : host_(host), mmu_(mmu), events_(events), config_(config), owner_(owner) {}
  Invalidator(const Invalidator&) = delete;
  Invalidator& operator=(const Invalidator&) = delete;

  // Registers.
  uint64_t first() const { return first_; }
  uint64_t last() const { return last_; }
  uint64_t sequence() const { return accepted_; }
  uint64_t done() const { return acknowledged_; }
  void set_first(uint64_t va) { first_ = va; }
  void set_last(uint64_t va) { last_ = va; }
  // False: a guest error. Without room it is refused with FIGMENT_ERROR_INVAL_FULL.
  bool command(uint64_t command, Nanos now);

  void pump(Nanos now);
  Nanos next_ns() const;
  bool pending() const { return accepted_ != acknowledged_; }

  void access_completed(unsigned engine);
  // An INVALIDATED report is in the ring.
  void event_entered() { --events_pending_; }

  void reset();

  // State, archive.h. `reports` are INVALIDATED events under way; `in_flight` as engines_in_flight().
  void describe(Archive& archive);
  void check(uint32_t reports, uint32_t in_flight) const;

 private:
  enum class Kind : uint8_t { range, asid, all };
  friend constexpr bool known(Kind kind) { return kind <= Kind::all; }
  struct Request {
    Kind kind = Kind::all;
    Asid asid;
    GpuVa first;
    GpuVa last;
    bool event = false;
    uint32_t engines_waited = 0;  // with an access in flight that was translated before that
    Nanos due_ns = 0;
    void describe(Archive& archive);
  };

  Request& request(uint64_t sequence) { return requests_[sequence % requests_.size()]; }
  const Request& request(uint64_t sequence) const { return requests_[sequence % requests_.size()]; }
  void drop(Request& request);
  void acknowledge(Nanos now);

  const Host& host_;
  Mmu& mmu_;
  EventRing& events_;
  const figment_model_config& config_;
  Owner& owner_;

  std::array<Request, FIGMENT_INVAL_DEPTH> requests_;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
  uint64_t accepted_ = 0;
  uint64_t dropped_ = 0;
  uint64_t acknowledged_ = 0;
  uint32_t events_pending_ = 0;  // reports that are promised or under way
};

}  // namespace figment
