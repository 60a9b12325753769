// SPDX-License-Identifier: MIT
//
// What the comparisons (docs/compare.md) put into memory, and how they judge what is there. A page
// has a sector that its user writes, stamp after stamp, and one that each process writes with its
// own marks: sectors, since a direct read takes nothing smaller. So whoever gets a copy of a page
// has words of everybody on it.
//
// What a word has to be follows from one rule: memory is private. A History has what a word of one
// process has been, by its own writes and by those that it was born with. The last of them is
// right; an older one says that a write was lost; anything else was written by somebody else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "figment/types.h"
#include "stamp.h"

namespace figment::stress {

using oracle::Sequence;
using oracle::Word;

constexpr std::uint32_t kSectorBytes = 512;
constexpr std::uint32_t kSectorWords = kSectorBytes / sizeof(Word);

/// Who writes and looks: three processes, each the child of the one before, and the user of the
/// pages, which is a device or a call.
enum class Who : std::uint8_t { a, b, c, user, nobody };
constexpr std::size_t kWhos = 5;

[[nodiscard]] std::string_view name_of(Who who);

/// Bytes from the start of the range. They change from page to page.
[[nodiscard]] constexpr std::uint64_t stamps_at(std::uint32_t page) {
  return page * kPageBytes + page % 8 * kSectorBytes;
}
[[nodiscard]] constexpr std::uint64_t marks_at(std::uint32_t page) {
  return page * kPageBytes + (page + 3) % 8 * kSectorBytes;
}

/// A value, and who wrote it.
struct Written {
  Who who = Who::nobody;
  Sequence n = 0;

  friend constexpr bool operator==(const Written&, const Written&) = default;
};

[[nodiscard]] Word word_of(Written written, std::uint32_t page);
/// Nothing: nobody has ever written that.
[[nodiscard]] std::optional<Written> written_of(Word word, std::uint32_t page);

enum class Judgement : std::uint8_t { right, lost, leaked };

/// What a word of one process has been; the last is what it is. A copy is a fork.
class History {
 public:
  void write(Written written) { values_.push_back(written); }
  [[nodiscard]] Written now() const { return values_.back(); }
  [[nodiscard]] Judgement judge(std::optional<Written> seen) const;

 private:
  std::vector<Written> values_ = {Written{}};
};

/// Stamps of jobs that may be in flight: the last that has ended, and the last that has begun.
struct StampWindow {
  Sequence first = 0;
  Sequence last = 0;

  [[nodiscard]] Judgement judge(std::optional<Written> seen) const;
};

/// Words that were judged, and those that were wrong by who saw whose.
class Sightings {
 public:
  void add(Who viewer, Judgement judgement, std::optional<Written> seen);
  void add(const Sightings& others);

  [[nodiscard]] std::uint64_t words() const { return words_; }
  [[nodiscard]] std::uint64_t count(Judgement judgement) const;
  [[nodiscard]] std::uint64_t wrong() const {
    return count(Judgement::lost) + count(Judgement::leaked);
  }
  [[nodiscard]] std::uint64_t count(Who viewer, Judgement judgement, Who whose) const {
    return wrong_[index(viewer, judgement, whose)];
  }

 private:
  static constexpr std::size_t index(Who viewer, Judgement judgement, Who whose) {
    return (static_cast<std::size_t>(viewer) * 2 + (judgement == Judgement::leaked)) * kWhos +
           static_cast<std::size_t>(whose);
  }

  std::uint64_t words_ = 0;
  std::array<std::uint64_t, kWhos * 2 * kWhos> wrong_ = {};
};

/// The range of a process.
class ComparedMemory {
 public:
  explicit ComparedMemory(std::span<std::byte> memory) : memory_(memory) {}

  [[nodiscard]] std::uint32_t pages() const {
    return static_cast<std::uint32_t>(memory_.size() / kPageBytes);
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return memory_; }
  [[nodiscard]] std::span<Word> stamps(std::uint32_t page) const;
  [[nodiscard]] std::span<Word> marks(std::uint32_t page) const;
  void write_marks(Written mark) const;

  /// What is there, page by page: marks or stamps.
  void copy_marks(std::span<Word> to) const;
  void copy_stamps(std::span<Word> to) const;

 private:
  std::span<std::byte> memory_;
};

/// Words of each page, one page behind the other, against one rule for all of them.
template <typename Rule>
void judge(std::span<const Word> words, Who viewer, const Rule& rule, Sightings& sightings) {
  for (std::size_t index = 0; index < words.size(); ++index) {
    const auto page = static_cast<std::uint32_t>(index / kSectorWords);
    const auto seen = written_of(words[index], page);
    sightings.add(viewer, rule.judge(seen), seen);
  }
}

}  // namespace figment::stress
