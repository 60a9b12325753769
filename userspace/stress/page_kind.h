// SPDX-License-Identifier: MIT
//
// The kinds of pages that events happen to, as a table, and Range: memory of one of them, which is
// what a row binds as a userptr. To add a kind, add a line to the table in page_kind.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "figment/buffer.h"
#include "figment/handle.h"
#include "swap.h"
#include "view.h"

namespace figment::stress {

/// What this kernel or this machine does not have: the row is skipped, and says why.
struct Lacks : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Backing {
  anonymous,
  shared_anonymous,
  memfd,
  memfd_private,  // MAP_PRIVATE of a memfd
  hugetlb,
  hugetlb_shared,
  file,          // MAP_SHARED of a file that is not on tmpfs
  file_private,  // MAP_PRIVATE of one
  disk,          // MAP_SHARED of a block device, whose pages are written back
};

class Range;

/// So many pages are written and judged, in a range of any kind: 64 KiB, what a driver takes at a
/// time; of a huge page so many that are equally far apart. Nearly all that a row costs is for each
/// page.
constexpr std::uint64_t kRangePages = 16;

struct PageKind {
  std::string_view name;
  std::string_view what;
  Backing backing = Backing::anonymous;
  std::uint64_t pages = kRangePages;       // of the range
  std::uint32_t spacing = 1;               // every so many-th of them is written and judged
  std::uint64_t first = 0;                 // page of the memory with which the range begins
  std::uint64_t area_pages = kRangePages;  // of the memory
  bool huge = false;                       // transparently
  bool may_be_huge = false;                // the same, and it begins with small ones
  bool stays_home = false;                 // anonymous, and yet no page of it goes to VRAM
  bool in_part = false;                    // it is about what is bound of a huge page
  int refused = 0;                         // with this errno by strategies that hold their pages
  std::string_view why = {};               // in words, as docs/driver.md has it
  /// Before each event, with an idle GPU and restored words: brings the pages into the state.
  void (*prepare)(Range& range, View& view) = nullptr;

  /// The kernel moves anonymous pages only, and only those that are there.
  [[nodiscard]] constexpr bool goes_to_vram() const {
    return backing == Backing::anonymous && !stays_home;
  }
  /// Those that are judged.
  [[nodiscard]] constexpr std::uint32_t judged() const {
    return static_cast<std::uint32_t>(pages / spacing);
  }
  /// fork() does not copy it.
  [[nodiscard]] constexpr bool shared() const {
    return backing == Backing::shared_anonymous || backing == Backing::memfd ||
           backing == Backing::file || backing == Backing::disk ||
           backing == Backing::hugetlb_shared;
  }
};

[[nodiscard]] std::span<const PageKind> page_kinds();
/// A new file that is neither on tmpfs nor on hugetlbfs, and has no name. Lacks: there is none.
[[nodiscard]] UniqueFd plain_file();
/// Null: there is none.
[[nodiscard]] const PageKind* page_kind_named(std::string_view name);

class Range {
 public:
  /// Memory of the kind, all of it touched. Lacks: there is none to be had.
  explicit Range(const PageKind& kind);

  /// What is bound.
  [[nodiscard]] std::span<std::byte> memory() const {
    return area().subspan(kind_.first * kPageBytes, kind_.pages * kPageBytes);
  }
  /// Of judged pages, with those between.
  [[nodiscard]] std::span<std::byte> memory(Pages pages) const {
    const std::uint64_t bytes = kind_.spacing * kPageBytes;
    return memory().subspan(pages.first * bytes, pages.count * bytes);
  }
  /// All that is mapped, at a multiple of 2 MiB.
  [[nodiscard]] std::span<std::byte> area() const { return area_; }
  [[nodiscard]] const PageKind& kind() const { return kind_; }
  /// Of a file, else -1.
  [[nodiscard]] int fd() const { return file_.get(); }
  /// Of a disk; else it must not be asked.
  [[nodiscard]] const std::string& disk() const { return disk_->path(); }

  /// New memory of the same kind, where there may be none.
  void map_again(Pages pages);
  /// What is mapped around the bound memory must never change: how many words of it have.
  [[nodiscard]] std::uint64_t wrong_around() const;
  /// Huge pages again, as far as the kernel will.
  bool collapse() const;

 private:
  void map(std::uint64_t first_byte, std::uint64_t bytes);
  template <typename Visit>
  void each_around(Visit&& visit) const;

  const PageKind& kind_;
  std::optional<ScratchDisk> disk_;
  UniqueFd file_;
  Mapping reserved_;  // address space, of which area_ is a part
  std::span<std::byte> area_;
};

}  // namespace figment::stress
