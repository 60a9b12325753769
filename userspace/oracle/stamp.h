// SPDX-License-Identifier: MIT
//
// Values that say who wrote them. A word of the stress range holds zero, the stamp
// of a GPU job, or the mark of a process:
//
//   bits 0..31   sequence: number of the job on its queue, or generation of a mark
//   bits 32..63  hash of (kind, owner, page, sequence)
//
// The hash makes a word that is half of one stamp and half of another recognisable
// (chance of a miss: 2^-32), and a stamp of another page or queue foreign.
#pragma once

#include <cstdint>
#include <optional>

namespace figment::oracle {

using Word = std::uint64_t;
using Sequence = std::uint32_t;

namespace detail {

/// Finaliser of SplitMix64: every bit of the input reaches every bit of the output.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

constexpr Word sealed(std::uint32_t kind, std::uint32_t owner, std::uint32_t page, Sequence n) {
  const std::uint64_t who = mix(std::uint64_t{kind} << 56 ^ std::uint64_t{owner} << 32 ^ page);
  return (mix(who ^ n) & ~std::uint64_t{0xffffffff}) | n;
}

}  // namespace detail

/// What job `n` (from 1) of `queue` writes into its words of `page`.
constexpr Word gpu_stamp(std::uint32_t queue, std::uint32_t page, Sequence n) {
  return detail::sealed(1, queue, page, n);
}

/// What `writer` (0: the process with the queues, then its children) writes into the
/// CPU words of `page`.
constexpr Word cpu_mark(std::uint32_t writer, std::uint32_t page, Sequence generation) {
  return detail::sealed(2, writer, page, generation);
}

/// The job that wrote `word`; 0 when none has written yet; nothing when it is no
/// stamp of this queue and page.
constexpr std::optional<Sequence> gpu_sequence(std::uint32_t queue, std::uint32_t page, Word word) {
  if (word == 0) return 0;
  const auto n = static_cast<Sequence>(word);
  if (n == 0 || word != gpu_stamp(queue, page, n)) return std::nullopt;
  return n;
}

}  // namespace figment::oracle
