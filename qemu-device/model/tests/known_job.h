// SPDX-License-Identifier: MIT
// Jobs whose results are known: what a queue must still be able to do, whatever
// was done to the device or is being done on other queues.
//
// A KnownJobs has all that one queue needs (page tables, ring, descriptor, data)
// in pages of its own, so nothing that a guest wrote elsewhere matters to it.
#pragma once

#include <string>

#include "gpu.h"

namespace figment::test {

class KnownJobs {
 public:
  static constexpr uint64_t kBytes = 7 * kPage;

  // In [base, base + kBytes) of RAM, which is zeroed. Changes the root of `asid`.
  KnownJobs(Gpu& gpu, uint64_t base, uint32_t asid, uint32_t queue);

  // The queue is OFF before.
  void start();
  // A job that fills, copies, adds and reports, with `number` in all of its results.
  void submit(uint64_t number);
  // The whole ring is retired.
  bool done();
  // "", or what is wrong with the results of the last job.
  std::string trouble();

 private:
  uint64_t data(uint64_t offset) const { return base_ + kPage + offset; }

  Gpu& gpu_;
  const uint64_t base_;  // page 0: ring, 1: data, 2: descriptor, 3..6: tables
  const uint32_t asid_;
  const uint32_t queue_;
  uint64_t write_ = 0;
  uint64_t number_ = 0;
};

// For a GPU that was just reset: disarms injection, which outlives resets, brings it up, and does a
// known job on every queue, one after the other, with memory in [base, base + KnownJobs::kBytes).
// "", or what went wrong.
std::string known_job_trouble(Gpu& gpu, uint64_t base);

}  // namespace figment::test
