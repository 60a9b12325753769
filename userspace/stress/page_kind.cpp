// SPDX-License-Identifier: MIT
#include "page_kind.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>
#include <string>
#include <thread>

#include "figment/error.h"
#include "ksm.h"
#include "swap.h"

namespace figment::stress {
namespace {

constexpr Word kAround = 0xa110'c8ed'0f0b'0d15;

constexpr std::uint64_t kHugetlbPages = 16;

void advise(std::span<std::byte> memory, int advice, const char* name) {
  if (::madvise(memory.data(), memory.size(), advice) == 0) return;
  if (errno == EINVAL) throw Lacks(std::format("this kernel has no {}", name));
  fail(errno, std::format("madvise({})", name));
}

void leave_holes(Range& range, View& view) {
  for (std::uint32_t page = 1; page < view.all().count; page += 2) {
    const Pages one{page, 1};
    advise(range.memory(one), MADV_DONTNEED, "MADV_DONTNEED");
    view.expect_zeros(one);
  }
}

void collapse(Range& range, View&) {
  range.collapse();
}

/// A page with another protection in the middle: what was one entry are many. The page stays huge.
void split_entry(Range& range, View&) {
  range.collapse();
  const auto page = range.area().subspan(range.area().size() / 2, kPageBytes);
  for (const int protection : {PROT_READ, PROT_READ | PROT_WRITE}) {
    if (::mprotect(page.data(), page.size(), protection) != 0) fail(errno, "mprotect of a page");
  }
}

void page_out(Range& range, View&) {
  if (!has_swap()) throw Lacks("there is no swap");
  advise(range.memory(), MADV_PAGEOUT, "MADV_PAGEOUT");
}

void read_only(Range& range, View& view) {
  advise(range.memory(), MADV_DONTNEED, "MADV_DONTNEED");
  view.begin_with_zeros();
  view.check_untouched(view.all());
}

void share(Range& range, View& view) {
  std::ranges::fill(range.memory(), std::byte{0});
  view.begin_with_zeros();
  merge_same_pages(range.memory());
}

constexpr std::uint64_t kHuge = kHugePageBytes / kPageBytes;

constexpr const char* kOfFiles =
    "who holds a page would write it while the file system writes it back";

constexpr PageKind kKinds[] = {
    {.name = "4k", .what = "anonymous pages of 4 KiB"},
    {.name = "partial", .what = "anonymous, every other page missing", .prepare = leave_holes},
    {.name = "thp",
     .what = "a whole transparent huge page",
     .pages = kHuge,
     .spacing = kHuge / kRangePages,
     .area_pages = kHuge,
     .huge = true,
     .prepare = collapse},
    {.name = "thp-split",
     .what = "a huge page in entries of 4 KiB",
     .pages = kHuge,
     .spacing = kHuge / kRangePages,
     .area_pages = kHuge,
     .huge = true,
     .prepare = split_entry},
    {.name = "thp-head",
     .what = "the first pages of a huge page",
     .area_pages = kHuge,
     .huge = true,
     .in_part = true,
     .prepare = collapse},
    {.name = "thp-tail",
     .what = "the last pages of a huge page",
     .first = kHuge - kRangePages,
     .area_pages = kHuge,
     .huge = true,
     .in_part = true,
     .prepare = collapse},
    {.name = "hugetlb",
     .what = "pages of hugetlbfs",
     .backing = Backing::hugetlb,
     .pages = kHuge,
     .spacing = kHuge / kRangePages,
     .area_pages = kHuge},
    {.name = "hugetlb-file",
     .what = "a memfd with pages of hugetlbfs, MAP_SHARED",
     .backing = Backing::hugetlb_shared,
     .pages = kHuge,
     .spacing = kHuge / kRangePages,
     .area_pages = kHuge},
    {.name = "swapped", .what = "anonymous, swapped out", .stays_home = true, .prepare = page_out},
    {.name = "ksm", .what = "anonymous, merged by KSM", .prepare = share},
    {.name = "zero", .what = "anonymous, only read: the zero page", .prepare = read_only},
    {.name = "shmem", .what = "shared anonymous memory", .backing = Backing::shared_anonymous},
    {.name = "memfd", .what = "a memfd, MAP_SHARED", .backing = Backing::memfd},
    {.name = "memfd-huge",
     .what = "a memfd, MAP_SHARED, that may have huge pages",
     .backing = Backing::memfd,
     .pages = kHuge,
     .spacing = kHuge / kRangePages,
     .area_pages = kHuge,
     .may_be_huge = true},
    {.name = "memfd-private", .what = "a memfd, MAP_PRIVATE", .backing = Backing::memfd_private},
    {.name = "file-private", .what = "a file, MAP_PRIVATE", .backing = Backing::file_private},
    {.name = "file-shared",
     .what = "a file, MAP_SHARED",
     .backing = Backing::file,
     .refused = EOPNOTSUPP,
     .why = kOfFiles},
    {.name = "disk-shared",
     .what = "a block device, MAP_SHARED",
     .backing = Backing::disk,
     .refused = EOPNOTSUPP,
     .why = kOfFiles},
};

UniqueFd file_for(Backing backing, const std::optional<ScratchDisk>& disk, std::uint64_t bytes) {
  UniqueFd file;
  switch (backing) {
    case Backing::anonymous:
    case Backing::shared_anonymous:
    case Backing::hugetlb:
      return file;
    case Backing::memfd:
    case Backing::memfd_private:
      file = UniqueFd(::memfd_create("figment-stress", MFD_CLOEXEC));
      if (!file) fail(errno, "memfd_create");
      break;
    case Backing::hugetlb_shared:
      file = UniqueFd(::memfd_create("figment-stress", MFD_CLOEXEC | MFD_HUGETLB));
      if (!file) throw Lacks("this kernel has no hugetlbfs");
      break;
    case Backing::file:
    case Backing::file_private:
      file = plain_file();
      break;
    case Backing::disk:
      file = UniqueFd(::open(disk->path().c_str(), O_RDWR | O_CLOEXEC));
      if (!file) fail(errno, disk->path());
      return file;  // and is as long as it is
  }
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) fail(errno, "ftruncate");
  return file;
}

int flags_of(Backing backing) {
  switch (backing) {
    case Backing::anonymous:
      return MAP_PRIVATE | MAP_ANONYMOUS;
    case Backing::shared_anonymous:
      return MAP_SHARED | MAP_ANONYMOUS;
    case Backing::memfd:
    case Backing::hugetlb_shared:
    case Backing::file:
    case Backing::disk:
      return MAP_SHARED;
    case Backing::memfd_private:
    case Backing::file_private:
      return MAP_PRIVATE;
    case Backing::hugetlb:
      return MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  }
  return 0;
}

const std::optional<ScratchDisk>& make_disk(const PageKind& kind,
                                            std::optional<ScratchDisk>& disk) {
  if (kind.backing == Backing::disk) disk.emplace(kind.area_pages * kPageBytes);
  return disk;
}

constexpr bool is_hugetlb(Backing backing) {
  return backing == Backing::hugetlb || backing == Backing::hugetlb_shared;
}

Mapping reserve(std::uint64_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) fail(errno, "mmap");
  return Mapping({static_cast<std::byte*>(at), bytes});
}

void provide_hugetlb() {
  const char* file = "/proc/sys/vm/nr_hugepages";
  std::uint64_t pages = 0;
  if (!(std::ifstream(file) >> pages)) throw Lacks("this kernel has no hugetlbfs");
  // For the range, and for the copies of all children that there may be at a time.
  if (pages < kHugetlbPages) std::ofstream(file) << kHugetlbPages;
}

}  // namespace

UniqueFd plain_file() {
  // On ramfs, which is in every kernel.
  std::string folder = "/tmp/figment-XXXXXX";
  if (!::mkdtemp(folder.data())) fail(errno, "mkdtemp");
  if (::mount("ramfs", folder.c_str(), "ramfs", 0, nullptr) != 0) {
    ::rmdir(folder.c_str());
    throw Lacks("ramfs cannot be mounted");
  }
  UniqueFd file(::open((folder + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ::umount2(folder.c_str(), MNT_DETACH);
  ::rmdir(folder.c_str());
  if (!file) fail(errno, "open of a file on ramfs");
  return file;
}

std::span<const PageKind> page_kinds() {
  return kKinds;
}

const PageKind* page_kind_named(std::string_view name) {
  const auto* found = std::ranges::find(kKinds, name, &PageKind::name);
  return found == std::end(kKinds) ? nullptr : found;
}

Range::Range(const PageKind& kind)
    : kind_(kind),
      file_(file_for(kind.backing, make_disk(kind, disk_), kind.area_pages * kPageBytes)),
      reserved_(reserve(kind.area_pages * kPageBytes + kHugePageBytes)) {
  const auto begin = reinterpret_cast<std::uintptr_t>(reserved_.bytes().data());
  area_ = reserved_.bytes().subspan(-begin % kHugePageBytes, kind.area_pages * kPageBytes);
  if (is_hugetlb(kind.backing)) provide_hugetlb();
  map(0, area_.size());
  std::memset(area_.data(), 0, area_.size());
  if (kind.huge && !collapse()) throw Lacks("there is no huge page to be had");
  each_around([](Word& word) { word = kAround; });
}

void Range::map(std::uint64_t first_byte, std::uint64_t bytes) {
  std::byte* at = area_.data() + first_byte;
  if (::mmap(at, bytes, PROT_READ | PROT_WRITE, flags_of(kind_.backing) | MAP_FIXED, file_.get(),
             file_ ? static_cast<off_t>(first_byte) : 0) == MAP_FAILED) {
    if (is_hugetlb(kind_.backing)) throw Lacks("there is no page of hugetlbfs to be had");
    fail(errno, "mmap of the range");
  }
  // A kernel that has no huge pages refuses both, which is as good.
  ::madvise(at, bytes, kind_.huge || kind_.may_be_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void Range::map_again(Pages pages) {
  const auto memory = this->memory(pages);
  map(static_cast<std::uint64_t>(memory.data() - area_.data()), memory.size());
  if (file_ && kind_.shared()) {
    std::memset(memory.data(), 0, memory.size());
  }
}

bool Range::collapse() const {
  return ::madvise(area_.data(), area_.size(), MADV_COLLAPSE) == 0;
}

template <typename Visit>
void Range::each_around(Visit&& visit) const {
  auto* words = reinterpret_cast<Word*>(area_.data());
  const std::uint64_t first = kind_.first * oracle::kWordsPerPage;
  const std::uint64_t end = first + kind_.pages * oracle::kWordsPerPage;
  for (std::uint64_t index = 0; index < area_.size() / sizeof(Word); ++index) {
    if (index == first) index = end;
    if (index < area_.size() / sizeof(Word)) visit(words[index]);
  }
}

std::uint64_t Range::wrong_around() const {
  std::uint64_t wrong = 0;
  each_around([&](const Word& word) { wrong += word != kAround; });
  return wrong;
}

}  // namespace figment::stress
