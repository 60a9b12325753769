// SPDX-License-Identifier: MIT
//
// The stress range as one process sees it, and the checks of docs/oracle.md on it.
// A View is copied into each child by fork(), together with what it knows: the
// marks that were there at that moment, and the stamps that were seen.
//
// The checks never allocate and never throw, so that a child of a process with
// threads may use them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "layout.h"
#include "shared.h"
#include "window.h"

namespace figment::stress {

/// Pages of the range.
struct Pages {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

class View {
 public:
  /// `memory`: the range. The queues are idle; begins with restore().
  View(std::span<Word> memory, const oracle::Layout& layout, WorkerShared& shared,
       std::uint64_t seed);

  [[nodiscard]] Pages all() const { return {.first = 0, .count = layout_.pages}; }
  [[nodiscard]] const oracle::Layout& layout() const { return layout_; }

  /// 0: the process with the queues; 1, 2: its child and grandchild.
  void become(std::uint32_t viewer) { viewer_ = viewer; }

  /// New marks in the CPU words of pages whose place in a random order is in
  /// [first, last) hundredths of the range.
  void write_marks(unsigned first = 0, unsigned last = 100);

  /// The same for all pages, with each run of words written by `write` and not by a store: through
  /// another way to the same memory.
  template <typename Write>
  void write_marks_by(Write&& write);

  /// Rule P1: GPU words of a process whose queues are running.
  void check_live();
  /// Rule P2, C3: CPU words hold what this process wrote last, or inherited.
  void check_marks() { check_marks(all()); }
  void check_marks(Pages pages);

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

  /// Rule E1: pages that an event has zeroed since remember_completed(): nothing is there but what
  /// jobs have written that had not ended then. Their marks are zero from here on.
  void check_zeroed(Pages pages);
  /// Rule E2: every word of the pages is zero, and no job reaches them.
  void check_untouched(Pages pages);
  /// Rule R1: CPU words as a job has read them, whenever it has: each is a mark of this process, or
  /// zero if it may be. R2: exactly what is there.
  void check_read_any(std::span<const Word> read, bool zero);
  void check_read(std::span<const Word> read);
  /// Rule W1: the range, as somebody has copied it since remember_completed(): marks, and stamps
  /// of jobs that rule P1 has allowed at any time since.
  void check_copy(std::span<const Word> copy);

  /// Rule P3: the queues are idle; every word, also those of nobody.
  void check_idle();
  /// Starts again after corruption: the queues are idle and stay so until it returns.
  void restore();
  /// The same, when the words have been zeroed by somebody else: no word is written here.
  void begin_with_zeros();
  /// After restore(): somebody has zeroed these pages.
  void expect_zeros(Pages pages);

 private:
  struct Pass;

  [[nodiscard]] Word load(std::uint64_t index) const {
    return __atomic_load_n(&memory_[index], __ATOMIC_RELAXED);
  }
  void store(std::uint64_t index, Word word) {
    __atomic_store_n(&memory_[index], word, __ATOMIC_RELAXED);
  }
  [[nodiscard]] Word next_mark(std::uint32_t page) const {
    return oracle::cpu_mark(viewer_, page, generation_);
  }
  void write_mark(std::uint32_t page);
  void judge_live(Pass& pass, std::uint32_t page, std::uint32_t queue, std::uint64_t index);
  void judge_newer(Pass& pass, std::uint32_t page, std::uint32_t queue, std::uint64_t index);
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

template <typename Write>
void View::write_marks_by(Write&& write) {
  ++generation_;
  std::vector<Word> run(layout_.run_words);
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    marks_[page] = next_mark(page);
    std::ranges::fill(run, marks_[page]);
    write(&memory_[layout_.run(page, layout_.cpu())], std::span<const Word>(run));
  }
}

}  // namespace figment::stress
