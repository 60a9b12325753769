// SPDX-License-Identifier: MIT
//
// Jobs that are measured: to the end, or it is said why not.
#pragma once

#include "figment/device.h"
#include "figment/queue.h"
#include "figment/sync.h"
#include "figment/vm.h"

namespace figment::bench {

/// Waits for a job. std::runtime_error: it does not end; std::system_error: it has failed.
void finish(const Fence& fence);

/// An empty job, from SUBMIT to the end of the wait for its fence. Errors as finish().
class EmptyJob {
 public:
  explicit EmptyJob(const Device& device);
  void operator()();

 private:
  Vm vm_;
  Queue queue_;
  Syncobj end_;
};

}  // namespace figment::bench
