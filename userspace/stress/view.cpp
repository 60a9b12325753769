// SPDX-License-Identifier: MIT
#include "view.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <numeric>
#include <optional>

namespace figment::stress {
namespace {

using oracle::QueueBounds;
using oracle::Verdict;
using oracle::Window;

/// A word that is being stored may be read half old and half new. It is whole again
/// by the time it is read again; a word that is still foreign after this many reads
/// is not being stored.
constexpr int kRereads = 1000;

const char* in_words(Verdict verdict) {
  switch (verdict) {
    case Verdict::right:
      return "right";
    case Verdict::lost:
      return "a lost write";
    case Verdict::future:
      return "a write that belongs to another process";
    case Verdict::foreign:
      return "no stamp of this word";
  }
  return "";
}

/// Whether nothing is mapped there: one question for a range of any size.
bool is_hole(std::span<Word> memory) {
  void* at = ::mmap(memory.data(), memory.size_bytes(), PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == MAP_FAILED) return false;
  ::munmap(at, memory.size_bytes());
  return true;
}

bool is_mapped(Word* page) {
  unsigned char in_memory = 0;
  return ::mincore(page, kPageBytes, &in_memory) == 0 || errno != ENOMEM;
}

const char* name_of(std::uint32_t viewer) {
  return viewer == 0 ? "parent" : viewer == 1 ? "child" : "grandchild";
}

}  // namespace

/// Counts of one pass over the range, added to the shared ones at its end: an atomic
/// addition per word would cost more than the check.
struct View::Pass {
  View& view;
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;

  explicit Pass(View& of) : view(of) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() {
    view.shared_.gpu_words += gpu_words;
    view.shared_.corrupt_words += corrupt_words;
  }

  void corrupt_stamp(std::uint32_t page, std::uint32_t queue, Word word, const Window& allowed,
                     Verdict verdict) {
    ++corrupt_words;
    char text[256];
    std::snprintf(text, sizeof(text),
                  "%s, page %u, queue %u: word 0x%016llx (job %u) where job %u to %u is due: %s",
                  name_of(view.viewer_), page, queue, static_cast<unsigned long long>(word),
                  static_cast<Sequence>(word), allowed.oldest, allowed.newest, in_words(verdict));
    view.shared_.corruption.set(text);
  }
  /// A page with words of everybody, none of which may be there.
  void present(std::uint32_t page) {
    corrupt_words += std::uint64_t{view.layout_.owners()} * view.layout_.run_words;
    char text[256];
    std::snprintf(text, sizeof(text), "%s, page %u: is mapped, and must not be",
                  name_of(view.viewer_), page);
    view.shared_.corruption.set(text);
  }
  void corrupt(const char* what, std::uint32_t page, Word word, Word due) {
    ++corrupt_words;
    char text[256];
    std::snprintf(text, sizeof(text), "%s, page %u, %s: word 0x%016llx where 0x%016llx is due",
                  name_of(view.viewer_), page, what, static_cast<unsigned long long>(word),
                  static_cast<unsigned long long>(due));
    view.shared_.corruption.set(text);
  }
};

View::View(std::span<Word> memory, const oracle::Layout& layout, WorkerShared& shared,
           std::uint64_t seed)
    : memory_(memory),
      layout_(layout),
      shared_(shared),
      marks_(layout.pages),
      order_(layout.pages),
      snapshot_(layout.gpu_words()),
      bounds_(layout.queues) {
  std::iota(order_.begin(), order_.end(), 0u);
  std::mt19937_64 random(seed);
  std::ranges::shuffle(order_, random);
  restore();
}

void View::write_mark(std::uint32_t page) {
  const Word mark = next_mark(page);
  const std::uint64_t first = layout_.run(page, layout_.cpu());
  for (std::uint64_t word = first; word < first + layout_.run_words; ++word) store(word, mark);
  marks_[page] = mark;
}

void View::write_marks(unsigned first, unsigned last) {
  ++generation_;
  const std::uint64_t pages = layout_.pages;
  for (std::uint64_t n = pages * first / 100; n < pages * last / 100; ++n) write_mark(order_[n]);
}

QueueBounds View::bounds_now(std::uint32_t queue, Sequence completed) const {
  // The loads before this one stay before it: what was read was written by a job
  // that is counted here.
  std::atomic_thread_fence(std::memory_order_acquire);
  return {.epoch = bounds_[queue].epoch,
          .completed = completed,
          .submitted = shared_.progress[queue].submitted.load(std::memory_order_acquire)};
}

void View::judge_live(Pass& pass, std::uint32_t page, std::uint32_t queue, std::uint64_t index) {
  for (int read = 0;; ++read) {
    const Sequence completed = shared_.progress[queue].completed.load(std::memory_order_acquire);
    const Word word = load(index);
    const Window allowed = oracle::window(layout_, page, bounds_now(queue, completed));
    const Verdict verdict = oracle::judge(layout_, queue, page, word, allowed);
    if (verdict == Verdict::right) return;
    if (verdict == Verdict::foreign && read < kRereads) continue;
    pass.corrupt_stamp(page, queue, word, allowed, verdict);
    return;
  }
}

void View::judge_newer(Pass& pass, std::uint32_t page, std::uint32_t queue, std::uint64_t index) {
  const Sequence ended = bounds_[queue].completed;
  for (int read = 0;; ++read) {
    const Word word = load(index);
    if (word == 0) return;
    const Window allowed{.oldest = ended + 1, .newest = bounds_now(queue, ended).submitted};
    const Verdict verdict = oracle::judge(layout_, queue, page, word, allowed);
    if (verdict == Verdict::right) return;
    if (verdict == Verdict::foreign && read < kRereads) continue;
    pass.corrupt_stamp(page, queue, word, allowed, verdict);
    return;
  }
}

Word View::due(std::uint32_t page, std::uint32_t queue, Sequence completed) const {
  const Sequence n =
      oracle::window(layout_, page, {.epoch = bounds_[queue].epoch, .completed = completed}).oldest;
  return n ? oracle::gpu_stamp(queue, page, n) : 0;
}

void View::check_live() {
  Pass pass(*this);
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
      // Most words hold the oldest stamp that is allowed, which is then right whatever
      // has been submitted since: one hash for the run instead of one for each word.
      const Word oldest =
          due(page, queue, shared_.progress[queue].completed.load(std::memory_order_acquire));
      const std::uint64_t first = layout_.run(page, queue);
      for (std::uint64_t index = first; index < first + layout_.run_words; ++index) {
        if (load(index) != oldest) judge_live(pass, page, queue, index);
      }
      pass.gpu_words += layout_.run_words;
    }
  }
}

void View::check_marks(Pages pages) {
  Pass pass(*this);
  for (std::uint32_t page = pages.first; page < pages.first + pages.count; ++page) {
    const std::uint64_t first = layout_.run(page, layout_.cpu());
    for (std::uint64_t index = first; index < first + layout_.run_words; ++index) {
      const Word word = load(index);
      if (word != marks_[page]) pass.corrupt("CPU mark", page, word, marks_[page]);
    }
  }
}

void View::remember_completed() {
  for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
    bounds_[queue].completed = shared_.progress[queue].completed.load(std::memory_order_acquire);
  }
}

void View::remember_submitted() {
  for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
    bounds_[queue].submitted = shared_.progress[queue].submitted.load(std::memory_order_acquire);
  }
}

void View::check_inherited() {
  Pass pass(*this);
  auto seen = snapshot_.begin();
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
      const Window allowed = oracle::window(layout_, page, bounds_[queue]);
      const std::uint64_t first = layout_.run(page, queue);
      std::optional<Word> right;  // the last one that was, as in check_live()
      for (std::uint64_t index = first; index < first + layout_.run_words; ++index, ++seen) {
        const Word word = load(index);
        *seen = word;
        if (word == right) continue;
        const Verdict verdict = oracle::judge(layout_, queue, page, word, allowed);
        if (verdict != Verdict::right) {
          pass.corrupt_stamp(page, queue, word, allowed, verdict);
        } else {
          right = word;
        }
      }
      pass.gpu_words += layout_.run_words;
    }
  }
}

void View::check_frozen() {
  Pass pass(*this);
  auto seen = snapshot_.begin();
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
      const std::uint64_t first = layout_.run(page, queue);
      for (std::uint64_t index = first; index < first + layout_.run_words; ++index, ++seen) {
        const Word word = load(index);
        if (word == *seen) continue;
        pass.corrupt("GPU word that has changed", page, word, *seen);
        *seen = word;  // each change counts once
      }
      pass.gpu_words += layout_.run_words;
    }
  }
}

void View::check_absent() {
  if (is_hole(memory_)) return;
  Pass pass(*this);
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    if (is_mapped(&memory_[layout_.first_word(page)])) pass.present(page);
  }
}

void View::check_zeroed(Pages pages) {
  Pass pass(*this);
  for (std::uint32_t page = pages.first; page < pages.first + pages.count; ++page) {
    for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
      const std::uint64_t first = layout_.run(page, queue);
      for (std::uint64_t index = first; index < first + layout_.run_words; ++index) {
        if (load(index) != 0) judge_newer(pass, page, queue, index);
      }
      pass.gpu_words += layout_.run_words;
    }
    const std::uint64_t first = layout_.run(page, layout_.cpu());
    for (std::uint64_t index = first; index < first + layout_.run_words; ++index) {
      const Word word = load(index);
      if (word != 0) pass.corrupt("CPU word that was zeroed", page, word, 0);
    }
    marks_[page] = 0;
  }
}

void View::check_untouched(Pages pages) {
  Pass pass(*this);
  for (std::uint32_t page = pages.first; page < pages.first + pages.count; ++page) {
    const std::uint64_t first = layout_.first_word(page);
    for (std::uint64_t index = first; index < first + oracle::kWordsPerPage; ++index) {
      const Word word = load(index);
      if (word != 0) pass.corrupt("word that nobody may write", page, word, 0);
    }
    pass.gpu_words += std::uint64_t{layout_.queues} * layout_.run_words;
  }
}

void View::check_read_any(std::span<const Word> read, bool zero) {
  Pass pass(*this);
  for (std::uint64_t index = 0; index < read.size(); ++index) {
    const auto page = static_cast<std::uint32_t>(index / layout_.run_words);
    const Word word = read[index];
    const auto generation = static_cast<Sequence>(word);
    const bool mark =
        generation <= generation_ && word == oracle::cpu_mark(viewer_, page, generation);
    if (!mark && !(word == 0 && (zero || marks_[page] == 0))) {
      pass.corrupt("CPU word that the GPU has read", page, word, marks_[page]);
    }
  }
}

void View::check_read(std::span<const Word> read) {
  Pass pass(*this);
  for (std::uint64_t index = 0; index < read.size(); ++index) {
    const auto page = static_cast<std::uint32_t>(index / layout_.run_words);
    if (read[index] != marks_[page]) {
      pass.corrupt("CPU word that the GPU has read", page, read[index], marks_[page]);
    }
  }
}

void View::check_copy(std::span<const Word> copy) {
  Pass pass(*this);
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
      const Window allowed =
          oracle::window(layout_, page, bounds_now(queue, bounds_[queue].completed));
      for (const Word word : copy.subspan(layout_.run(page, queue), layout_.run_words)) {
        const Verdict verdict = oracle::judge(layout_, queue, page, word, allowed);
        if (verdict != Verdict::right) pass.corrupt_stamp(page, queue, word, allowed, verdict);
      }
      pass.gpu_words += layout_.run_words;
    }
    for (const Word word : copy.subspan(layout_.run(page, layout_.cpu()), layout_.run_words)) {
      if (word != marks_[page]) pass.corrupt("CPU mark in a copy", page, word, marks_[page]);
    }
  }
}

void View::check_idle() {
  check_live();
  check_marks();
  Pass pass(*this);
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    std::uint64_t owned[kMaxQueues + 1];
    for (std::uint32_t owner = 0; owner < layout_.owners(); ++owner) {
      owned[owner] = layout_.run(page, owner);
    }
    const std::uint64_t first = layout_.first_word(page);
    for (std::uint64_t index = first; index < layout_.first_word(page + 1); ++index) {
      const bool nobodys = std::none_of(owned, owned + layout_.owners(), [&](std::uint64_t run) {
        return index >= run && index < run + layout_.run_words;
      });
      if (nobodys && load(index) != 0) pass.corrupt("word of nobody", page, load(index), 0);
    }
  }
}

void View::restore() {
  for (std::uint32_t page = 0; page < layout_.pages; ++page) {
    const std::uint64_t first = layout_.first_word(page);
    const std::uint64_t next = layout_.first_word(page + 1);
    std::uint64_t index = first;
    for (; index < first + oracle::kWordsPerPage; ++index) store(index, 0);
    // Those between are as they were, and present.
    for (; index < next; index += oracle::kWordsPerPage) store(index, 0);
  }
  begin_with_zeros();
  write_marks();
}

void View::expect_zeros(Pages pages) {
  std::fill_n(marks_.begin() + pages.first, pages.count, Word{0});
}

void View::begin_with_zeros() {
  std::ranges::fill(marks_, Word{0});
  for (std::uint32_t queue = 0; queue < layout_.queues; ++queue) {
    bounds_[queue].epoch = shared_.progress[queue].submitted.load(std::memory_order_acquire);
  }
}

}  // namespace figment::stress
