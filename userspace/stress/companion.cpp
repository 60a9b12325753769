// SPDX-License-Identifier: MIT
#include "companion.h"

#include <sys/mman.h>

#include <algorithm>
#include <stdexcept>

namespace figment::stress {
namespace {

constexpr GpuVa kCompanion{0x5'0000'0000};
constexpr GpuVa kCompanionReads{0x6'0000'0000};

}  // namespace

Companion::Companion(Cell& cell, std::uint32_t pages, bool huge)
    : cell_(cell),
      memory_(anonymous_memory(pages * kPageBytes, kHugePageBytes)),
      bound_(memory_.bytes()) {
  ::madvise(memory().data(), memory().size(), huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

Companion::Companion(Cell& cell, Mapping memory, std::uint64_t first_byte, std::uint64_t bytes)
    : cell_(cell), memory_(std::move(memory)), bound_(memory_.bytes().subspan(first_byte, bytes)) {}

void Companion::bind() {
  const StressStrategy& strategy = cell_.config().strategy;
  if (!strategy.svm) {
    userptr_.emplace(
        cell_.vm().userptr({.at = kCompanion, .memory = memory(), .access = Access::read_only}));
  }
  reader_.emplace(
      cell_.device(), cell_.vm(),
      Reader::Config{.range = strategy.svm ? shared_address(memory().data()) : kCompanion,
                     .at = kCompanionReads,
                     .layout = layout()});
  cell_.shared().watch_also(memory());
}

std::span<const Word> Companion::read() {
  reader_->begin();
  const auto read = reader_->finish();
  if (!read) throw std::runtime_error("a job that reads found no memory beside the range");
  return *read;
}

void Companion::check_read(Word word) {
  const auto wrong = std::ranges::count_if(read(), [&](Word one) { return one != word; });
  cell_.count_harm(static_cast<std::uint64_t>(wrong), "beside the range, as the GPU has read it,");
}

void Companion::check_read() {
  const oracle::Layout layout = this->layout();
  const auto found = read();
  std::uint64_t wrong = 0;
  for (std::uint64_t index = 0; index < found.size(); ++index) {
    const auto page = static_cast<std::uint32_t>(index / layout.run_words);
    wrong += found[index] != words()[layout.run(page, layout.cpu()) + index % layout.run_words];
  }
  cell_.count_harm(wrong, "beside the range, as the GPU has read it,");
}

void Companion::check_gone() {
  reader_->begin();
  if (reader_->finish()) throw std::runtime_error("a job has read memory that is not there");
}

}  // namespace figment::stress
