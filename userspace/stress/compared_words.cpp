// SPDX-License-Identifier: MIT
#include "compared_words.h"

#include <algorithm>
#include <cstring>

namespace figment::stress {
namespace {

constexpr std::array<std::string_view, kWhos> kNames = {"A", "B", "C", "user", "nobody"};

template <typename At>
void copy_sectors(std::span<std::byte> memory, std::uint32_t pages, std::span<Word> to, At&& at) {
  for (std::uint32_t page = 0; page < pages; ++page) {
    // Word by word, and whole: somebody may be writing.
    const auto* from = reinterpret_cast<const Word*>(memory.data() + at(page));
    for (std::uint32_t word = 0; word < kSectorWords; ++word) {
      to[page * kSectorWords + word] = __atomic_load_n(from + word, __ATOMIC_RELAXED);
    }
  }
}

}  // namespace

std::string_view name_of(Who who) {
  return kNames[static_cast<std::size_t>(who)];
}

Word word_of(Written written, std::uint32_t page) {
  switch (written.who) {
    case Who::nobody:
      return 0;
    case Who::user:
      return oracle::gpu_stamp(0, page, written.n);
    case Who::a:
    case Who::b:
    case Who::c:
      return oracle::cpu_mark(static_cast<std::uint32_t>(written.who), page, written.n);
  }
  return 0;
}

std::optional<Written> written_of(Word word, std::uint32_t page) {
  if (word == 0) return Written{};
  const auto n = static_cast<Sequence>(word);
  for (const Who who : {Who::user, Who::a, Who::b, Who::c}) {
    if (word == word_of({who, n}, page)) return Written{who, n};
  }
  return std::nullopt;
}

Judgement History::judge(std::optional<Written> seen) const {
  if (seen == values_.back()) return Judgement::right;
  return seen && std::ranges::contains(values_, *seen) ? Judgement::lost : Judgement::leaked;
}

Judgement StampWindow::judge(std::optional<Written> seen) const {
  if (!seen || (seen->who != Who::user && seen->who != Who::nobody) || seen->n > last) {
    return Judgement::leaked;
  }
  return seen->n < first ? Judgement::lost : Judgement::right;
}

void Sightings::add(Who viewer, Judgement judgement, std::optional<Written> seen) {
  ++words_;
  if (judgement == Judgement::right) return;
  ++wrong_[index(viewer, judgement, seen ? seen->who : Who::nobody)];
}

void Sightings::add(const Sightings& others) {
  words_ += others.words_;
  for (std::size_t n = 0; n < wrong_.size(); ++n) wrong_[n] += others.wrong_[n];
}

std::uint64_t Sightings::count(Judgement judgement) const {
  if (judgement == Judgement::right) return words_ - wrong();
  std::uint64_t sum = 0;
  for (std::size_t viewer = 0; viewer < kWhos; ++viewer) {
    for (std::size_t whose = 0; whose < kWhos; ++whose) {
      sum += count(static_cast<Who>(viewer), judgement, static_cast<Who>(whose));
    }
  }
  return sum;
}

std::span<Word> ComparedMemory::stamps(std::uint32_t page) const {
  return {reinterpret_cast<Word*>(memory_.data() + stamps_at(page)), kSectorWords};
}

std::span<Word> ComparedMemory::marks(std::uint32_t page) const {
  return {reinterpret_cast<Word*>(memory_.data() + marks_at(page)), kSectorWords};
}

void ComparedMemory::write_marks(Written mark) const {
  for (std::uint32_t page = 0; page < pages(); ++page) {
    std::ranges::fill(marks(page), word_of(mark, page));
  }
}

void ComparedMemory::copy_marks(std::span<Word> to) const {
  copy_sectors(memory_, pages(), to, marks_at);
}

void ComparedMemory::copy_stamps(std::span<Word> to) const {
  copy_sectors(memory_, pages(), to, stamps_at);
}

}  // namespace figment::stress
