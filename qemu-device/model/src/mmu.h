// SPDX-License-Identifier: MIT
// Translation: the roots of all address spaces, the TLB, the page-walk cache
// and the walker behind one question, "where does this range live?".
//
// An access asks for a whole range and gets an Extent: the places of as much of
// it as one access may take, with neighbours in memory merged so that bulk data
// moves in long runs. The extent may be shorter than what was asked for, when
// it has enough pages or when the next page faults; a fault is returned only
// when the very first byte faults, so that everything before it gets done.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "archive.h"
#include "page_walker.h"
#include "translation_cache.h"

namespace figment {

// Translations that one extent may take: a bound on the work of a step.
inline constexpr unsigned kPagesPerExtent = 32;

struct Piece {
  Location at;
  uint64_t bytes = 0;
};

// Where [va, va + bytes) lives. Pieces are in the order of work: from the
// lowest address up, or with `backward` from the highest down.
struct Extent {
  GpuVa va;
  uint64_t bytes = 0;  // 0: no access
  unsigned count = 0;
  bool backward = false;
  std::array<Piece, kPagesPerExtent> pieces;

  // No access. Pieces beyond `count` mean nothing and stay.
  void clear() {
    va = {};
    bytes = 0;
    count = 0;
    backward = false;
  }
  bool overlaps(GpuVa first, GpuVa last) const {
    return bytes != 0 && va <= last && va.value + (bytes - 1) >= first.value;
  }
};

// Who asks.
struct Accessor {
  Asid asid;
  bool write = false;
  bool privileged = false;
};

class Mmu {
 public:
  Mmu(const Host& host, Memory& memory, const figment_model_config& config);
  Mmu(const Mmu&) = delete;
  Mmu& operator=(const Mmu&) = delete;

  uint64_t root(Asid asid) const { return roots_[asid.value]; }
  // Invalidates nothing, as the contract says.
  void set_root(Asid asid, uint64_t root) { roots_[asid.value] = root; }

  // [va, va + bytes) is in the address space (in_va_space()) and not empty. A fault is recoverable
  // when a change of the page table can resolve it and the root says that software will.
  Result<void> translate(Extent& extent, const Accessor& accessor, GpuVa va, uint64_t bytes,
                         bool backward, Nanos now);

  void drop_range(Asid asid, GpuVa first, GpuVa last);
  void drop_asid(Asid asid);
  void drop_all();
  // Roots and caches as after power-on.
  void reset();

  // State, archive.h.
  void describe(Archive& archive);
  void check() const;

 private:
  // The place of `va` and how far it is contiguous in its page, both ways.
  struct Place {
    Location at;
    uint64_t before = 0;  // bytes of the page below va
    uint64_t after = 0;   // bytes of the page from va on
  };
  Result<Place> place_of(const Accessor& accessor, GpuVa va, Nanos now);
  Result<Leaf> leaf_of(Asid asid, GpuVa va, Nanos now);
  std::optional<Leaf> cached(Asid asid, GpuVa va, Nanos now);
  void prefetch(Asid asid, GpuVa va, const Leaf& leaf, Nanos now);
  bool recovers(Asid asid) const;
  void append(Extent& extent, const Piece& piece);

  const Host& host_;
  Memory& memory_;
  const uint32_t prefetch_pages_;
  std::vector<uint64_t> roots_;
  TranslationCache tlb_;
  TranslationCache walk_cache_;
  PageWalker walker_;
};

}  // namespace figment
