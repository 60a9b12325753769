// SPDX-License-Identifier: MIT
// Page tables, the TLB and the page-walk cache: what they find, what they
// refuse, and how long they are wrong.
#include "gpu.h"

namespace figment::test {

namespace {

constexpr uint64_t kLeaf = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE;
constexpr uint64_t kPlace = 0x12'3456'7000;  // indices 0, 72, 418, 359: all tables of its own

class Translation : public OneQueue {
 protected:
  using OneQueue::OneQueue;
  Words put(uint64_t va, uint64_t value) {
    return release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64, va, value);
  }
  Words get(uint64_t va) { return copy(kData, va, 8); }
  // What the GPU reads there now.
  uint64_t gpu_reads(uint64_t va) {
    run_ok(get(va));
    return data(0);
  }
};

TEST_F(Translation, small_and_huge_pages_in_ram_and_vram) {
  const uint64_t small = gpu.map_new(kAsid, kPlace, kPage);
  const uint64_t huge = gpu.allocate(kHugePage, kHugePage);
  gpu.map(kAsid, 0x40'0000'0000, huge, kHugePage, Gpu::kUser, kHugePage);
  gpu.map(kAsid, 0x50'0000'0000, 0x3000, kPage, Gpu::kUser | FIGMENT_PTE_VRAM);
  gpu.map(kAsid, 0x60'0000'0000, 0x20'0000, kHugePage, Gpu::kUser | FIGMENT_PTE_VRAM, kHugePage);
  run_ok(put(kPlace + 8, 1) + put(0x40'0000'0000 + 0x12'3458, 2) + put(0x50'0000'0000 + 16, 3) +
         put(0x60'0000'0000 + 0x1f'fff8, 4));
  EXPECT_EQ(gpu.host.load<uint64_t>(small + 8), 1u);
  EXPECT_EQ(gpu.host.load<uint64_t>(huge + 0x12'3458), 2u);
  uint64_t value;
  std::memcpy(&value, &gpu.host.vram[0x3010], 8);
  EXPECT_EQ(value, 3u);
  std::memcpy(&value, &gpu.host.vram[0x3f'fff8], 8);
  EXPECT_EQ(value, 4u);
}

TEST_F(Translation, the_last_page_of_the_address_space) {
  const uint64_t last = (1ull << 48) - kPage;
  const uint64_t bus = gpu.map_new(kAsid, last, kPage);
  run_ok(put(last + kPage - 8, 77));
  EXPECT_EQ(gpu.host.load<uint64_t>(bus + kPage - 8), 77u);
}

TEST_F(Translation, tables_in_vram) {
  gpu.vram_tables = true;
  Ring other(gpu, 1, {.asid = 2});
  const uint64_t bus = gpu.map_new(2, kPlace, kPage);
  other.submit(put(kPlace, 42));
  gpu.run_all();
  EXPECT_EQ(gpu.host.load<uint64_t>(bus), 42u);
}

TEST_F(Translation, address_spaces_are_apart) {
  Ring other(gpu, 1, {.asid = 2});
  const uint64_t mine = gpu.map_new(kAsid, kPlace, kPage);
  const uint64_t theirs = gpu.map_new(2, kPlace, kPage);
  ring.submit(put(kPlace, 1));
  other.submit(put(kPlace, 2));
  gpu.run_all();
  EXPECT_EQ(gpu.host.load<uint64_t>(mine), 1u);
  EXPECT_EQ(gpu.host.load<uint64_t>(theirs), 2u);
}

TEST_F(Translation, software_bits_are_ignored) {
  gpu.map_new(kAsid, kPlace, kPage, Gpu::kUser | FIGMENT_PTE_SOFTWARE);
  run_ok(put(kPlace, 1));
}

TEST_F(Translation, what_is_not_mapped_is_an_error_of_the_queue) {
  run_error(put(kPlace, 1), FIGMENT_CODE_UNMAPPED, kPlace);
  for (unsigned level = 0; level < 4; ++level) {
    gpu.map_new(kAsid, kPlace, kPage);
    run_ok(put(kPlace, 1));
    const uint64_t at = gpu.pte_address(kAsid, kPlace, level);
    const uint64_t entry = gpu.host.load<uint64_t>(at);
    // All bits of an entry that is not valid are ignored.
    gpu.host.store<uint64_t>(at, ~0ull & ~FIGMENT_PTE_VALID);
    gpu.invalidate_asid(kAsid);
    if (level < 3) {
      run_error(put(kPlace, 1), FIGMENT_CODE_UNMAPPED, kPlace);
    }
    gpu.host.store<uint64_t>(at, entry);
    gpu.invalidate_asid(kAsid);
  }
}

TEST_F(Translation, an_address_space_without_a_root_has_nothing_mapped) {
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root & ~FIGMENT_ROOT_VALID);
  run_error(nop(), FIGMENT_CODE_UNMAPPED, ring.ring_va());
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root);
  run_ok(nop());
}

TEST_F(Translation, malformed_roots) {
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  for (const uint64_t bits : {FIGMENT_BIT64(3), FIGMENT_BIT64(11), FIGMENT_BIT64(52),
                              FIGMENT_BIT64(63), FIGMENT_ROOT_FAULTS}) {
    gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root | bits);
    run_error(nop(), FIGMENT_CODE_PAGE_TABLE, ring.ring_va());
  }
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root);
}

struct BadEntry {
  unsigned level;
  uint64_t entry;
  const char* why;
};

TEST_F(Translation, malformed_entries) {
  const uint64_t table = gpu.allocate(kPage);
  const uint64_t page = gpu.allocate(kHugePage, kHugePage);
  const BadEntry bad[] = {
      {0, page | FIGMENT_PTE_VALID, "level 0 without LEAF"},
      {0, page | kLeaf | FIGMENT_BIT64(5), "reserved bit"},
      {0, page | kLeaf | FIGMENT_BIT64(7), "reserved bit"},
      {0, page | kLeaf | FIGMENT_BIT64(52), "reserved bit"},
      {0, page | kLeaf | FIGMENT_BIT64(63), "reserved bit"},
      {1, (page + kPage) | kLeaf, "huge page that is not aligned"},
      {1, table | FIGMENT_PTE_VALID | FIGMENT_PTE_WRITE, "WRITE in a table entry"},
      {1, table | FIGMENT_PTE_VALID | FIGMENT_PTE_PRIVILEGED, "PRIVILEGED in a table entry"},
      {2, page | kLeaf, "LEAF at level 2"},
      {2, table | FIGMENT_PTE_VALID | FIGMENT_BIT64(6), "reserved bit"},
      {3, page | kLeaf, "LEAF at level 3"},
      {3, table | FIGMENT_PTE_VALID | FIGMENT_BIT64(60), "reserved bit"},
  };
  uint64_t slot = 0;
  for (const BadEntry& entry : bad) {
    SCOPED_TRACE(entry.why);
    const uint64_t va = 0x80'0000'0000 * ++slot;  // a level-3 entry of its own
    gpu.set_pte(kAsid, va, entry.level, entry.entry);
    run_error(put(va, 1), FIGMENT_CODE_PAGE_TABLE, va);
  }
}

TEST_F(Translation, tables_and_pages_that_do_not_answer) {
  gpu.set_pte(kAsid, kPlace, 1, 0x1000'0000 | FIGMENT_PTE_VALID);  // no memory at this bus address
  run_error(put(kPlace, 1), FIGMENT_CODE_BUS, kPlace);
  gpu.set_pte(kAsid, kPlace + 0x80'0000'0000, 1,
              gpu.host.vram.size() | FIGMENT_PTE_VALID | FIGMENT_PTE_VRAM);
  run_error(put(kPlace + 0x80'0000'0000, 1), FIGMENT_CODE_BUS, kPlace + 0x80'0000'0000);

  const uint64_t hole = 0x70'0000'0000;
  gpu.map(kAsid, hole, 0x1000'0000, kPage);
  gpu.map(kAsid, hole + kPage, gpu.host.vram.size(), kPage, Gpu::kUser | FIGMENT_PTE_VRAM);
  gpu.map(kAsid, hole + 2 * kPage, 0xf'ffff'ffff'f000, kPage);
  for (uint64_t va = hole; va < hole + 3 * kPage; va += kPage) {
    run_error(put(va, 1), FIGMENT_CODE_BUS, va);
    run_error(get(va), FIGMENT_CODE_BUS, va);
    run_error(fill(va, 64, 1), FIGMENT_CODE_BUS, va);
    run_error(copy(va, kData, 64), FIGMENT_CODE_BUS, va);
    run_error(atomic(0, va, 1), FIGMENT_CODE_BUS, va);
    run_error(wait(0, va, 1), FIGMENT_CODE_BUS, va);
    run_error(timestamp(va), FIGMENT_CODE_BUS, va);
    run_error(chase(va, 1, 0), FIGMENT_CODE_BUS, va);
    run_error(indirect(va, 8), FIGMENT_CODE_BUS, va);
  }
}

TEST_F(Translation, writes_need_the_write_bit) {
  gpu.map_new(kAsid, kPlace, kPage, 0);
  run_ok(get(kPlace));
  run_error(put(kPlace, 1), FIGMENT_CODE_PERMISSION, kPlace);
  run_error(atomic(0, kPlace, 1), FIGMENT_CODE_PERMISSION, kPlace);
  run_error(atomic(FIGMENT_ATOMIC_RETURN, kData, 1, 0, kPlace), FIGMENT_CODE_PERMISSION, kPlace);
}

TEST_F(Translation, privileged_pages_are_closed_to_others) {
  gpu.map_new(kAsid, kPlace, kPage, Gpu::kUser | FIGMENT_PTE_PRIVILEGED);
  run_error(get(kPlace), FIGMENT_CODE_PERMISSION, kPlace);
  Ring trusted(gpu, 1, {.asid = kAsid, .flags = FIGMENT_DESC_PRIVILEGED});
  trusted.submit(get(kPlace));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(1), FIGMENT_QUEUE_READY);
}

TEST_F(Translation, everything_before_a_hole_is_done) {
  gpu.map_new(kAsid, kPlace, 2 * kPage);
  const auto before = gpu.host.ram;
  run_error(fill(kPlace, 3 * kPage, 0xab), FIGMENT_CODE_UNMAPPED, kPlace + 2 * kPage);
  run_ok(copy(kData, kPlace, 2 * kPage));
  EXPECT_EQ(data(2 * kPage - 8), 0xabababababababab);
  // Backwards, the highest address fails first.
  run_error(copy(kPlace + kPage + 1, kPlace, 2 * kPage), FIGMENT_CODE_UNMAPPED, kPlace + 3 * kPage);
}

// Staleness

TEST_F(Translation, a_missed_invalidation_does_reach_the_old_page) {
  const uint64_t old_page = gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1));
  const uint64_t new_page = gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 2));
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 2u) << "the TLB forgot too early";
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 0u);
  gpu.invalidate(kAsid, kPlace, kPlace + kPage - 1);
  run_ok(put(kPlace, 3));
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 2u);
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 3u);
}

TEST_F(Translation, a_huge_page_goes_stale_as_a_whole) {
  const uint64_t va = 0x40'0000'0000;
  const uint64_t old_page = gpu.allocate(kHugePage, kHugePage);
  const uint64_t new_page = gpu.allocate(kHugePage, kHugePage);
  gpu.map(kAsid, va, old_page, kHugePage, Gpu::kUser, kHugePage);
  run_ok(put(va, 1));
  gpu.map(kAsid, va, new_page, kHugePage, Gpu::kUser, kHugePage);
  run_ok(put(va + 0x10'0000, 2));
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page + 0x10'0000), 2u);
  gpu.invalidate(kAsid, va + 0x1f'ffff, va + 0x1f'ffff);
  run_ok(put(va + 0x10'0000, 3));
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page + 0x10'0000), 3u) << "any byte of the page names it";
}

TEST_F(Translation, more_rights_need_an_invalidation_too) {
  const uint64_t bus = gpu.map_new(kAsid, kPlace, kPage, 0);
  run_ok(get(kPlace));
  gpu.map(kAsid, kPlace, bus, kPage);
  run_error(put(kPlace, 1), FIGMENT_CODE_PERMISSION);
  gpu.invalidate(kAsid, kPlace, kPlace);
  run_ok(put(kPlace, 1));
}

TEST_F(Translation, absence_is_never_cached) {
  run_error(put(kPlace, 1), FIGMENT_CODE_UNMAPPED);
  gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1));
}

TEST_F(Translation, the_walk_cache_reads_tables_that_were_replaced) {
  gpu.map_new(kAsid, kPlace, 2 * kPage);
  run_ok(put(kPlace, 1));
  // A new level-0 table, in which the second page maps something else.
  const uint64_t old_table = gpu.pte_address(kAsid, kPlace, 0) & ~(kPage - 1);
  const uint64_t new_table = gpu.allocate(kPage);
  const uint64_t new_page = gpu.allocate(kPage);
  const uint64_t slot = gpu.pte_address(kAsid, kPlace + kPage, 0) & (kPage - 1);
  const uint64_t old_page = gpu.host.load<uint64_t>(old_table + slot) & FIGMENT_PTE_ADDRESS;
  gpu.host.store<uint64_t>(new_table + slot, new_page | kLeaf);
  gpu.set_pte(kAsid, kPlace, 1, new_table | FIGMENT_PTE_VALID);
  run_ok(put(kPlace + kPage, 2));  // not in the TLB yet
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 2u) << "the walk cache forgot too early";
  // Naming any byte below the entry drops it.
  gpu.invalidate(kAsid, kPlace + kPage, kPlace + kPage);
  run_ok(put(kPlace + kPage, 3));
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 3u);
}

TEST_F(Translation, a_new_root_alone_changes_nothing_that_is_cached) {
  gpu.map_new(kAsid, kPlace, 2 * kPage);
  run_ok(put(kPlace, 1));
  const uint64_t root = gpu.read64(FIGMENT_REG_ASID_ROOT(kAsid));
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), gpu.allocate(kPage) | FIGMENT_ROOT_VALID);
  run_ok(put(kPlace, 2) + put(kPlace + kPage, 3));
  gpu.invalidate_asid(kAsid);
  run_error(nop(), FIGMENT_CODE_UNMAPPED);
  gpu.write64(FIGMENT_REG_ASID_ROOT(kAsid), root);
}

GpuOptions without_walk_cache() {
  GpuOptions options;
  options.config.walk_cache_entries = 0;
  return options;
}
class WithoutWalkCache : public Translation {
 protected:
  WithoutWalkCache() : Translation(without_walk_cache()) {}
};

TEST_F(WithoutWalkCache, every_walk_reads_every_level) {
  gpu.map_new(kAsid, kPlace, kPage);
  run_ok(nop());
  gpu.host.forget_traces();
  run_ok(put(kPlace, 1));
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_WALK), 4u);
  gpu.map_new(kAsid, kPlace + kPage, kPage);
  run_ok(put(kPlace + kPage, 1));
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_WALK), 8u);
}

TEST_F(Translation, with_a_walk_cache_only_the_last_level_is_read) {
  gpu.map_new(kAsid, kPlace, 2 * kPage);
  run_ok(put(kPlace, 1));
  gpu.host.forget_traces();
  run_ok(put(kPlace + kPage, 1));
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_WALK), 1u);
}

GpuOptions with_retention(uint64_t ns) {
  GpuOptions options;
  options.config.retention_ns = ns;
  return options;
}
class Retention : public Translation {
 protected:
  Retention() : Translation(with_retention(1000)) {}
};

TEST_F(Retention, ends_staleness_by_itself) {
  const uint64_t old_page = gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1));
  const uint64_t new_page = gpu.map_new(kAsid, kPlace, kPage);
  gpu.advance(999);
  run_ok(put(kPlace, 2));
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 2u);
  gpu.advance(1);
  run_ok(put(kPlace, 3));
  EXPECT_EQ(gpu.host.load<uint64_t>(old_page), 2u) << "a hit does not renew an entry";
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 3u);
}

class NoRetention : public Translation {
 protected:
  NoRetention() : Translation(with_retention(0)) {}
};

TEST_F(NoRetention, walks_for_every_access) {
  gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1) + put(kPlace, 2));
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_TLB_HIT), 0u);
  const uint64_t new_page = gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 3));
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 3u);
}

GpuOptions with_small_tlb() {
  GpuOptions options;
  options.config.tlb_entries = 16;
  return options;
}
GpuOptions with_prefetch(uint32_t pages) {
  GpuOptions options;
  options.config.prefetch_pages = pages;
  return options;
}
class Prefetch : public Translation {
 protected:
  Prefetch() : Translation(with_prefetch(3)) {}
};

TEST_F(Prefetch, translates_pages_that_nobody_has_asked_for) {
  const uint64_t old_pages = gpu.map_new(kAsid, kPlace, 6 * kPage);
  run_ok(put(kPlace, 1));
  const uint64_t new_pages = gpu.map_new(kAsid, kPlace, 6 * kPage);
  for (uint64_t page = 1; page < 6; ++page) run_ok(put(kPlace + page * kPage, 2));
  for (uint64_t page = 1; page < 6; ++page) {
    EXPECT_EQ(gpu.host.load<uint64_t>((page <= 3 ? old_pages : new_pages) + page * kPage), 2u)
        << page;
  }
}

TEST_F(Prefetch, ends_with_an_invalidation_of_what_was_never_used) {
  gpu.map_new(kAsid, kPlace, 4 * kPage);
  run_ok(put(kPlace, 1));
  const uint64_t new_pages = gpu.map_new(kAsid, kPlace, 4 * kPage);
  gpu.invalidate(kAsid, kPlace + kPage, kPlace + 4 * kPage - 1);
  run_ok(put(kPlace + kPage, 2));
  EXPECT_EQ(gpu.host.load<uint64_t>(new_pages + kPage), 2u);
}

TEST_F(Prefetch, is_wrong_without_harm) {
  // Behind it: nothing, a malformed entry, and memory that does not answer.
  gpu.map_new(kAsid, kPlace, kPage);
  gpu.set_pte(kAsid, kPlace + 2 * kPage, 0, kLeaf | 1ull << 60);
  gpu.set_pte(kAsid, kPlace + 3 * kPage, 0, kLeaf | 0x1000'0000);
  run_ok(put(kPlace, 1));
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_FAULT), 0u);
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_PREFETCH), 1u) << "the one that is well formed";
  gpu.map_new(kAsid, kPlace + kPage, kPage);
  run_ok(put(kPlace + kPage, 1));
}

TEST_F(Prefetch, stops_at_the_end_of_the_address_space) {
  const uint64_t last = (1ull << 48) - kPage;
  gpu.map_new(kAsid, last, kPage);
  run_ok(put(last, 1));
}

class SmallTlb : public Translation {
 protected:
  SmallTlb() : Translation(with_small_tlb()) {}
};

TEST_F(SmallTlb, capacity_ends_staleness_too) {
  gpu.map_new(kAsid, kPlace, kPage);
  run_ok(put(kPlace, 1));
  const uint64_t new_page = gpu.map_new(kAsid, kPlace, kPage);
  run_ok(fill(kData, kDataBytes, 0));  // 64 pages
  run_ok(put(kPlace, 2));
  EXPECT_EQ(gpu.host.load<uint64_t>(new_page), 2u);
}

TEST_F(Translation, the_default_tlb_holds_thousands_of_pages) {
  run_ok(fill(kData, kDataBytes, 0));
  gpu.host.forget_traces();
  run_ok(fill(kData, kDataBytes, 0));
  EXPECT_EQ(gpu.host.count(FIGMENT_TRACE_WALK), 0u);
  EXPECT_GE(gpu.host.count(FIGMENT_TRACE_TLB_HIT), kDataBytes / kPage);
}

}  // namespace

}  // namespace figment::test
