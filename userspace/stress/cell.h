// SPDX-License-Identifier: MIT
//
// Cell is one process of the torture table: a range of one page kind that GPU queues write and read
// all the time, to which one event happens again and again, and the oracle that says after each
// what every word has to be. docs/events.md has the rules.
//
// Events are functions of a Cell: its public part is what they may use.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "event.h"
#include "figment/device.h"
#include "page_kind.h"
#include "reader.h"
#include "shared.h"
#include "stamper.h"
#include "stress_strategy.h"
#include "view.h"

namespace figment::stress {

/// The driver does not take memory of this kind.
struct Refused {
  int error = 0;
};

struct CellConfig {
  StressStrategy strategy = kStressStrategies.front();
  const Event& event;
  const PageKind& pages;
  unsigned gpu = 0;
  std::uint64_t seed = 1;
  /// Short: most events are over sooner, and every round waits for some jobs.
  std::chrono::microseconds job_time{300};
};

class Cell {
 public:
  /// Opens the device and sets everything up, up to idle queues. Throws Refused, and Lacks.
  Cell(const CellConfig& config, WorkerShared& shared);

  /// The event, so many times with an idle GPU and so many with a busy one, and then as often as
  /// `wants_more`, if it is anything, says. Throws when the run itself fails; what is corrupt is in
  /// `shared`. Returns how often the GPU was busy.
  std::uint64_t run(std::uint64_t idle, std::uint64_t busy,
                    const std::function<bool()>& wants_more = {});

  // For events.

  [[nodiscard]] Device& device() { return device_; }
  [[nodiscard]] Vm& vm() { return vm_; }
  [[nodiscard]] Range& range() { return range_; }
  [[nodiscard]] View& view() { return view_; }
  [[nodiscard]] const CellConfig& config() const { return config_; }
  [[nodiscard]] std::uint64_t round() const { return round_; }
  [[nodiscard]] std::uint64_t random() { return random_(); }
  [[nodiscard]] std::span<std::byte> memory() const { return range_.memory(); }
  [[nodiscard]] bool busy() const { return busy_; }
  /// The device keeps to what the process has mapped; otherwise to the pages it was given.
  [[nodiscard]] bool follows() const;

  /// The system call that is the event, whose time is taken. Not fork(), which returns twice.
  template <typename Call>
  auto timed(Call&& call);
  /// The event has zeroed these pages only.
  void zeroed(Pages pages) { zeroed_ = pages; }
  /// For a moment there were zeros; a job that reads at the time may find them.
  void may_read_zeros() { reads_zeros_ = true; }
  /// Until every page has been written by jobs that were submitted since. Under an idle GPU there
  /// is nothing to wait for.
  [[nodiscard]] bool stamped();
  /// While memory is missing: until the GPU has had to do with it (again).
  void let_gpu_try();
  /// Takes the mapping away from the GPU, and gives it back.
  void unbind() { userptr_.reset(); }
  void bind();
  void rebind();
  /// The same memory at another address of the GPU as well.
  [[nodiscard]] Userptr bind_elsewhere();
  /// Another one that reads the range, on a queue of its own.
  [[nodiscard]] std::unique_ptr<Reader> another_reader();
  /// Harm done to memory that is not of the range.
  void count_harm(std::uint64_t words, const char* where);

  /// A child that lives under the rules C, and writes marks unless the range is shared, before it
  /// looks or after.
  [[nodiscard]] bool child_life(bool writes_first);
  /// A process of any life; its exit status tells whether that went well. `make` is fork(), or does
  /// the same in another way.
  [[nodiscard]] pid_t start_child(const std::function<bool()>& life,
                                  const std::function<pid_t()>& make = ::fork);
  /// Waits for its end, and fails when it was not a good one.
  void reap_child(pid_t child);
  /// What the parent does while children live: it writes marks, and looks.
  void parent_life(bool writes);
  /// For the life of another process that forgets about this cell.
  [[nodiscard]] WorkerShared& shared() { return shared_; }
  /// Jobs are in flight from here on, for a process that is about to go away.
  void keep_busy();

 private:
  void count_time(Clock::time_point start);
  /// With the event `times` times.
  void one_round(std::uint64_t times);
  [[nodiscard]] std::uint64_t times() const;
  void prepare();
  void pause();
  void resume();
  /// In VRAM: before the process goes over the range, page by page, after the event. A chunk would
  /// travel for each page, to and fro.
  void rest();
  void start_again();
  void go_to_vram();
  void judge_event();
  void judge_held();
  void judge_after();
  void read_and_check();
  void fail_unless_missing(bool read);

  CellConfig config_;
  WorkerShared& shared_;
  std::mt19937_64 random_;
  std::uint64_t round_ = 0;
  bool busy_ = false;
  bool missing_ = false;  // jobs may fail
  bool reads_zeros_ = false;
  Pages zeroed_;
  Device device_;
  Vm vm_;
  Range range_;
  std::optional<Userptr> userptr_;
  Stamper stamper_;
  Reader reader_;
  View view_;
};

template <typename Call>
auto Cell::timed(Call&& call) {
  const auto start = Clock::now();
  const auto result = call();
  count_time(start);
  return result;
}

}  // namespace figment::stress
