// SPDX-License-Identifier: MIT
//
// One GPU of a chain: a VM with the memory that all of them share, a queue, and jobs that stamp
// every page of it. Its jobs can be waited for by other GPUs, through sync files.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "figment/device.h"
#include "figment/queue.h"
#include "layout.h"
#include "shared.h"

namespace figment::stress {

class ChainGpu {
 public:
  struct Config {
    unsigned number = 0;  // of the GPU, and of its queue in the layout
    Strategy strategy = Strategy::fence;
    std::span<std::byte> memory;
    oracle::Layout layout;
  };
  struct Job {
    std::chrono::nanoseconds spin{0};  // between the first half of the stamps and the second
    bool endless = false;              // all stamps, and then no end
    const UniqueFd* after = nullptr;   // a sync file to wait for: of the GPU before this one, whose
                                       // stamps are read then
  };
  /// By the clock of the devices, which is one.
  struct Times {
    std::uint64_t begin_ns = 0;
    std::uint64_t end_ns = 0;  // 0: it has not come to that
    [[nodiscard]] std::uint64_t ns() const { return end_ns > begin_ns ? end_ns - begin_ns : 0; }
  };

  ChainGpu(const Config& config, WorkerShared& shared);

  [[nodiscard]] const Device& device() const { return device_; }
  [[nodiscard]] Sequence submitted() const { return progress_.submitted.load(); }
  [[nodiscard]] Sequence completed() const { return progress_.completed.load(); }

  /// The next job. At most kSlots in flight.
  void submit(const Job& job);
  /// The end of the last job.
  [[nodiscard]] UniqueFd end() const { return timeline_.export_sync_file(submitted()); }
  /// The last job that has ended, as the kernel says now.
  [[nodiscard]] Sequence ended() const { return static_cast<Sequence>(timeline_.query()); }
  /// Until job `n` has ended; counts it as completed. std::runtime_error: it does not.
  void wait(Sequence n);
  /// Whether the device has begun with the last job.
  [[nodiscard]] bool has_begun() const { return times(submitted()).begin_ns != 0; }
  [[nodiscard]] Times times(Sequence n) const;
  /// What the last job that waited has read of the stamps of the GPU before it, page by page of
  /// read_pages().
  [[nodiscard]] std::span<const Word> read(Sequence n) const;
  [[nodiscard]] std::vector<std::uint32_t> read_pages() const;

  [[nodiscard]] QueueState state() const { return queue_.query(); }
  /// Binds the memory again: with the pages that are there now.
  void rebind() { range_.rebind(); }

  static constexpr unsigned kSlots = 4;

 private:
  [[nodiscard]] std::uint64_t slot(Sequence n) const { return slot_bytes_ * (n % kSlots); }
  /// Words that job n writes, from the start of commands_: two times, and what it reads.
  [[nodiscard]] std::uint64_t words(Sequence n) const;

  Config config_;
  QueueProgress& progress_;
  Device device_;
  Vm vm_;
  Userptr range_;
  std::uint64_t slot_bytes_;
  std::uint64_t words_bytes_;
  Buffer commands_;
  Mapping view_;
  Queue queue_;
  Syncobj timeline_;
  Syncobj before_;
  CommandList list_;
};

/// Keep GPUs busy with jobs of their own, from their construction to stop(): each is fed by a
/// process of its own, which has the files of this one. A thread would not get on while its process
/// forks: its first write to a page that has been copied waits for the end of fork().
class ChainFeeders {
 public:
  /// `memory`: what the GPUs share; the feeders give up their part of it.
  ChainFeeders(std::span<const std::unique_ptr<ChainGpu>> gpus, std::span<std::byte> memory,
               unsigned in_flight, std::chrono::nanoseconds spin);
  ChainFeeders(const ChainFeeders&) = delete;
  ChainFeeders& operator=(const ChainFeeders&) = delete;
  ~ChainFeeders();

  /// Waits for what is in flight. std::runtime_error: something has failed.
  void stop();

  /// Of the jobs of one GPU, by the clock of the devices; after stop().
  struct Fed {
    std::atomic<std::uint64_t> jobs = 0;
    std::atomic<std::uint64_t> sum_ns = 0;
    std::atomic<std::uint64_t> longest_ns = 0;

    [[nodiscard]] std::uint64_t mean_ns() const { return jobs ? sum_ns / jobs : 0; }
  };
  [[nodiscard]] const Fed& fed(unsigned gpu) const { return shared_->fed.at(gpu); }

 private:
  struct Shared {
    std::atomic<bool> go = false;
    std::atomic<bool> stop = false;
    std::array<Fed, kMaxQueues> fed;
    FirstText failure;
  };

  [[noreturn]] void feed(ChainGpu& gpu, Fed& fed, unsigned in_flight,
                         std::chrono::nanoseconds spin);
  [[nodiscard]] std::string end();

  mutable SharedObject<Shared> shared_;
  std::vector<pid_t> children_;
};

}  // namespace figment::stress
