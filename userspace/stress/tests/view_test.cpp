// SPDX-License-Identifier: MIT
//
// The checks on memory, with this process in the place of the GPU: what each rule
// accepts, and that it finds each kind of damage.
#include "view.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "figment/buffer.h"
#include "process.h"

namespace figment::stress {
namespace {

class ViewOf : public testing::Test {
 protected:
  /// What job `n` of `queue` does on the device.
  void stamp(std::uint32_t queue, Sequence n) {
    for (std::uint32_t page = layout_.slice_of_job(n); page < layout_.pages;
         page += layout_.slices) {
      stamp_page(queue, page, n);
    }
  }
  void stamp_page(std::uint32_t queue, std::uint32_t page, Sequence n) {
    const auto first = layout_.run(page, queue);
    for (auto word = first; word < first + layout_.run_words; ++word) {
      memory_[word] = oracle::gpu_stamp(queue, page, n);
    }
  }
  void submitted(std::uint32_t queue, Sequence n) { shared_->progress[queue].submitted = n; }
  void completed(std::uint32_t queue, Sequence n) { shared_->progress[queue].completed = n; }
  /// Jobs 1 .. n of both queues, done.
  void run_jobs(Sequence n) {
    for (const std::uint32_t queue : {0u, 1u}) {
      for (Sequence job = 1; job <= n; ++job) stamp(queue, job);
      submitted(queue, n);
      completed(queue, n);
    }
  }
  std::uint64_t corrupt() const { return shared_->corrupt_words; }

  const oracle::Layout layout_{.pages = 12, .queues = 2, .run_words = 4, .slices = 3};
  std::vector<Word> memory_ = std::vector<Word>(12 * oracle::kWordsPerPage);
  std::unique_ptr<WorkerShared> shared_ = std::make_unique<WorkerShared>();
  View view_{memory_, layout_, *shared_, 1};
};

TEST_F(ViewOf, nothing_is_right) {
  view_.check_live();
  view_.check_idle();
  EXPECT_EQ(corrupt(), 0u);
  EXPECT_EQ(shared_->gpu_words, 2 * layout_.gpu_words());
}

TEST_F(ViewOf, finished_jobs_are_right) {
  run_jobs(7);
  view_.check_live();
  view_.check_idle();
  EXPECT_EQ(corrupt(), 0u) << shared_->corruption.get();
}

TEST_F(ViewOf, a_job_in_flight_may_have_written_or_not) {
  run_jobs(6);
  submitted(0, 8);
  stamp_page(0, layout_.slice_of_job(7), 7);  // one of its pages
  view_.check_live();
  EXPECT_EQ(corrupt(), 0u) << shared_->corruption.get();
}

TEST_F(ViewOf, a_write_that_went_elsewhere_is_lost) {
  run_jobs(6);
  stamp_page(1, 5, 2);  // as if job 5 had written into somebody else's copy of the page
  view_.check_live();
  EXPECT_EQ(corrupt(), layout_.run_words);
  EXPECT_NE(shared_->corruption.get().find("lost write"), std::string::npos);
}

TEST_F(ViewOf, one_foreign_word_is_found) {
  run_jobs(6);
  memory_[layout_.run(4, 0) + 3] ^= Word{1} << 40;
  view_.check_live();
  EXPECT_EQ(corrupt(), 1u);
}

TEST_F(ViewOf, marks_of_somebody_else_are_found) {
  View child = view_;
  child.become(1);
  child.write_marks(0, 50);  // in the same memory: as if fork() had not separated them
  child.check_marks();
  EXPECT_EQ(corrupt(), 0u);
  view_.check_marks();
  EXPECT_EQ(corrupt(), layout_.pages / 2 * layout_.run_words);
}

TEST_F(ViewOf, a_word_of_nobody_that_is_written_is_found) {
  std::vector<bool> owned(memory_.size());
  for (std::uint32_t owner = 0; owner < layout_.owners(); ++owner) {
    for (unsigned n = 0; n < layout_.run_words; ++n) owned[layout_.run(0, owner) + n] = true;
  }
  const auto nobodys = std::ranges::find(owned, false) - owned.begin();
  memory_[static_cast<std::size_t>(nobodys)] = 1;
  view_.check_live();
  EXPECT_EQ(corrupt(), 0u);
  view_.check_idle();
  EXPECT_EQ(corrupt(), 1u);
}

TEST_F(ViewOf, child_accepts_what_was_possible_at_fork) {
  run_jobs(6);
  view_.remember_completed();
  submitted(0, 8);
  stamp(0, 7);
  view_.remember_submitted();
  view_.check_inherited();
  view_.check_frozen();
  EXPECT_EQ(corrupt(), 0u) << shared_->corruption.get();
}

TEST_F(ViewOf, child_finds_a_stamp_of_a_later_job) {
  run_jobs(6);
  view_.remember_completed();
  view_.remember_submitted();
  stamp_page(0, layout_.slice_of_job(7), 7);
  view_.check_inherited();
  EXPECT_EQ(corrupt(), layout_.run_words);
}

TEST_F(ViewOf, child_finds_a_missing_stamp_of_an_earlier_job) {
  run_jobs(6);
  view_.remember_completed();
  view_.remember_submitted();
  stamp_page(0, 3, 3);  // job 6 wrote this page, and its fence had signalled before fork()
  view_.check_inherited();
  EXPECT_EQ(corrupt(), layout_.run_words);
}

TEST_F(ViewOf, child_finds_each_change_once) {
  run_jobs(6);
  view_.remember_completed();
  submitted(0, 9);
  view_.remember_submitted();
  view_.check_inherited();
  stamp_page(0, 0, 9);  // possible at fork, but it has come later
  view_.check_frozen();
  EXPECT_EQ(corrupt(), layout_.run_words);
  view_.check_frozen();
  EXPECT_EQ(corrupt(), layout_.run_words);
}

TEST_F(ViewOf, zeroed_pages_may_hold_what_is_newer) {
  run_jobs(6);
  view_.remember_completed();
  std::ranges::fill(memory_, Word{0});
  submitted(0, 7);
  stamp_page(0, layout_.slice_of_job(7), 7);
  view_.check_zeroed(view_.all());
  EXPECT_EQ(corrupt(), 0u) << shared_->corruption.get();
  view_.check_marks();
  EXPECT_EQ(corrupt(), 0u) << "the marks that are due are zero from then on";
}

TEST_F(ViewOf, zeroed_pages_with_what_was_there_before_are_found) {
  run_jobs(6);
  view_.remember_completed();
  view_.check_zeroed({.first = 4, .count = 1});
  EXPECT_EQ(corrupt(), layout_.owners() * layout_.run_words);
}

TEST_F(ViewOf, untouched_pages_hold_nothing_at_all) {
  std::ranges::fill(memory_, Word{0});
  view_.check_untouched(view_.all());
  EXPECT_EQ(corrupt(), 0u);
  stamp_page(1, 5, 8);
  view_.check_untouched({.first = 0, .count = 5});
  EXPECT_EQ(corrupt(), 0u);
  view_.check_untouched(view_.all());
  EXPECT_EQ(corrupt(), layout_.run_words);
}

TEST_F(ViewOf, a_copy_may_be_of_any_moment_since) {
  run_jobs(3);
  view_.remember_completed();
  const std::vector<Word> before = memory_;
  run_jobs(6);
  view_.check_copy(before);
  view_.check_copy(memory_);
  EXPECT_EQ(corrupt(), 0u);
  EXPECT_EQ(shared_->gpu_words, 2 * layout_.gpu_words());
}

TEST_F(ViewOf, a_copy_that_has_lost_a_write_or_a_mark_is_found) {
  run_jobs(3);
  std::vector<Word> copy = memory_;
  run_jobs(6);
  view_.remember_completed();
  view_.check_copy(copy);
  EXPECT_EQ(corrupt(), layout_.gpu_words()) << "stamps that are too old";
  copy = memory_;
  copy[layout_.run(5, layout_.cpu())] = 1;
  view_.check_copy(copy);
  EXPECT_EQ(corrupt(), layout_.gpu_words() + 1);
}

TEST_F(ViewOf, marks_may_be_written_in_another_way) {
  std::uint64_t calls = 0;
  view_.write_marks_by([&](Word* at, std::span<const Word> marks) {
    ++calls;
    std::ranges::copy(marks, at);
  });
  EXPECT_EQ(calls, layout_.pages);
  view_.check_marks();
  EXPECT_EQ(corrupt(), 0u);
  view_.write_marks_by([](Word*, std::span<const Word>) {});
  view_.check_marks();
  EXPECT_EQ(corrupt(), layout_.pages * layout_.run_words) << "they were not written";
}

TEST_F(ViewOf, the_gpu_must_read_the_marks_that_are_there) {
  std::vector<Word> read;
  const auto look = [&] {
    read.clear();
    for (std::uint32_t page = 0; page < layout_.pages; ++page) {
      for (std::uint32_t n = 0; n < layout_.run_words; ++n) {
        read.push_back(memory_[layout_.run(page, layout_.cpu()) + n]);
      }
    }
  };
  look();
  view_.check_read(read);
  view_.write_marks();
  view_.check_read_any(read, false);
  EXPECT_EQ(corrupt(), 0u) << "a job that began before may have read older marks";
  view_.check_read(read);
  EXPECT_EQ(corrupt(), read.size()) << "one that began later may not";

  look();
  read[3] = 0;
  read[5] = oracle::cpu_mark(1, 5 / layout_.run_words, 1);
  shared_->corrupt_words = 0;
  view_.check_read_any(read, true);
  EXPECT_EQ(corrupt(), 1u) << "a mark of another process";
  view_.check_read_any(read, false);
  EXPECT_EQ(corrupt(), 3u) << "and a zero";
}

// Rule C4 needs memory that can be taken away.
class ViewOfMapping : public ViewOf {
 protected:
  static constexpr std::uint64_t kBytes = 12 * kPageBytes;

  Mapping mapping_ = anonymous_memory(kBytes);
  View mapped_{mapping_.as<Word>(), layout_, *shared_, 1};
};

TEST_F(ViewOfMapping, that_is_there_is_found_page_by_page) {
  mapped_.check_absent();
  const std::uint64_t words_of_a_page = layout_.owners() * layout_.run_words;
  EXPECT_EQ(corrupt(), layout_.pages * words_of_a_page);
  EXPECT_NE(shared_->corruption.get().find("page 0: is mapped"), std::string::npos);

  ASSERT_EQ(::munmap(mapping_.bytes().data(), 5 * kPageBytes), 0);
  ASSERT_EQ(::munmap(mapping_.bytes().data() + 6 * kPageBytes, 6 * kPageBytes), 0);
  shared_->corrupt_words = 0;
  mapped_.check_absent();
  EXPECT_EQ(corrupt(), words_of_a_page) << "page 5 is left";
}

TEST_F(ViewOfMapping, that_cannot_be_read_is_there_all_the_same) {
  ASSERT_EQ(::mprotect(mapping_.bytes().data(), kBytes, PROT_NONE), 0);
  mapped_.check_absent();
  EXPECT_GT(corrupt(), 0u);
}

TEST_F(ViewOfMapping, that_is_gone_is_not_found_and_stays_gone) {
  ASSERT_EQ(::munmap(mapping_.bytes().data(), kBytes), 0);
  mapped_.check_absent();
  mapped_.check_absent();
  EXPECT_EQ(corrupt(), 0u) << shared_->corruption.get();
}

TEST_F(ViewOfMapping, is_absent_in_a_child_only_with_dontfork) {
  SharedObject<WorkerShared> shared;
  View view(mapping_.as<Word>(), layout_, *shared, 1);
  const auto corrupt_words_of_a_child = [&] {
    shared->corrupt_words = 0;
    const pid_t child = ::fork();
    if (child == 0) {
      view.check_absent();
      ::_exit(0);
    }
    EXPECT_EQ(reap(child, after(std::chrono::seconds(60))), std::nullopt);
    return shared->corrupt_words.load();
  };
  EXPECT_GT(corrupt_words_of_a_child(), 0u);
  ASSERT_EQ(::madvise(mapping_.bytes().data(), kBytes, MADV_DONTFORK), 0);
  EXPECT_EQ(corrupt_words_of_a_child(), 0u) << shared->corruption.get();
  view.check_idle();
  EXPECT_EQ(shared->corrupt_words, 0u) << "the parent's is as it was";
}

TEST_F(ViewOf, restored_memory_is_right_again) {
  run_jobs(6);
  memory_[17] ^= 1;
  memory_[layout_.run(2, 1)] = 99;
  view_.restore();
  view_.check_idle();
  EXPECT_EQ(corrupt(), 0u) << shared_->corruption.get();
  stamp(0, 7);
  submitted(0, 7);
  completed(0, 7);
  view_.check_idle();
  EXPECT_EQ(corrupt(), 0u) << shared_->corruption.get();
}

}  // namespace
}  // namespace figment::stress
