// SPDX-License-Identifier: MIT
#include "bystander.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "figment/error.h"
#include "stamp.h"

namespace figment::stress {
namespace {

using oracle::Word;

constexpr Word kPattern = 0xb757'a4de'b757'a4de;

std::span<Word> words_of(std::span<std::byte> memory) {
  return {reinterpret_cast<Word*>(memory.data()), memory.size() / sizeof(Word)};
}

}  // namespace

Bystander::Bystander(std::uint64_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail(errno, "mmap of a bystander");
  memory_ = {static_cast<std::byte*>(at), bytes};
  ::madvise(at, bytes, MADV_NOHUGEPAGE);
  std::ranges::fill(words_of(memory_), kPattern);
}

Bystander::~Bystander() {
  ::munmap(memory_.data(), memory_.size());
}

void Bystander::move_to(std::byte* at, bool read_only) {
  if (read_only && ::mprotect(memory_.data(), memory_.size(), PROT_READ) != 0) {
    fail(errno, "mprotect of a bystander");
  }
  if (::mremap(memory_.data(), memory_.size(), memory_.size(), MREMAP_MAYMOVE | MREMAP_FIXED, at) ==
      MAP_FAILED) {
    fail(errno, "mremap of a bystander");
  }
  memory_ = {at, memory_.size()};
}

std::uint64_t Bystander::wrong() const {
  const auto words = words_of(memory_);
  return words.size() - static_cast<std::uint64_t>(std::ranges::count(words, kPattern));
}

}  // namespace figment::stress
