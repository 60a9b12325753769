// SPDX-License-Identifier: MIT
// The whole GPU: owns the parts, maps registers and doorbells onto them, and
// gives them time.
//
// No thread, no clock, no lock. Its host calls it from one thread at a time.
// Guest accesses take effect at once as far as latencies allow; the work of
// engines happens only in run(). Every kept mapping of guest memory is given
// back before a call returns.
//
// A device that a rule has removed goes on inside until the call ends, but
// reaches nobody any more; after that it gets no time.
#pragma once

#include "engine.h"
#include "event_ring.h"
#include "host.h"
#include "injector.h"
#include "interrupts.h"
#include "invalidator.h"
#include "memory.h"
#include "mmu.h"
#include "queues.h"
#include "registers.h"
#include "run_queue.h"
#include "scheduler.h"

namespace figment {

class Model final : EventRing::Owner, Queues::Owner, Invalidator::Owner, Engine::Owner {
 public:
  // `config` has passed check_config().
  Model(const figment_model_config& config, const figment_model_host& host);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  uint64_t register_read(uint64_t offset, unsigned bytes);
  void register_write(uint64_t offset, uint64_t value, unsigned bytes);
  uint64_t doorbell_read(uint64_t offset, unsigned bytes);
  void doorbell_write(uint64_t offset, uint64_t value, unsigned bytes);
  figment_model_progress run(uint64_t steps);
  // PCI reset: nothing is waited for.
  void reset();

  // From the host.
  std::expected<unsigned, std::string> inject(const figment_injection& rule);
  void clear_injection();
  const Injector& injector() const { return injector_; }

  // The whole state as a stream (snapshot.cpp). load() is for a model that nothing has been done
  // with yet; when it throws, the model is good for reset() only.
  std::vector<std::byte> save();
  void load(std::span<const std::byte> stream);

 private:
  // Every call into the model gives mappings back when it ends.
  class Call {
   public:
    explicit Call(Memory& memory) : memory_(memory) {}
    ~Call() { memory_.release_maps(); }

   private:
    Memory& memory_;
  };

  // EventRing::Owner, Queues::Owner, Invalidator::Owner, Engine::Owner
  void event_entered(uint16_t queue, uint16_t type) override;
  void raise_error(uint32_t bits) override;
  uint32_t engines_using(Asid asid, GpuVa first, GpuVa last) const override;
  uint32_t engines_in_flight() const override;
  void access_completed(unsigned engine) override;

  uint64_t read(const RegisterAccess& access) const;
  // False: a guest error.
  bool write(const RegisterAccess& access, uint64_t value);
  // The device is gone, or goes at this access of the guest.
  bool gone(const Opportunity& access);
  bool start_reset(uint64_t key);
  void guest_error(uint64_t offset, unsigned bytes, uint64_t value, bool write);
  uint64_t features() const;
  uint64_t configuration() const;
  uint32_t status() const;

  // Everything that is due and is not the work of an engine.
  void pump(Nanos now);
  Nanos next_ns() const;
  void reset_parts();

  // snapshot.cpp
  void describe(Archive& archive);
  void frame(Archive& archive);
  void check() const;

  const figment_model_config config_;
  const Host host_;
  Injector injector_;
  Memory memory_;
  Mmu mmu_;
  Interrupts interrupts_;
  EventRing events_;
  RunQueue run_queue_;
  Queues queues_;
  Invalidator invalidator_;
  Scheduler scheduler_;

  uint64_t guest_errors_ = 0;
  uint64_t scratch_ = 0;
  uint32_t error_ = 0;
  bool resetting_ = false;
};

}  // namespace figment
