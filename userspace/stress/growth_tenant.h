// SPDX-License-Identifier: MIT
//
// One process of a growth measurement. It has its memory from the start, and forks before it has
// ever opened the device; then it opens it, binds the memory, and forks with idle queues and with
// queues that write to all of it. So what fork() costs is compared within one process.
//
// A fork is: fork(), and its time; the queues of the process rest; it writes to each page, and the
// kernel copies it, since the child stays for so long; the child leaves; the queues write to each
// page. So every fork begins with pages that are there, are writable, belong to this process alone,
// and are mapped for the GPU.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "figment/buffer.h"
#include "growth_plan.h"
#include "notifier_timer.h"
#include "shared.h"
#include "view.h"

namespace figment::stress {

struct TenantConfig {
  StressStrategy strategy = kStressStrategies.front();
  GrowthPoint point;
  unsigned gpu = 0;
  std::uint64_t seed = 1;
};

/// Zero: that was not measured.
struct ForkCost {
  double fork_us = 0;
  double rewrite_us = 0;    // busy: until jobs have written each page again
  double first_job_us = 0;  // idle: the first job afterwards, which writes one word
  NotifierTimes notifier;   // traced
};

class Tenant {
 public:
  /// Memory, touched. The device is not opened.
  Tenant(const TenantConfig& config, WorkerShared& shared);
  ~Tenant();

  /// Opens the device and binds; what binding took, in microseconds.
  [[nodiscard]] double open();
  /// Returns when every page has been written. The queues go on.
  void resume();
  void pause();
  [[nodiscard]] ForkCost fork_once(bool traced);
  /// Judges every word.
  void finish();

 private:
  struct Gpu;

  void go_to_vram();
  void rewrite(pid_t child, int let_go);
  void stamp_everything();

  TenantConfig config_;
  WorkerShared& shared_;
  Mapping memory_;
  std::optional<View> view_;
  std::unique_ptr<Gpu> gpu_;
  bool busy_ = false;
};

}  // namespace figment::stress
