// SPDX-License-Identifier: MIT
//
// The stress range as one process sees it, and the checks of docs/oracle.md on it.
// A View is copied into each child by fork(), together with what it knows: the
// marks that were there at that moment, and the stamps that were seen.
//
// The checks never allocate and never throw, so that a child of a process with
// threads may use them.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "layout.h"
#include "shared.h"
#include "window.h"

namespace figment::stress {

class View {
 public:
  /// `memory`: layout.pages pages. The queues are idle; begins with restore().
  View(std::span<Word> memory, const oracle::Layout& layout, WorkerShared& shared,
       std::uint64_t seed);

  [[nodiscard]] const oracle::Layout& layout() const { return layout_; }

  /// 0: the process with the queues; 1, 2: its child and grandchild.
  void become(std::uint32_t viewer) { viewer_ = viewer; }

  /// New marks in the CPU words of pages whose place in a random order is in
  /// [first, last) hundredths of the range.
  void write_marks(unsigned first = 0, unsigned last = 100);

  /// Rule P1: GPU words of a process whose queues are running.
  void check_live();
  /// Rule P2, C3: CPU words hold what this process wrote last, or inherited.
  void check_marks();

  /// To be called right before fork().
  void remember_completed();
  /// To be called first of all in a child of the process with the queues.
  void remember_submitted();
  /// Rule C1; the stamps that were seen are the snapshot for check_frozen().
  void check_inherited();
  /// Rule C2.
  void check_frozen();
  /// Rule C4: this process has no page of the range. Touches none.
  void check_absent();

  /// Rule P3: the queues are idle; every word, also those of nobody.
  void check_idle();
  /// Starts again after corruption: the queues are idle and stay so until it returns.
  void restore();

 private:
  struct Pass;

  [[nodiscard]] Word load(std::uint64_t index) const {
    return __atomic_load_n(&memory_[index], __ATOMIC_RELAXED);
  }
  void store(std::uint64_t index, Word word) {
    __atomic_store_n(&memory_[index], word, __ATOMIC_RELAXED);
  }
  void write_mark(std::uint32_t page);
  void judge_live(Pass& pass, std::uint32_t page, std::uint32_t queue, std::uint64_t index);
  [[nodiscard]] Word due(std::uint32_t page, std::uint32_t queue, Sequence completed) const;
  [[nodiscard]] oracle::QueueBounds bounds_now(std::uint32_t queue, Sequence completed) const;

  std::span<Word> memory_;
  oracle::Layout layout_;
  WorkerShared& shared_;
  std::uint32_t viewer_ = 0;
  Sequence generation_ = 0;
  std::vector<Word> marks_;                  // per page: what its CPU words must hold
  std::vector<std::uint32_t> order_;         // of pages, in which marks are written
  std::vector<Word> snapshot_;               // of GPU words, by page, queue, word
  std::vector<oracle::QueueBounds> bounds_;  // epoch: always; the rest: at fork()
};

}  // namespace figment::stress
