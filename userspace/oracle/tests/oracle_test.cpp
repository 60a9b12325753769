// SPDX-License-Identifier: MIT
//
// The arithmetic of the oracle, against the plain definitions it abbreviates.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "layout.h"
#include "stamp.h"
#include "window.h"

namespace figment::oracle {
namespace {

TEST(Stamp, tells_the_job_that_wrote_it) {
  for (const Sequence n : {1u, 2u, 0xffu, 0x100u, 0xffffffffu}) {
    EXPECT_EQ(gpu_sequence(3, 17, gpu_stamp(3, 17, n)), n);
  }
  EXPECT_EQ(gpu_sequence(3, 17, 0), 0u);
}

TEST(Stamp, of_another_page_queue_or_writer_is_foreign) {
  EXPECT_EQ(gpu_sequence(0, 17, gpu_stamp(0, 16, 5)), std::nullopt);
  EXPECT_EQ(gpu_sequence(0, 17, gpu_stamp(1, 17, 5)), std::nullopt);
  EXPECT_EQ(gpu_sequence(0, 17, cpu_mark(0, 17, 5)), std::nullopt);
}

TEST(Stamp, torn_between_two_jobs_is_foreign) {
  // Every way to take the first k bytes from one stamp and the rest from the next.
  for (Sequence n = 250; n < 260; ++n) {
    const Word before = gpu_stamp(0, 1, n);
    const Word after = gpu_stamp(0, 1, n + 1);
    for (unsigned bytes = 1; bytes < 8; ++bytes) {
      const Word mask = (Word{1} << bytes * 8) - 1;
      const Word torn = (before & ~mask) | (after & mask);
      if (torn == before || torn == after) continue;
      EXPECT_EQ(gpu_sequence(0, 1, torn), std::nullopt) << n << " torn at byte " << bytes;
    }
  }
}

struct Geometry {
  std::uint32_t queues;
  std::uint32_t run_words;
};

class LayoutOf : public testing::TestWithParam<Geometry> {};

TEST_P(LayoutOf, gives_no_word_to_two_owners) {
  const Layout layout{
      .pages = 97, .queues = GetParam().queues, .run_words = GetParam().run_words, .slices = 5};
  ASSERT_TRUE(layout.valid());
  std::set<std::uint64_t> taken;
  for (std::uint32_t page = 0; page < layout.pages; ++page) {
    for (std::uint32_t owner = 0; owner < layout.owners(); ++owner) {
      const std::uint64_t first = layout.run(page, owner);
      for (std::uint64_t word = first; word < first + layout.run_words; ++word) {
        EXPECT_EQ(word / kWordsPerPage, page);
        EXPECT_TRUE(taken.insert(word).second) << "word " << word << " has two owners";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(geometries, LayoutOf,
                         testing::Values(Geometry{1, 1}, Geometry{1, 256}, Geometry{2, 16},
                                         Geometry{3, 128}, Geometry{7, 64}));

TEST(Layout, refuses_runs_that_do_not_fit) {
  EXPECT_FALSE((Layout{.pages = 1, .queues = 2, .run_words = 171, .slices = 1}.valid()));
  EXPECT_FALSE((Layout{.pages = 1, .queues = 1, .run_words = 1, .slices = 2}.valid()));
  EXPECT_FALSE((Layout{.pages = 0}.valid()));
}

TEST(Window, is_what_counting_the_jobs_gives) {
  for (std::uint32_t slices = 1; slices <= 4; ++slices) {
    const Layout layout{.pages = 8, .slices = slices};
    for (Sequence epoch = 0; epoch < 9; ++epoch) {
      for (Sequence upto = epoch; upto < epoch + 12; ++upto) {
        for (std::uint32_t slice = 0; slice < slices; ++slice) {
          Sequence expected = 0;
          for (Sequence n = epoch + 1; n <= upto; ++n) {
            if (layout.slice_of_job(n) == slice) expected = n;
          }
          EXPECT_EQ(last_writer(layout, slice, epoch, upto), expected)
              << slices << " slices, epoch " << epoch << ", up to " << upto;
        }
      }
    }
  }
}

TEST(Window, of_a_word_that_no_job_has_reached_is_zero) {
  const Layout layout{.pages = 4, .slices = 4};
  EXPECT_EQ(window(layout, 3, {.completed = 2, .submitted = 2}), (Window{0, 0}));
  EXPECT_EQ(window(layout, 3, {.completed = 2, .submitted = 3}), (Window{0, 3}));
}

class Judge : public testing::Test {
 protected:
  Verdict of(Word word) const { return judge(layout_, 0, 2, word, allowed_); }

  const Layout layout_{.pages = 8, .slices = 4};
  const Window allowed_{.oldest = 6, .newest = 10};
};

TEST_F(Judge, accepts_both_ends_of_the_window) {
  EXPECT_EQ(of(gpu_stamp(0, 2, 6)), Verdict::right);
  EXPECT_EQ(of(gpu_stamp(0, 2, 10)), Verdict::right);
}

TEST_F(Judge, calls_an_older_stamp_a_lost_write) {
  EXPECT_EQ(of(gpu_stamp(0, 2, 2)), Verdict::lost);
  EXPECT_EQ(of(0), Verdict::lost);
}

TEST_F(Judge, calls_a_newer_stamp_the_future) {
  EXPECT_EQ(of(gpu_stamp(0, 2, 14)), Verdict::future);
}

TEST_F(Judge, calls_everything_else_foreign) {
  EXPECT_EQ(of(gpu_stamp(0, 2, 7)), Verdict::foreign);  // a job that never writes this page
  EXPECT_EQ(of(gpu_stamp(1, 2, 6)), Verdict::foreign);
  EXPECT_EQ(of(cpu_mark(0, 2, 6)), Verdict::foreign);
  EXPECT_EQ(of(1), Verdict::foreign);
}

}  // namespace
}  // namespace figment::oracle
