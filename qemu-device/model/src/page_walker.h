// SPDX-License-Identifier: MIT
// The page-table walker: from an address space and an address to the leaf that
// maps it (docs/hardware.md, "Page tables").
//
// A walk starts below the lowest entry that the page-walk cache knows, so a
// table that software freed without an invalidation is still read. Every entry
// is read once and checked completely before it is used; what is malformed is a
// Fault and never a guess.
#pragma once

#include "memory.h"
#include "translation_cache.h"
#include "units.h"

namespace figment {

// A valid, checked leaf and the size of what it maps.
struct Leaf {
  uint64_t entry = 0;
  unsigned shift = 0;
};

class PageWalker {
 public:
  PageWalker(const Host& host, Memory& memory, TranslationCache& walk_cache, bool faults)
      : host_(host), memory_(memory), walk_cache_(walk_cache), faults_(faults) {}
  PageWalker(const PageWalker&) = delete;
  PageWalker& operator=(const PageWalker&) = delete;

  // At most FIGMENT_PT_LEVELS reads of memory. `root` is the ASID's register.
  Result<Leaf> walk(Asid asid, GpuVa va, uint64_t root, Nanos now);

 private:
  // A table and the level of its entries.
  struct Table {
    Location at;
    unsigned level = 0;
  };

  Result<Table> start(Asid asid, GpuVa va, uint64_t root, Nanos now);
  Result<uint64_t> fetch(Asid asid, GpuVa va, const Table& table);

  const Host& host_;
  Memory& memory_;
  TranslationCache& walk_cache_;
  const bool faults_;
};

// Bytes that one entry of `level` covers, in lg2.
constexpr unsigned level_shift(unsigned level) {
  return FIGMENT_PAGE_LG2 + level * FIGMENT_PT_ENTRIES_LG2;
}

constexpr unsigned level_of(unsigned shift) {
  return (shift - FIGMENT_PAGE_LG2) / FIGMENT_PT_ENTRIES_LG2;
}
static_assert(level_of(level_shift(FIGMENT_PT_LEVELS - 1)) == FIGMENT_PT_LEVELS - 1);

// Valid, and well formed at its level.
bool is_entry(uint64_t entry, unsigned level);

// Where an entry (or root) points. PTE_VRAM and ROOT_VRAM are the same bit.
static_assert(FIGMENT_PTE_VRAM == FIGMENT_ROOT_VRAM);
static_assert(FIGMENT_PTE_ADDRESS == FIGMENT_ROOT_ADDRESS);
constexpr Location target_of(uint64_t entry) {
  const uint64_t address = entry & FIGMENT_PTE_ADDRESS;
  return entry & FIGMENT_PTE_VRAM ? Location(VramOffset{address}) : Location(BusAddr{address});
}

}  // namespace figment
