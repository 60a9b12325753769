// SPDX-License-Identifier: MIT
//
// Stamper keeps the GPU writing: a thread of its own that hands job after job to
// each of its queues, so that so many are in flight as it is told, and publishes how
// far they have come. Job n of a queue writes gpu_stamp(queue, page, n)
// into the queue's run of each page of slice n % slices.
//
// It can be paused: pause() returns when nothing is in flight, and the thread stays,
// so that a process with an idle GPU is otherwise the same process.
//
// Memory of the range may be missing for a while, when it is told so: expect_faults(). Jobs that
// it costs count as completed, and have written what they have written; the words that they owe
// are written by the jobs after them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "completion.h"
#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/device.h"
#include "figment/queue.h"
#include "layout.h"
#include "shared.h"

namespace figment::stress {

class Stamper {
 public:
  /// Jobs in flight per queue: when one ends there is still one while the next is made.
  /// With 1 the GPU has nothing to do whenever a job is made.
  static constexpr unsigned kInFlight = 2;

  struct Config {
    GpuVa range;     // where the stress range is mapped
    GpuVa commands;  // where the stamper may map its command buffers
    oracle::Layout layout;
    std::chrono::nanoseconds job_time;
    unsigned in_flight = kInFlight;
    bool long_running = false;  // the Vm is: its jobs have no DMA fences
  };

  /// Measures the device by a few jobs that stamp all pages, to choose layout().slices so that
  /// a job takes about job_time. Their stamps are left in the range. Starts paused.
  Stamper(const Device& device, Vm& vm, const Config& config, WorkerShared& shared);
  Stamper(const Stamper&) = delete;
  Stamper& operator=(const Stamper&) = delete;
  /// Waits for what is in flight.
  ~Stamper();

  [[nodiscard]] const oracle::Layout& layout() const { return config_.layout; }

  void resume();
  void pause();

  /// From here on jobs may fail, and be refused, because memory is missing.
  void expect_faults() { missing_ = true; }
  /// Paused: from here on nothing is missing any more.
  void forgive_faults();
  /// Jobs that have failed or were refused since expect_faults() was called.
  [[nodiscard]] std::uint64_t faults() const;

  /// About jobs that have ended with an error, in words; nothing when none has but those that
  /// were expected to.
  [[nodiscard]] std::optional<std::string> failure() const;

 private:
  /// Bytes from the start of commands_: the slot of a job, and words that jobs write.
  [[nodiscard]] std::uint64_t slot(unsigned queue, Sequence n) const;
  [[nodiscard]] std::uint64_t words() const;
  [[nodiscard]] std::unique_ptr<Completion> make_completion() const;
  [[nodiscard]] Sequence next(unsigned queue) const;
  void add_stamp(unsigned queue, std::uint32_t page, Sequence n);
  /// Makes list_ that job.
  void write_job(unsigned queue, Sequence n);
  /// Hands list_ over, as the next job. False: memory is missing, and there is no such job.
  bool submit(unsigned queue);
  void collect();
  void collect_despite_faults();
  [[nodiscard]] std::chrono::nanoseconds stamp_everything();
  void measure();
  void loop();
  void run();
  [[nodiscard]] bool idle() const;

  const Device& device_;
  Config config_;
  WorkerShared& shared_;
  unsigned slots_;  // of each queue
  std::uint64_t slot_bytes_;
  Buffer commands_;
  Mapping commands_view_;
  std::vector<Queue> queues_;
  std::vector<std::uint64_t> forgiven_;  // errors of each queue that were expected
  std::atomic<bool> missing_ = false;    // memory is, or may be
  std::atomic<std::uint64_t> refused_ = 0;
  std::unique_ptr<Completion> completion_;
  std::chrono::nanoseconds spin_{0};  // in the middle of a job, to fill job_time
  CommandList list_;

  enum class Wish { pause, stamp, stop };
  std::mutex mutex_;
  std::condition_variable changed_;
  Wish wish_ = Wish::pause;  // guarded by mutex_
  bool paused_ = true;       // guarded by mutex_
  bool dead_ = false;        // guarded by mutex_: the thread has failed and gone
  std::thread thread_;
};

}  // namespace figment::stress
