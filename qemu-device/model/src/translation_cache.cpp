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
  tags_.resize(size_t{sets_} * ways_);
  lines_.resize(tags_.size());
}

uint64_t TranslationCache::tag_of(Asid asid, GpuVa va, unsigned shift) {
  return 1ull << 63 | uint64_t{shift} << (kPrefixBits + kAsidBits) |
         uint64_t{asid.value} << kPrefixBits | va.value >> shift;
}

size_t TranslationCache::set_of(uint64_t tag) const {
  // Neighbouring pages fall into neighbouring sets; address spaces and sizes are spread.
  const uint64_t prefix = tag & ((1ull << kPrefixBits) - 1);
  const uint64_t other = (tag >> kPrefixBits) * 0x9e3779b97f4a7c15ull >> 32;
  return ((prefix ^ prefix >> 9 ^ other) & (sets_ - 1)) * ways_;
}

std::optional<size_t> TranslationCache::lookup(uint64_t tag) const {
  const size_t first = set_of(tag);
  for (size_t index = first; index != first + ways_; ++index) {
    if (tags_[index] == tag) return index;
  }
  return std::nullopt;
}

void TranslationCache::drop(size_t index) {
  tags_[index] = 0;
  lines_[index] = {};
}

std::optional<uint64_t> TranslationCache::find(Asid asid, GpuVa va, unsigned shift, Nanos now) {
  if (!(shifts_seen_ >> shift & 1)) return std::nullopt;
  const auto index = lookup(tag_of(asid, va, shift));
  if (!index) return std::nullopt;
  Line& line = lines_[*index];
  if (line.epoch != epochs_[asid.value] || (line.expires != kNever && now >= line.expires)) {
    drop(*index);
    return std::nullopt;
  }
  line.used = ++uses_;
  return line.entry;
}

void TranslationCache::insert(Asid asid, GpuVa va, unsigned shift, uint64_t entry, Nanos now) {
  if (tags_.empty()) return;
  const uint64_t tag = tag_of(asid, va, shift);
  const size_t first = set_of(tag);
  size_t index = first;
  for (size_t way = first; way != first + ways_; ++way) {
    if (tags_[way] == tag) {
      index = way;
      break;
    }
    if (lines_[way].used < lines_[index].used) index = way;
  }
  tags_[index] = tag;
  lines_[index] = {.entry = entry,
                   .epoch = epochs_[asid.value],
                   .used = ++uses_,
                   .expires = later(now, retention_ns_)};
  shifts_seen_ |= 1ull << shift;
}

void TranslationCache::drop_range(Asid asid, GpuVa first, GpuVa last) {
  if (tags_.empty()) return;
  for (const unsigned shift : shifts_) {
    if (!(shifts_seen_ >> shift & 1)) continue;
    const uint64_t first_tag = tag_of(asid, first, shift);
    const uint64_t last_tag = tag_of(asid, last, shift);
    // Looking for each one, or at each tag: whichever is less work.
    if (last_tag - first_tag < sets_) {
      for (uint64_t tag = first_tag; tag <= last_tag; ++tag) {
        if (const auto index = lookup(tag)) drop(*index);
      }
    } else {
      for (size_t index = 0; index < tags_.size(); ++index) {
        if (tags_[index] >= first_tag && tags_[index] <= last_tag) drop(index);
      }
    }
  }
}

void TranslationCache::drop_all() {
  for (uint64_t& epoch : epochs_) ++epoch;
  shifts_seen_ = 0;
}

void TranslationCache::Used::describe(Archive& archive) {
  auto& [entry, epoch, used, expires] = line;
  FIGMENT_FIELDS(archive, index, tag, entry, epoch, used, expires);
}

void TranslationCache::describe(Archive& archive) {
  auto& [retention_ns, shifts, epochs, sets, ways, tags, lines, uses, shifts_seen] = *this;
  // The rest follows from the configuration; tags and lines that are free are 0.
  FIGMENT_FIELDS(archive, uses, shifts_seen);
  archive.elements("epochs", epochs);
  std::vector<Used> used_lines;
  for (size_t index = 0; index < tags.size(); ++index) {
    if (tags[index] == 0) continue;
    used_lines.push_back(
        {.index = static_cast<uint32_t>(index), .tag = tags[index], .line = lines[index]});
  }
  archive.sequence("lines", used_lines, tags.size());
  if (!archive.loading()) return;
  std::ranges::fill(tags, 0);
  std::ranges::fill(lines, Line{});
  uint64_t free_from = 0;
  for (const Used& used : used_lines) {
    require(used.index >= free_from && used.index < tags.size() && used.tag != 0,
            "a translation cache has a line at %u, which is no free place", used.index);
    tags[used.index] = used.tag;
    lines[used.index] = used.line;
    free_from = uint64_t{used.index} + 1;
  }
}

void TranslationCache::check(const char* name,
                             bool (*is_sound)(uint64_t entry, unsigned shift)) const {
  uint64_t possible = 0;
  for (const unsigned shift : shifts_) possible |= 1ull << shift;
  require((shifts_seen_ & ~possible) == 0, "%s has seen sizes that do not exist", name);
  for (size_t index = 0; index < tags_.size(); ++index) {
    const uint64_t tag = tags_[index];
    if (tag == 0) continue;
    const auto need = [&](bool condition, const char* what) {
      require(condition, "%s: line %zu %s", name, index, what);
    };
    const Line& line = lines_[index];
    const auto shift = static_cast<unsigned>(tag >> (kPrefixBits + kAsidBits) & 63);
    const Asid asid{static_cast<uint32_t>(tag >> kPrefixBits & ((1u << kAsidBits) - 1))};
    const uint64_t prefix = tag & ((1ull << kPrefixBits) - 1);
    need((possible >> shift & 1) != 0 && asid.value < epochs_.size() &&
             prefix < kVaEnd >> shift && tag == tag_of(asid, GpuVa{prefix << shift}, shift),
         "is for an address that there is not");
    need(lookup(tag) == index, "is not where its address is looked for");
    need(is_sound(line.entry, shift), "has an entry that no walk accepts");
    need(line.epoch <= epochs_[asid.value] && line.used <= uses_, "is from the future");
    need(line.epoch != epochs_[asid.value] || (shifts_seen_ >> shift & 1) != 0,
         "is valid, but of a size that is not known to be there");
  }
}

}  // namespace figment
