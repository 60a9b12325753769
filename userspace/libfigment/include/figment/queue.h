// SPDX-License-Identifier: MIT
//
// A hardware queue of a Vm, and jobs on it.
#pragma once

#include <cstdint>
#include <vector>

#include "figment/handle.h"
#include "figment/sync.h"
#include "figment/types.h"

namespace figment {

struct QueueConfig {
  std::uint32_t priority = 0;      // 0 is the lowest
  std::uint64_t timeslice_ns = 0;  // 0: what the driver finds best
};

/// One job: packets at an address of the Vm. No bytes: an empty job. In a long-running VM it
/// can neither wait for nor signal anything; what comes last in it is a RELEASE for a UserFence.
struct Job {
  GpuVa at;
  std::uint64_t bytes = 0;
  std::vector<SyncPoint> wait = {};
  std::vector<SyncPoint> signal = {};
};

/// What has happened on a queue so far.
struct QueueState {
  std::uint64_t jobs = 0;          // that have ended, well or not
  std::uint64_t errors = 0;        // that have ended badly
  int last_error = 0;              // errno of the last of those, positive
  std::uint32_t last_code = 0;     // FIGMENT_CODE_* of it, zero for a timeout
  std::uint64_t last_address = 0;  // address that went wrong, for last_code
};

[[nodiscard]] QueueState query_queue(const Handle<queue_destroy>& queue);

class Queue {
 public:
  /// As called by Vm::queue().
  static Queue create(DeviceFile file, std::uint32_t vm, const QueueConfig& config);

  [[nodiscard]] std::uint32_t id() const { return handle_.number(); }

  void submit(const Job& job);
  /// submit(), with a fence of its own for the end of the job. Not in a long-running VM.
  [[nodiscard]] Fence run(Job job);
  [[nodiscard]] QueueState query() const { return query_queue(handle_); }
  /// For wait(): to be asked before the jobs are submitted whose user fence is waited for.
  [[nodiscard]] QueueErrors errors() const { return {.queue = id(), .errors = query().errors}; }

 private:
  explicit Queue(Handle<queue_destroy> handle) : handle_(std::move(handle)) {}

  Handle<queue_destroy> handle_;
};

}  // namespace figment
