// SPDX-License-Identifier: MIT
// MSI-X vectors on their way: raised by a cause, sent after a latency
// (docs/hardware.md, "Events and interrupts").
//
// A vector that is on its way takes later causes along. So a message comes
// after each cause, and none is lost; unless a rule of injection wants it so.
#pragma once

#include <array>

#include "archive.h"
#include "injector.h"

namespace figment {

class Interrupts {
 public:
  Interrupts(const Host& host, Injector& injector, const figment_latency& latency)
      : host_(host), injector_(injector), latency_(latency) {}
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // vector < FIGMENT_VECTORS. `cause`: the queue and the event that it is for, if it is for one.
  void raise(unsigned vector, const Opportunity& cause = {});
  // Send what is due.
  void pump(Nanos now);
  // When pump() has something to do next.
  Nanos next_ns() const;
  bool pending() const;
  // What is on its way is not sent any more.
  void reset() { vectors_ = {}; }

  // State, archive.h. There is nothing to check.
  void describe(Archive& archive);

 private:
  struct Vector {
    bool raised = false;
    Nanos due_ns = 0;
    Nanos again_ns = kNever;  // injected: one more message
    void describe(Archive& archive);
  };

  void send(unsigned vector);

  const Host& host_;
  Injector& injector_;
  const figment_latency latency_;
  std::array<Vector, FIGMENT_VECTORS> vectors_;
};

}  // namespace figment
