// SPDX-License-Identifier: MIT
#include "page_walker.h"

namespace figment {

namespace {

constexpr uint64_t kRootBits =
    FIGMENT_ROOT_VALID | FIGMENT_ROOT_VRAM | FIGMENT_ROOT_FAULTS | FIGMENT_ROOT_ADDRESS;
constexpr uint64_t kTableBits =
    FIGMENT_PTE_VALID | FIGMENT_PTE_VRAM | FIGMENT_PTE_SOFTWARE | FIGMENT_PTE_ADDRESS;
constexpr uint64_t kLeafBits =
    kTableBits | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE | FIGMENT_PTE_PRIVILEGED;

constexpr unsigned kRootLevel = FIGMENT_PT_LEVELS - 1;
constexpr unsigned kHugeLevel = 1;

bool well_formed(uint64_t entry, unsigned level) {
  if (!(entry & FIGMENT_PTE_LEAF)) return level != 0 && (entry & ~kTableBits) == 0;
  if (level > kHugeLevel || (entry & ~kLeafBits) != 0) return false;
  return is_multiple(entry & FIGMENT_PTE_ADDRESS, 1ull << level_shift(level));
}

uint64_t index_of(GpuVa va, unsigned level) {
  return va.value >> level_shift(level) & ((1u << FIGMENT_PT_ENTRIES_LG2) - 1);
}

}  // namespace

bool is_entry(uint64_t entry, unsigned level) {
  return (entry & FIGMENT_PTE_VALID) && well_formed(entry, level);
}

Result<Leaf> PageWalker::walk(Asid asid, GpuVa va, uint64_t root, Nanos now) {
  Result<Table> table = start(asid, va, root, now);
  while (table) {
    const Result<uint64_t> entry = fetch(asid, va, *table);
    if (!entry) return std::unexpected(entry.error());
    const unsigned shift = level_shift(table->level);
    if (*entry & FIGMENT_PTE_LEAF) return Leaf{.entry = *entry, .shift = shift};
    walk_cache_.insert(asid, va, shift, *entry, now);
    table = Table{.at = target_of(*entry), .level = table->level - 1};
  }
  return std::unexpected(table.error());
}

Result<PageWalker::Table> PageWalker::start(Asid asid, GpuVa va, uint64_t root, Nanos now) {
  for (unsigned level = 1; level <= kRootLevel; ++level) {
    if (const auto entry = walk_cache_.find(asid, va, level_shift(level), now)) {
      return Table{.at = target_of(*entry), .level = level - 1};
    }
  }
  if (!(root & FIGMENT_ROOT_VALID)) return std::unexpected(Fault{Code::unmapped, va.value});
  if ((root & ~kRootBits) != 0 || (!faults_ && (root & FIGMENT_ROOT_FAULTS))) {
    return std::unexpected(Fault{Code::page_table, va.value});
  }
  return Table{.at = target_of(root), .level = kRootLevel};
}

Result<uint64_t> PageWalker::fetch(Asid asid, GpuVa va, const Table& table) {
  const auto entry = memory_.load(table.at + index_of(va, table.level) * 8, 8);
  if (!entry) return std::unexpected(Fault{Code::bus, va.value});
  host_.trace(FIGMENT_TRACE_WALK, asid.value, va.value, table.level, *entry);
  // Whatever else an entry holds that is not valid is the business of software.
  if (!(*entry & FIGMENT_PTE_VALID)) return std::unexpected(Fault{Code::unmapped, va.value});
  if (!well_formed(*entry, table.level)) return std::unexpected(Fault{Code::page_table, va.value});
  return *entry;
}

}  // namespace figment
