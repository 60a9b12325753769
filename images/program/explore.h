// SPDX-License-Identifier: MIT
//
// Exploration: one scenario under many seeds. Which seeds there are, how several processes share
// them, and what is known at the end. What one seed does is given as a function.
#ifndef FIGMENT_PROGRAM_EXPLORE_H
#define FIGMENT_PROGRAM_EXPLORE_H

#include <functional>
#include <string>
#include <vector>

#include "process.h"

namespace figment::host {

// From first to last, and of these every `shards`th, beginning with number `shard` (from 1).
struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t last = 100;
  unsigned shard = 1;
  unsigned shards = 1;

  std::uint64_t count() const {
    const std::uint64_t all = last - first + 1;
    return shard > all ? 0 : (all - shard) / shards + 1;
  }
  std::uint64_t at(std::uint64_t index) const { return first + (shard - 1) + index * shards; }
};

// How one seed ended.
struct SeedResult {
  std::uint64_t seed = 0;
  int status = 0;   // as ./figment run would exit
  std::string why;  // in words, when it is not 0

  std::string encode() const;                    // one line, as JSON
  static SeedResult decode(const std::string& line);
  bool operator==(const SeedResult&) const = default;
};

struct Exploration {
  std::vector<SeedResult> failures;  // by seed
  std::uint64_t explored = 0;
  // Seeds up to the first failure in their order, itself included; 0: no failure.
  std::uint64_t until_first = 0;
  bool timed_out = false;
  std::chrono::milliseconds time{0};

  double per_hour() const;
};

struct ExploreLimits {
  unsigned jobs = 1;
  bool all = false;  // go on after a failure
  Clock::time_point deadline = Clock::time_point::max();
};

// Runs `attempt` for each seed, in `jobs` processes of its own; seeds begin in their order. After a
// failure no further seed begins, unless all are wanted. `progress` gets what is known so far.
// Throws Interrupted; Failure when a process dies or an attempt throws.
Exploration explore(const SeedRange& seeds, const ExploreLimits& limits,
                    const std::function<SeedResult(std::uint64_t seed)>& attempt,
                    const std::function<void(const Exploration&)>& progress);

// The end of a device trace, without what a lookup in the translation cache does: events that tell
// what happened, at most `count`.
std::string last_device_events(const std::string& trace, std::size_t count);
std::string last_lines(const std::string& text, std::size_t count);

}  // namespace figment::host

#endif
