// SPDX-License-Identifier: MIT
//
// Events in which the kernel takes pages, moves them, or makes others of them, while the mapping
// stays what it is.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "event_call.h"
#include "event_families.h"
#include "ksm.h"
#include "swap.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

namespace figment::stress {
namespace {

void advise(Cell& cell, std::span<std::byte> memory, int advice, const char* name) {
  timed(cell, name, [&] { return ::madvise(memory.data(), memory.size(), advice); });
}

/// Writes to a knob of the kernel, and takes the time.
void write_knob(Cell& cell, const char* file, const char* text) {
  const UniqueFd knob(::open(file, O_WRONLY | O_CLOEXEC));
  if (!knob) throw Lacks(std::format("there is no {}", file));
  timed(cell, file,
        [&] { return ::write(knob.get(), text, std::char_traits<char>::length(text)); });
}

void dontneed(Cell& cell) {
  const Pages half = {.first = 0, .count = cell.view().all().count / 2};
  const Pages pages = cell.round() % 2 ? half : cell.view().all();
  cell.zeroed(pages);
  advise(cell, cell.range().memory(pages), MADV_DONTNEED, "MADV_DONTNEED");
}

void dontneed_of_a_file(Cell& cell) {
  advise(cell, cell.memory(), MADV_DONTNEED, "MADV_DONTNEED");
}

void free_and_write(Cell& cell) {
  // Whoever writes first keeps the page: the process here, the GPU elsewhere on it.
  advise(cell, cell.memory(), MADV_FREE, "MADV_FREE");
  cell.view().write_marks();
  if (!cell.stamped()) return;
  advise(cell, cell.memory(), MADV_PAGEOUT, "MADV_PAGEOUT");
}

void page_out(Cell& cell) {
  if (!has_swap()) throw Lacks("there is no swap");
  advise(cell, cell.memory(), MADV_PAGEOUT, "MADV_PAGEOUT");
}

void take_swap_away(Cell& cell) {
  if (!has_swap()) throw Lacks("there is no swap");
  advise(cell, cell.memory(), MADV_PAGEOUT, "MADV_PAGEOUT");
  cell.timed([] {
    cycle_swap();
    return 0;
  });
}

void make_cold(Cell& cell) {
  advise(cell, cell.memory(), MADV_COLD, "MADV_COLD");
}

void populate(Cell& cell) {
  const auto advice = cell.round() % 2 ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
  advise(cell, cell.memory(), advice, "MADV_POPULATE");
}

void page_out_by_another(Cell& cell) {
  if (!has_swap()) throw Lacks("there is no swap");
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self) fail_call(errno, "pidfd_open");
  const auto memory = cell.memory();
  const iovec all = {memory.data(), memory.size()};
  timed(cell, "process_madvise",
        [&] { return ::syscall(SYS_process_madvise, self.get(), &all, 1, MADV_PAGEOUT, 0); });
}

void collapse(Cell& cell) {
  // A kernel may find no huge page, or pages that somebody holds: then nothing has happened.
  const auto area = cell.range().area();
  cell.timed([&] { return ::madvise(area.data(), area.size(), MADV_COLLAPSE); });
}

void split_by_kernel(Cell& cell) {
  const auto area = cell.range().area();
  const std::string wish =
      std::format("{},{:#x},{:#x}", ::getpid(), reinterpret_cast<std::uintptr_t>(area.data()),
                  reinterpret_cast<std::uintptr_t>(area.data()) + area.size());
  write_knob(cell, "/sys/kernel/debug/split_huge_pages", wish.c_str());
}

void lock(Cell& cell) {
  const auto memory = cell.memory();
  const unsigned when = cell.round() % 2 ? MLOCK_ONFAULT : 0;
  timed(cell, "mlock", [&] { return ::mlock2(memory.data(), memory.size(), when); });
  timed(cell, "munlock", [&] { return ::munlock(memory.data(), memory.size()); });
}

void merge(Cell& cell) {
  // Pages with stamps are never equal; what the kernel write-protects to look is what counts.
  merge_same_pages(cell.memory());
  cell.view().write_marks();
}

void unmerge(Cell& cell) {
  merge_same_pages(cell.memory());
  advise(cell, cell.memory(), MADV_UNMERGEABLE, "MADV_UNMERGEABLE");
}

void punch_memfd(Cell& cell) {
  const Pages pages = {.first = cell.view().all().count / 4, .count = cell.view().all().count / 2};
  cell.zeroed(pages);
  timed(cell, "fallocate(PUNCH_HOLE)", [&] {
    return ::fallocate(cell.range().fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(pages.first * kPageBytes),
                       static_cast<off_t>(pages.count * kPageBytes));
  });
}

void remove_pages(Cell& cell) {
  advise(cell, cell.memory(), MADV_REMOVE, "MADV_REMOVE");
}

void truncate(Cell& cell) {
  const auto bytes = static_cast<off_t>(cell.range().area().size());
  timed(cell, "ftruncate", [&] { return ::ftruncate(cell.range().fd(), 0); });
  cell.let_gpu_try();
  timed(cell, "ftruncate", [&] { return ::ftruncate(cell.range().fd(), bytes); });
}

void compact(Cell& cell) {
  write_knob(cell, "/proc/sys/vm/compact_memory", "1");
}

void drop_caches(Cell& cell) {
  write_knob(cell, "/proc/sys/vm/drop_caches", "3");
}

void move_pages(Cell& cell) {
  const auto memory = cell.memory();
  const int nodes_there = std::filesystem::exists("/sys/devices/system/node/node1") ? 2 : 1;
  if (nodes_there == 1) throw Lacks("there is one memory node only");
  std::vector<void*> pages;
  for (std::uint64_t at = 0; at < memory.size(); at += kPageBytes) pages.push_back(&memory[at]);
  const std::vector<int> nodes(pages.size(), static_cast<int>(cell.round() % 2));
  std::vector<int> status(pages.size());
  timed(cell, "move_pages", [&] {
    return ::syscall(SYS_move_pages, 0, pages.size(), pages.data(), nodes.data(), status.data(),
                     2 /* MPOL_MF_MOVE */);
  });
}

void soft_offline(Cell& cell) {
  // One page goes for good each time; its content moves to another one. One that somebody holds is
  // left alone.
  const std::uint64_t page = cell.random() % cell.view().all().count;
  const auto memory = cell.range().memory({static_cast<std::uint32_t>(page), 1});
  int error = 0;
  const int result = cell.timed([&] {
    const int value = ::madvise(memory.data(), memory.size(), MADV_SOFT_OFFLINE);
    error = errno;
    return value;
  });
  if (result != 0 && error != EBUSY && error != EIO) fail_call(error, "MADV_SOFT_OFFLINE");
}

constexpr Event kEvents[] = {
    {.name = "madv-dontneed",
     .numbers = "32",
     .what = "MADV_DONTNEED: zeros",
     .content = Content::zeroed,
     .run = dontneed,
     .pages = "4k partial thp thp-split thp-head thp-tail swapped memfd-private"},
    {.name = "madv-dontneed-shared",
     .numbers = "32",
     .what = "MADV_DONTNEED of shared memory, whose content stays",
     .run = dontneed_of_a_file,
     .pages = "shmem memfd"},
    {.name = "madv-free",
     .numbers = "33",
     .what = "MADV_FREE, writes of both, and reclaim: nothing is lost",
     .run = free_and_write,
     .pages = "4k thp"},
    {.name = "madv-pageout",
     .numbers = "34, 36",
     .what = "MADV_PAGEOUT: to swap",
     .run = page_out,
     .pages = "4k thp shmem memfd-private"},
    {.name = "swapoff",
     .numbers = "36",
     .what = "swap goes away while pages are in it",
     .run = take_swap_away,
     .pages = "4k shmem",
     .share = 4},
    {.name = "madv-cold",
     .numbers = "34",
     .what = "MADV_COLD",
     .run = make_cold,
     .pages = "4k thp"},
    {.name = "process-madvise",
     .numbers = "34",
     .what = "process_madvise(MADV_PAGEOUT)",
     .run = page_out_by_another},
    {.name = "madv-populate",
     .numbers = "30",
     .what = "MADV_POPULATE_READ and _WRITE",
     .run = populate,
     .pages = "4k partial swapped"},
    {.name = "madv-collapse",
     .numbers = "39",
     .what = "MADV_COLLAPSE: a huge page of small ones",
     .run = collapse,
     .pages = "thp-split thp-head swapped"},
    {.name = "thp-split",
     .numbers = "40",
     .what = "the kernel splits huge pages",
     .run = split_by_kernel,
     .pages = "thp thp-head thp-split"},
    {.name = "ksm-merge",
     .numbers = "44",
     .what = "KSM looks for equal pages, then writes",
     .run = merge,
     .pages = "4k ksm"},
    {.name = "ksm-unmerge",
     .numbers = "44",
     .what = "KSM, then MADV_UNMERGEABLE",
     .run = unmerge,
     .pages = "ksm"},
    {.name = "mlock",
     .numbers = "37",
     .what = "mlock() and munlock()",
     .run = lock,
     .pages = "4k thp swapped"},
    {.name = "memfd-punch",
     .numbers = "35",
     .what = "a hole is punched into the file",
     .content = Content::zeroed,
     .run = punch_memfd,
     .pages = "memfd"},
    {.name = "madv-remove",
     .numbers = "35",
     .what = "MADV_REMOVE",
     .content = Content::zeroed,
     .run = remove_pages,
     .pages = "shmem memfd"},
    {.name = "ftruncate",
     .numbers = "35",
     .what = "the file is cut to nothing, and becomes as long as before",
     .content = Content::zeroed,
     .run = truncate,
     .pages = "memfd",
     .missing = Missing::in_process},
    {.name = "compaction",
     .numbers = "42",
     .what = "all memory is compacted",
     .run = compact,
     .share = 4},
    {.name = "drop-caches",
     .numbers = "36",
     .what = "the page cache is dropped",
     .run = drop_caches,
     .pages = "4k memfd",
     .share = 4},
    {.name = "move-pages",
     .numbers = "43",
     .what = "move_pages() to another node",
     .run = move_pages},
    {.name = "soft-offline",
     .numbers = "52",
     .what = "a page is taken out of use, its content moves",
     .run = soft_offline,
     .pages = "4k memfd"},
};

}  // namespace

std::span<const Event> reclaim_events() {
  return kEvents;
}

}  // namespace figment::stress
