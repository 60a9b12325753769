// SPDX-License-Identifier: MIT
// An engine: does the packets of the queue that is on it, one access at a time.
//
// Each access is issued (translated), is in flight for its latency, and
// completes (the data moves, at the addresses of the translation, however old
// that is by then). At most one is in flight per engine, and nothing of it has
// an effect before it completes. All state of the packet is in Queue::run.
//
// An injected hang is a packet that never plans its first access: the engine
// stays where it is until the queue is reset.
//
// One step() takes bounded time: at most one packet, kAccessesPerStep accesses
// and config.step_bytes of data.
#pragma once

#include "archive.h"
#include "executor.h"
#include "mmu.h"
#include "queues.h"
#include "run_queue.h"

namespace figment {

inline constexpr unsigned kAccessesPerStep = 16;

class Engine {
 public:
  class Owner {
   public:
    // The access that was in flight on `engine` no longer is.
    virtual void access_completed(unsigned engine) = 0;

   protected:
    ~Owner() = default;
  };

  Engine(unsigned id, const Host& host, Memory& memory, Mmu& mmu, Queues& queues,
         const RunQueue& run_queue, Injector& injector, const figment_model_config& config,
         Owner& owner)
      : id_(id),
        host_(host),
        memory_(memory),
        mmu_(mmu),
        queues_(queues),
        run_queue_(run_queue),
        injector_(injector),
        config_(config),
        owner_(owner) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  bool free() const { return queue_ == nullptr; }
  bool in_flight() const { return in_flight_; }
  bool uses(Asid asid, GpuVa first, GpuVa last) const {
    return in_flight_ && access_.asid == asid && access_.uses(first, last);
  }

  void take(Queue& queue, Nanos now);
  // When step() has something to do. Not enabled: only what is in flight, and stops.
  Nanos ready_ns(bool enabled) const;
  void step(Nanos now, bool enabled);
  // Complete what is in flight, if it is due, and start nothing.
  void drain(Nanos now);
  // Forget everything at once; what is in flight never happens.
  void reset();

  // State, archive.h. When loading: after the queues, which learn their engines here.
  void describe(Archive& archive);
  void check() const;

 private:
  // What step() does after one thing is done.
  enum class Then : uint8_t { go_on, stop };

  Then advance(Nanos now);
  Then fetch(Nanos now);
  Then run(Nanos now);
  Then issue(const Want& want, Nanos now);
  Then call(const Want& want);
  Then return_from_call(Nanos now);
  Then retire(Nanos now);
  Then report(uint64_t value, Nanos now);
  Then fail(const Fault& fault, Nanos now);
  Then miss(const Fault& fault, const Accessor& accessor, Nanos now);
  Then leave(Nanos now);
  Queue& let_go(Nanos now);
  void trace_fault(const Fault& fault, uint32_t access) const;
  Result<void> complete(Nanos now);
  Result<void> accept_fetched();
  Result<void> accept_packet();
  void begin_packet();
  Opportunity opportunity() const;
  Result<void> arrive(Nanos now);
  Nanos stop_ns() const;
  Nanos yield_ns() const;
  Nanos turn_ends_ns() const;
  bool must_leave(Nanos now, bool enabled) const;

  const unsigned id_;
  const Host& host_;
  Memory& memory_;
  Mmu& mmu_;
  Queues& queues_;
  const RunQueue& run_queue_;
  Injector& injector_;
  const figment_model_config& config_;
  Owner& owner_;

  Queue* queue_ = nullptr;  // null: free
  Nanos since_ns_ = 0;      // it is on the engine
  bool worked_ = false;     // since then: a timeslice is never too short for one access
  Nanos sleep_until_ns_ = 0;
  bool hung_ = false;  // the packet that it is in does not go on
  bool in_flight_ = false;
  Access access_;
  uint64_t step_bytes_left_ = 0;
};

}  // namespace figment
