// SPDX-License-Identifier: MIT
// MSI-X vectors on their way: raised by a cause, sent after a latency
// (docs/hardware.md, "Events and interrupts").
//
// A vector that is on its way takes later causes along. So a message comes
// after each cause, and none is lost.
#pragma once

#include <array>

#include "archive.h"
#include "host.h"

namespace figment {

class Interrupts {
 public:
  Interrupts(const Host& host, const figment_latency& latency) : host_(host), latency_(latency) {}
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // vector < FIGMENT_VECTORS.
  void raise(unsigned vector);
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
    void describe(Archive& archive);
  };

  const Host& host_;
  const figment_latency latency_;
  std::array<Vector, FIGMENT_VECTORS> vectors_;
};

}  // namespace figment
