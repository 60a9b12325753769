// SPDX-License-Identifier: MIT
//
// Which word of the stress range belongs to whom. Every page has one run of words
// for each GPU queue and one for the CPU, so that whoever gets a copy of a page has
// words of everybody on it:
//
//   page 0 | q0 .. | q1 .. | cpu .. |     one section per owner, in rotated order,
//   page 1 | cpu .. | q0 .. | q1 .. |     with the run somewhere in its section
//
// The words between the runs belong to nobody and stay zero. So do all those of the pages between,
// where only every so many-th page of the range has a number.
//
// Job n of a queue writes slice n % slices: the pages whose number has that remainder.
#pragma once

#include <cstdint>

#include "stamp.h"

namespace figment::oracle {

constexpr std::uint32_t kWordsPerPage = 4096 / sizeof(Word);

struct Layout {
  std::uint32_t pages = 1;
  std::uint32_t queues = 1;
  std::uint32_t run_words = 16;
  std::uint32_t slices = 1;
  std::uint32_t spacing = 1;  // from a page of these to the next, in pages of the range

  [[nodiscard]] constexpr std::uint32_t owners() const { return queues + 1; }
  /// The owner after the queues.
  [[nodiscard]] constexpr std::uint32_t cpu() const { return queues; }
  [[nodiscard]] constexpr std::uint32_t section_words() const { return kWordsPerPage / owners(); }
  [[nodiscard]] constexpr bool valid() const {
    return pages > 0 && queues > 0 && slices > 0 && slices <= pages && spacing > 0 &&
           run_words > 0 && run_words <= section_words();
  }

  /// First word of `page`, counted from the start of the range.
  [[nodiscard]] constexpr std::uint64_t first_word(std::uint32_t page) const {
    return std::uint64_t{page} * spacing * kWordsPerPage;
  }

  /// First word of the run of `owner` in `page`, counted from the start of the range.
  [[nodiscard]] constexpr std::uint64_t run(std::uint32_t page, std::uint32_t owner) const {
    const std::uint32_t section = (owner + page) % owners();
    const std::uint32_t slack = section_words() - run_words;
    const auto shift = static_cast<std::uint32_t>(detail::mix(std::uint64_t{page} << 8 | owner) %
                                                  (std::uint64_t{slack} + 1));
    return first_word(page) + section * section_words() + shift;
  }

  [[nodiscard]] constexpr std::uint32_t slice_of_page(std::uint32_t page) const {
    return page % slices;
  }
  [[nodiscard]] constexpr std::uint32_t slice_of_job(Sequence n) const { return n % slices; }
  [[nodiscard]] constexpr std::uint64_t gpu_words() const {
    return std::uint64_t{pages} * queues * run_words;
  }
};

}  // namespace figment::oracle
