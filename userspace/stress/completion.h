// SPDX-License-Identifier: MIT
//
// Completion: how a Stamper gets to know which of its jobs have ended. Jobs of most VMs have DMA
// fences, and each of its queues, here a lane, signals a timeline. Those of a long-running VM have
// none, and write what they have come to into memory.
//
// Of both it holds: when ended() tells n, what jobs 1 .. n of the lane have written is visible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "figment/command_list.h"
#include "figment/device.h"
#include "figment/sync.h"
#include "shared.h"

namespace figment::stress {

class Completion {
 public:
  virtual ~Completion() = default;

  /// The last packets of job n of a lane.
  virtual void add_end(CommandList& list, unsigned lane, Sequence n) const = 0;
  /// What the SUBMIT of that job has to signal.
  [[nodiscard]] virtual std::vector<SyncPoint> signals(unsigned lane, Sequence n) const = 0;
  /// The last job of a lane that has ended.
  [[nodiscard]] virtual Sequence ended(unsigned lane) const = 0;
  /// Until a job of any lane has ended that `lanes` does not count as completed; there must be one
  /// in flight.
  [[nodiscard]] virtual WaitEnd wait(std::span<const QueueProgress> lanes, Deadline deadline) = 0;
};

/// Point n of the timeline of a lane is the end of job n. A job that fails ends like any other.
class Timelines final : public Completion {
 public:
  Timelines(const Device& device, unsigned lanes);

  void add_end(CommandList&, unsigned, Sequence) const override {}
  [[nodiscard]] std::vector<SyncPoint> signals(unsigned lane, Sequence n) const override;
  [[nodiscard]] Sequence ended(unsigned lane) const override;
  [[nodiscard]] WaitEnd wait(std::span<const QueueProgress> lanes, Deadline deadline) override;

 private:
  int fd_;
  std::vector<Syncobj> lanes_;
};

/// One word for each lane holds the number of its last job that has ended, and one counts the jobs
/// of all lanes, so that there is one word to wait for. The wait tells of a job that has failed.
class UserFences final : public Completion {
 public:
  [[nodiscard]] static constexpr std::size_t words(unsigned lanes) { return lanes + 1; }
  /// Bytes of packets that add_end() adds.
  static constexpr std::uint64_t kEndBytes =
      2 * sizeof(figment_packet_release) + sizeof(figment_packet_atomic);

  /// `memory`: zeros, which the GPU finds at `at`. `lanes`: their queues, from before the first
  /// job.
  UserFences(int fd, GpuVa at, std::span<const std::uint64_t> memory,
             std::vector<QueueErrors> lanes);

  void add_end(CommandList& list, unsigned lane, Sequence n) const override;
  [[nodiscard]] std::vector<SyncPoint> signals(unsigned, Sequence) const override { return {}; }
  [[nodiscard]] Sequence ended(unsigned lane) const override;
  [[nodiscard]] WaitEnd wait(std::span<const QueueProgress> lanes, Deadline deadline) override;

 private:
  int fd_;
  GpuVa at_;
  std::span<const std::uint64_t> memory_;  // word 0: the count; word 1 + n: lane n
  std::vector<QueueErrors> lanes_;
  std::size_t turn_ = 0;  // of a lane, to have its errors looked at
};

}  // namespace figment::stress
