// SPDX-License-Identifier: MIT
// One hardware queue: what the descriptor said, how far it is, and where its
// life stands (docs/hardware.md, "Queues"). A record; queues.cpp is its life,
// engine.cpp its work.
#pragma once

#include "execution.h"
#include "units.h"

namespace figment {

enum class QueueState : uint32_t {
  off = FIGMENT_QUEUE_OFF,
  ready = FIGMENT_QUEUE_READY,
  stopping = FIGMENT_QUEUE_STOPPING,
  preempted = FIGMENT_QUEUE_PREEMPTED,
  faulted = FIGMENT_QUEUE_FAULTED,
  error = FIGMENT_QUEUE_ERROR,
};

struct Queue {
  // Why the engine must let go of the queue as soon as nothing is in flight; for `preempt` as soon
  // as it is also due and where it may stop.
  enum class Stop : uint8_t { none, preempt, reset, error };

  uint16_t id = 0;
  QueueState state = QueueState::off;
  Fault error;         // in state error: why; in state faulted: the address, without a code
  BusAddr descriptor;  // QUEUE_DESC

  // From the descriptor.
  GpuVa ring;
  uint64_t ring_bytes = 0;
  Asid asid;
  uint32_t priority = 0;
  bool privileged = false;
  Nanos timeslice_ns = 0;  // 0: until there is nothing to do

  // Ring bytes, free-running.
  uint64_t read = 0;       // retired
  uint64_t announced = 0;  // by descriptor or doorbell
  uint64_t visible = 0;    // announced, and the doorbell's latency is over
  Nanos doorbell_due_ns = kNever;

  int engine = -1;
  Stop stop = Stop::none;
  Fault stop_error;
  Nanos preempt_due_ns = kNever;  // with Stop::preempt
  Execution run;

  // Reports under way to the event ring.
  bool fence_pending = false;
  bool reset_pending = false;
  bool fault_pending = false;
  bool preempted_pending = false;
  // Two, when the queue was reset and started again and fails before the first is in the ring.
  uint8_t errors_pending = 0;
  // Left its engine at a RELEASE, until fence_pending ends.
  bool held_by_fence = false;

  bool has_work() const { return !run.between_jobs() || read != visible; }
  // A report under way that has to be in the event ring before the queue goes on.
  bool waits_for_report() const {
    return held_by_fence || errors_pending != 0 || reset_pending || fault_pending ||
           preempted_pending;
  }
  // Whether it may leave its engine here, between two accesses, when the device preempts so.
  bool can_leave(uint32_t preempt) const {
    return preempt == FIGMENT_PREEMPT_INSTRUCTION ||
           (preempt == FIGMENT_PREEMPT_COMMAND && run.phase == Execution::Phase::fetch);
  }

  // Where packets come from: the ring, or the buffer of the innermost INDIRECT.
  bool has_privilege() const {
    return run.depth == 0 ? privileged : run.frames[run.depth - 1].privileged != 0;
  }
  // The place `offset` bytes after the start of the next packet.
  GpuVa source_at(uint64_t offset) const {
    if (run.depth != 0) return GpuVa{run.frames[run.depth - 1].at} + offset;
    return ring + ((read + offset) & (ring_bytes - 1));
  }
  // From there to the end.
  uint64_t source_bytes() const {
    if (run.depth == 0) return visible - read;
    const Execution::Frame& frame = run.frames[run.depth - 1];
    return frame.end - frame.at;
  }
};

}  // namespace figment
