// SPDX-License-Identifier: MIT
#include "translation_cache.h"

#include <algorithm>
#include <bit>

namespace figment {

namespace {

constexpr uint32_t kWays = 4;

// Tag: bit 63 makes it non-zero, then shift, address space, and address prefix.
constexpr unsigned kPrefixBits = FIGMENT_VA_BITS - FIGMENT_PAGE_LG2;
constexpr unsigned kAsidBits = 16;
static_assert(kPrefixBits + kAsidBits + 6 <= 63);
static_assert(FIGMENT_ASIDS_MAX <= 1u << kAsidBits);

}  // namespace

TranslationCache::TranslationCache(uint32_t entries, uint32_t asids, Nanos retention_ns,
                                   std::initializer_list<unsigned> shifts)
    : retention_ns_(retention_ns), shifts_(shifts), epochs_(asids, 0) {
  if (entries == 0) return;
  sets_ = std::bit_floor(std::max(entries / kWays, 1u));
  ways_ = entries / sets_;
  lines_.resize(size_t{sets_} * ways_);
}

uint64_t TranslationCache::tag_of(Asid asid, GpuVa va, unsigned shift) {
  return 1ull << 63 | uint64_t{shift} << (kPrefixBits + kAsidBits) |
         uint64_t{asid.value} << kPrefixBits | va.value >> shift;
}

TranslationCache::Line* TranslationCache::set_of(uint64_t tag) {
  // Neighbouring pages fall into neighbouring sets; address spaces and sizes are spread.
  const uint64_t prefix = tag & ((1ull << kPrefixBits) - 1);
  const uint64_t other = (tag >> kPrefixBits) * 0x9e3779b97f4a7c15ull >> 32;
  return &lines_[((prefix ^ prefix >> 9 ^ other) & (sets_ - 1)) * ways_];
}

TranslationCache::Line* TranslationCache::lookup(uint64_t tag) {
  Line* set = set_of(tag);
  for (uint32_t way = 0; way < ways_; ++way) {
    if (set[way].tag == tag) return &set[way];
  }
  return nullptr;
}

std::optional<uint64_t> TranslationCache::find(Asid asid, GpuVa va, unsigned shift, Nanos now) {
  if (!(shifts_seen_ >> shift & 1)) return std::nullopt;
  Line* line = lookup(tag_of(asid, va, shift));
  if (!line) return std::nullopt;
  if (line->epoch != epochs_[asid.value] || (line->expires != kNever && now >= line->expires)) {
    *line = {};
    return std::nullopt;
  }
  line->used = ++uses_;
  return line->entry;
}

void TranslationCache::insert(Asid asid, GpuVa va, unsigned shift, uint64_t entry, Nanos now) {
  if (lines_.empty()) return;
  const uint64_t tag = tag_of(asid, va, shift);
  Line* set = set_of(tag);
  Line* line = set;
  for (Line* way = set; way != set + ways_; ++way) {
    if (way->tag == tag) {
      line = way;
      break;
    }
    if (way->used < line->used) line = way;
  }
  *line = {.tag = tag,
           .entry = entry,
           .epoch = epochs_[asid.value],
           .used = ++uses_,
           .expires = later(now, retention_ns_)};
  shifts_seen_ |= 1ull << shift;
}

void TranslationCache::drop_range(Asid asid, GpuVa first, GpuVa last) {
  if (lines_.empty()) return;
  for (const unsigned shift : shifts_) {
    if (!(shifts_seen_ >> shift & 1)) continue;
    const uint64_t first_tag = tag_of(asid, first, shift);
    const uint64_t last_tag = tag_of(asid, last, shift);
    // Looking for each one, or at each line: whichever is less work.
    if (last_tag - first_tag < lines_.size() / ways_) {
      for (uint64_t tag = first_tag; tag <= last_tag; ++tag) {
        if (Line* line = lookup(tag)) *line = {};
      }
    } else {
      for (Line& line : lines_) {
        if (line.tag >= first_tag && line.tag <= last_tag) line = {};
      }
    }
  }
}

void TranslationCache::drop_all() {
  for (uint64_t& epoch : epochs_) ++epoch;
  shifts_seen_ = 0;
}

}  // namespace figment
