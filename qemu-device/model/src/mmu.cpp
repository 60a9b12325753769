// SPDX-License-Identifier: MIT
#include "mmu.h"

#include <algorithm>

namespace figment {

Mmu::Mmu(const Host& host, Memory& memory, const figment_model_config& config)
    : host_(host),
      memory_(memory),
      prefetch_pages_(config.prefetch_pages),
      roots_(config.asids, 0),
      tlb_(config.tlb_entries, config.asids, config.retention_ns,
           {FIGMENT_PAGE_LG2, FIGMENT_HUGE_PAGE_LG2}),
      walk_cache_(config.walk_cache_entries, config.asids, config.retention_ns,
                  {level_shift(1), level_shift(2), level_shift(3)}),
      walker_(host, memory, walk_cache_, config.faults) {}

Result<void> Mmu::translate(Extent& extent, const Accessor& accessor, GpuVa va, uint64_t bytes,
                            bool backward, Nanos now) {
  FIGMENT_ASSERT(bytes != 0 && in_va_space(va.value, bytes));
  extent.va = va;
  extent.bytes = 0;
  extent.count = 0;
  extent.backward = backward;
  for (unsigned pages = 0; pages < kPagesPerExtent && extent.bytes < bytes; ++pages) {
    const uint64_t rest = bytes - extent.bytes;
    const GpuVa at = backward ? va + (rest - 1) : va + extent.bytes;
    const Result<Place> place = place_of(accessor, at, now);
    if (!place) {
      if (extent.bytes == 0) return std::unexpected(place.error());
      break;
    }
    Piece piece;
    if (backward) {
      piece.bytes = std::min(place->before + 1, rest);
      piece.at = place->at + (0 - (piece.bytes - 1));
    } else {
      piece.bytes = std::min(place->after, rest);
      piece.at = place->at;
    }
    append(extent, piece);
    extent.bytes += piece.bytes;
  }
  if (backward) extent.va = va + (bytes - extent.bytes);
  return {};
}

void Mmu::append(Extent& extent, const Piece& piece) {
  if (extent.count != 0) {
    Piece& previous = extent.pieces[extent.count - 1];
    if (extent.backward && piece.at + piece.bytes == previous.at) {
      previous = {.at = piece.at, .bytes = previous.bytes + piece.bytes};
      return;
    }
    if (!extent.backward && previous.at + previous.bytes == piece.at) {
      previous.bytes += piece.bytes;
      return;
    }
  }
  extent.pieces[extent.count++] = piece;
}

Result<Mmu::Place> Mmu::place_of(const Accessor& accessor, GpuVa va, Nanos now) {
  const Result<Leaf> leaf = leaf_of(accessor.asid, va, now);
  if (!leaf) {
    Fault fault = leaf.error();
    fault.recoverable = fault.code == Code::unmapped && recovers(accessor.asid);
    return std::unexpected(fault);
  }
  if (!accessor.privileged && (leaf->entry & FIGMENT_PTE_PRIVILEGED)) {
    return std::unexpected(Fault{Code::permission, va.value});
  }
  if (accessor.write && !(leaf->entry & FIGMENT_PTE_WRITE)) {
    return std::unexpected(Fault{Code::permission, va.value, recovers(accessor.asid)});
  }
  const uint64_t page_bytes = 1ull << leaf->shift;
  const uint64_t in_page = va.value & (page_bytes - 1);
  return Place{
      .at = target_of(leaf->entry) + in_page, .before = in_page, .after = page_bytes - in_page};
}

// Decided by the root as it is now: what the caches hold does not say.
bool Mmu::recovers(Asid asid) const {
  constexpr uint64_t kBoth = FIGMENT_ROOT_VALID | FIGMENT_ROOT_FAULTS;
  return (roots_[asid.value] & kBoth) == kBoth;
}

std::optional<Leaf> Mmu::cached(Asid asid, GpuVa va, Nanos now) {
  for (const unsigned shift : {FIGMENT_PAGE_LG2, FIGMENT_HUGE_PAGE_LG2}) {
    if (const auto entry = tlb_.find(asid, va, shift, now)) {
      return Leaf{.entry = *entry, .shift = shift};
    }
  }
  return std::nullopt;
}

Result<Leaf> Mmu::leaf_of(Asid asid, GpuVa va, Nanos now) {
  if (const std::optional<Leaf> leaf = cached(asid, va, now)) {
    host_.trace(FIGMENT_TRACE_TLB_HIT, asid.value, va.value, leaf->entry);
    return *leaf;
  }
  const Result<Leaf> leaf = walker_.walk(asid, va, roots_[asid.value], now);
  if (!leaf) return leaf;
  tlb_.insert(asid, va, leaf->shift, leaf->entry, now);
  if (prefetch_pages_ != 0) prefetch(asid, va, *leaf, now);
  return leaf;
}

// Guesses that the next pages come next: translates them and reads a word of each, which is lost.
// Wrong guesses hurt nobody: neither a missing page nor memory that does not answer is reported.
void Mmu::prefetch(Asid asid, GpuVa va, const Leaf& leaf, Nanos now) {
  const uint64_t page_bytes = 1ull << leaf.shift;
  GpuVa next{va.value & ~(page_bytes - 1)};
  for (uint32_t page = 0; page < prefetch_pages_; ++page) {
    next = next + page_bytes;
    if (next.value >= kVaEnd) return;
    if (cached(asid, next, now)) continue;
    const Result<Leaf> guess = walker_.walk(asid, next, roots_[asid.value], now);
    if (!guess) continue;
    tlb_.insert(asid, next, guess->shift, guess->entry, now);
    host_.trace(FIGMENT_TRACE_PREFETCH, asid.value, next.value, guess->entry);
    (void)memory_.load(target_of(guess->entry), 8);
  }
}

void Mmu::drop_range(Asid asid, GpuVa first, GpuVa last) {
  tlb_.drop_range(asid, first, last);
  walk_cache_.drop_range(asid, first, last);
}

void Mmu::drop_asid(Asid asid) {
  tlb_.drop_asid(asid);
  walk_cache_.drop_asid(asid);
}

void Mmu::drop_all() {
  tlb_.drop_all();
  walk_cache_.drop_all();
}

void Mmu::reset() {
  std::ranges::fill(roots_, 0);
  drop_all();
}

void Mmu::describe(Archive& archive) {
  auto& [host, memory, prefetch_pages, roots, tlb, walk_cache, walker] = *this;
  archive.elements("roots", roots);
  FIGMENT_FIELDS(archive, tlb, walk_cache);
}

void Mmu::check() const {
  tlb_.check("tlb", [](uint64_t entry, unsigned shift) {
    return (entry & FIGMENT_PTE_LEAF) && is_entry(entry, level_of(shift));
  });
  walk_cache_.check("walk_cache", [](uint64_t entry, unsigned shift) {
    return !(entry & FIGMENT_PTE_LEAF) && is_entry(entry, level_of(shift));
  });
}

}  // namespace figment
