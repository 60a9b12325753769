// SPDX-License-Identifier: MIT
// A cache of page-table entries, used twice: as the TLB, which holds leaves,
// and as the page-walk cache, which holds entries that point to tables.
//
// It really goes stale. An entry stays until an invalidation names it, until
// capacity evicts it, or until its retention is over; a change of the page
// table in memory changes nothing here. Absence is never cached.
//
// Entries are keyed by address space, address prefix and the size (`shift`) of
// what they cover. Sets of a few ways, the least recently used way goes first.
// Dropping an address space is one increment: each entry carries the epoch of
// its address space at the time when it came in.
#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "archive.h"
#include "units.h"

namespace figment {

class TranslationCache {
 public:
  // `entries` 0: never holds anything. `shifts`: every size of entry there will be, in lg2 bytes.
  TranslationCache(uint32_t entries, uint32_t asids, Nanos retention_ns,
                   std::initializer_list<unsigned> shifts);
  TranslationCache(const TranslationCache&) = delete;
  TranslationCache& operator=(const TranslationCache&) = delete;

  std::optional<uint64_t> find(Asid asid, GpuVa va, unsigned shift, Nanos now);
  void insert(Asid asid, GpuVa va, unsigned shift, uint64_t entry, Nanos now);

  void drop_range(Asid asid, GpuVa first, GpuVa last);
  void drop_asid(Asid asid) { ++epochs_[asid.value]; }
  void drop_all();

  // State, archive.h: the lines in use, at their places, with their ages.
  void describe(Archive& archive);
  // `is_sound`: whether an entry may be in this cache. `name` is for the refusal.
  void check(const char* name, bool (*is_sound)(uint64_t entry, unsigned shift)) const;

 private:
  // What a tag stands for; all of it is 0 where the tag is.
  struct Line {
    uint64_t entry = 0;
    uint64_t epoch = 0;
    uint64_t used = 0;
    Nanos expires = 0;
  };

  // A line in a stream.
  struct Used {
    uint32_t index = 0;
    uint64_t tag = 0;
    Line line;
    void describe(Archive& archive);
  };

  static uint64_t tag_of(Asid asid, GpuVa va, unsigned shift);
  // Of the first way of the tag's set.
  size_t set_of(uint64_t tag) const;
  std::optional<size_t> lookup(uint64_t tag) const;
  void drop(size_t index);

  Nanos retention_ns_;
  std::vector<unsigned> shifts_;
  std::vector<uint64_t> epochs_;
  uint32_t sets_ = 0;
  uint32_t ways_ = 0;
  // Apart from the lines: a miss looks at tags only, and bulk data washes lines out of the host's
  // caches.
  std::vector<uint64_t> tags_;  // 0: free
  std::vector<Line> lines_;
  uint64_t uses_ = 0;
  uint64_t shifts_seen_ = 0;  // bit per shift that was ever inserted since drop_all()
};

}  // namespace figment
