// SPDX-License-Identifier: MIT
//
// Synchronisation: Syncobj is the kernel's container for a fence (binary), or for
// a sequence of them (timeline); Fence is the end of one job.
//
// About errors: the error of a fence is read through a sync file. The kernel
// forgets fences of a timeline once they have signalled, and their errors with
// them, so only a binary syncobj, or a sync file exported before the end of the
// job, tells for certain. That is why Queue::run() makes a binary one per job.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "figment/command_list.h"
#include "figment/handle.h"
#include "figment/types.h"

namespace figment {

/// One thing to wait for, or to signal.
struct SyncPoint {
  std::uint32_t handle = 0;
  std::optional<std::uint64_t> value;  // none: a binary syncobj
};

/// All waits: also for fences that nobody has submitted yet.
enum class WaitFor { all, any };

/// Until `points` have signalled, all of them or any. False: the deadline came first.
/// A syncobj that has no fence yet is waited for, too.
[[nodiscard]] bool wait(int fd, std::span<const SyncPoint> points, Deadline deadline,
                        WaitFor mode = WaitFor::all);

/// A word of this process that jobs write with RELEASE: once its bits in `mask` compare so with
/// `reference`, it is over. Nobody in the kernel waits for one.
struct UserFence {
  const std::uint64_t* word = nullptr;  // aligned
  std::uint64_t reference = 0;
  Compare compare = Compare::ge;
  std::uint64_t mask = ~std::uint64_t{0};
};

/// Until the comparison holds. False: the deadline came first. `fd`: the device whose jobs write
/// it; a RELEASE with an event is noticed at once, others within 100 ms.
[[nodiscard]] bool wait(int fd, const UserFence& fence, Deadline deadline);

/// How many jobs of a queue had failed when somebody looked: Queue::errors().
struct QueueErrors {
  std::uint32_t queue = 0;
  std::uint64_t errors = 0;
};

/// How a wait for a user fence ended.
enum class WaitEnd {
  holds,       // the comparison
  deadline,    // came first
  job_failed,  // of the queue, and the comparison does not hold; or the queue is destroyed
};

/// The same, for the jobs of one queue: one that has failed may never write the word. `before`:
/// Queue::errors(), from before the first of them was submitted.
[[nodiscard]] WaitEnd wait(int fd, const UserFence& fence, const QueueErrors& before,
                           Deadline deadline);

/// What a sync file knows: nothing yet (pending), zero (well), or the errno of the fence.
[[nodiscard]] std::optional<int> sync_file_result(const UniqueFd& sync_file);

class Syncobj {
 public:
  /// As kept by Device::syncobj().
  static Syncobj create(DeviceFile file, bool signalled = false);

  [[nodiscard]] std::uint32_t handle() const { return handle_.number(); }
  [[nodiscard]] SyncPoint binary() const { return {.handle = handle()}; }
  [[nodiscard]] SyncPoint at(std::uint64_t value) const {
    return {.handle = handle(), .value = value};
  }

  [[nodiscard]] bool wait(Deadline deadline) const;
  [[nodiscard]] bool wait(std::uint64_t value, Deadline deadline) const;
  /// Last point of a timeline that has signalled.
  [[nodiscard]] std::uint64_t query() const;
  void signal();
  void signal(std::uint64_t value);
  void reset();

  /// The fence that is in it now, as a file of its own. A point of a timeline, too.
  [[nodiscard]] UniqueFd export_sync_file() const;
  [[nodiscard]] UniqueFd export_sync_file(std::uint64_t value) const;
  void import_sync_file(const UniqueFd& sync_file);

  /// The syncobj itself, for another device file or process.
  [[nodiscard]] UniqueFd export_file() const;
  static Syncobj import_file(DeviceFile file, const UniqueFd& syncobj_file);

 private:
  explicit Syncobj(Handle<syncobj_destroy> handle) : handle_(std::move(handle)) {}

  Handle<syncobj_destroy> handle_;
};

/// The end of one job.
class Fence {
 public:
  explicit Fence(Syncobj syncobj) : syncobj_(std::move(syncobj)) {}

  [[nodiscard]] SyncPoint point() const { return syncobj_.binary(); }
  /// False: the deadline came first.
  [[nodiscard]] bool wait(Deadline deadline) const { return syncobj_.wait(deadline); }
  /// None: the job has not ended. Zero: it has, well. Else the errno of the job.
  [[nodiscard]] std::optional<int> result() const;
  [[nodiscard]] UniqueFd sync_file() const { return syncobj_.export_sync_file(); }

 private:
  Syncobj syncobj_;
};

}  // namespace figment
