// SPDX-License-Identifier: MIT
//
// Companion is memory beside the range of a cell that its GPU may read and does not write: for
// events that only happen to pages that nobody changes, while the jobs of the cell are in flight.
#pragma once

#include <optional>

#include "cell.h"
#include "figment/buffer.h"
#include "reader.h"

namespace figment::stress {

class Companion {
 public:
  /// Ordinary anonymous memory, of zeros that nobody has touched; `huge` where the kernel offers
  /// huge pages.
  Companion(Cell& cell, std::uint32_t pages, bool huge);
  /// A part of memory of any kind.
  Companion(Cell& cell, Mapping memory, std::uint64_t first_byte, std::uint64_t bytes);

  [[nodiscard]] std::span<std::byte> memory() const { return bound_; }
  [[nodiscard]] std::span<Word> words() const {
    return {reinterpret_cast<Word*>(bound_.data()), bound_.size() / sizeof(Word)};
  }
  /// Gives it to the GPU, which reads it. Not in the constructor: what the event is about may have
  /// to be there before.
  void bind();
  /// Has the GPU read it: the words that it reads of each page are all `word`, or it is harm.
  void check_read(Word word);
  /// The same where the words are what the process finds in its memory.
  void check_read();
  /// Which word of memory the GPU reads first.
  [[nodiscard]] std::uint64_t first_read() const { return layout().run(0, layout().cpu()); }
  /// Under a strategy that follows: the memory is there no more, and a job that reads must fail.
  void check_gone();

 private:
  [[nodiscard]] oracle::Layout layout() const {
    return {.pages = static_cast<std::uint32_t>(bound_.size() / kPageBytes)};
  }
  [[nodiscard]] std::span<const Word> read();

  Cell& cell_;
  Mapping memory_;
  std::span<std::byte> bound_;
  std::optional<Userptr> userptr_;
  std::optional<Reader> reader_;
};

}  // namespace figment::stress
