// SPDX-License-Identifier: MIT
//
// Events that change the mapping itself: memory goes, moves, or may be used no longer.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "bystander.h"
#include "event_call.h"
#include "event_families.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

namespace figment::stress {
namespace {

/// Of a race, so that there are some jobs in it.
constexpr auto kRaceTime = std::chrono::milliseconds(30);

Pages all(Cell& cell) {
  return cell.view().all();
}
Pages head(Cell& cell) {
  return {.first = 0, .count = all(cell).count / 4};
}
Pages tail(Cell& cell) {
  return {.first = all(cell).count * 3 / 4, .count = all(cell).count / 4};
}
Pages middle(Cell& cell) {
  return {.first = all(cell).count / 4, .count = all(cell).count / 2};
}

/// Pages go. Others get what was there: the memory, and the address.
void unmap_pages(Cell& cell, Pages pages) {
  const auto memory = cell.range().memory(pages);
  {
    // From before: what is mapped later may itself get the address.
    Bystander next(memory.size());
    timed(cell, "munmap", [&] { return ::munmap(memory.data(), memory.size()); });
    next.move_to(memory.data(), true);
    const Bystander freed(memory.size());
    cell.let_gpu_try();
    cell.count_harm(freed.wrong(), "in memory that was freed");
    cell.count_harm(next.wrong(), "of a new owner of the address");
  }
  View& view = cell.view();
  view.check_marks({.first = 0, .count = pages.first});
  const std::uint32_t end = pages.first + pages.count;
  view.check_marks({.first = end, .count = view.all().count - end});
  cell.range().map_again(pages);
}

void unmap_all(Cell& cell) {
  unmap_pages(cell, all(cell));
}
void unmap_head(Cell& cell) {
  unmap_pages(cell, head(cell));
}
void unmap_tail(Cell& cell) {
  unmap_pages(cell, tail(cell));
}
void unmap_middle(Cell& cell) {
  unmap_pages(cell, middle(cell));
}

/// One call, two vmas, and each of its own kind.
void unmap_two_kinds(Cell& cell) {
  const auto rest = cell.range().memory(tail(cell));
  if (::mmap(rest.data(), rest.size(), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    fail(errno, "mmap(MAP_FIXED)");
  }
  std::memset(rest.data(), 0, rest.size());
  unmap_pages(cell, all(cell));
}

void map_over(Cell& cell) {
  const Pages pages = cell.round() % 2 ? middle(cell) : all(cell);
  const auto memory = cell.range().memory(pages);
  timed(cell, "mmap(MAP_FIXED)", [&] {
    return reinterpret_cast<std::intptr_t>(::mmap(memory.data(), memory.size(),
                                                  PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  });
  ::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
  cell.zeroed(pages);
}

/// Anonymous memory becomes shared memory at the same address, and back.
void map_other_kind(Cell& cell) {
  const auto memory = cell.memory();
  const int kind = cell.round() % 2 ? MAP_SHARED : MAP_PRIVATE;
  timed(cell, "mmap(MAP_FIXED)", [&] {
    return reinterpret_cast<std::intptr_t>(::mmap(memory.data(), memory.size(),
                                                  PROT_READ | PROT_WRITE,
                                                  kind | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  });
  ::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
}

/// Unbound, unmapped, and mapped by somebody who never heard of a GPU.
void reuse_address(Cell& cell) {
  const auto memory = cell.memory();
  cell.unbind();
  {
    Bystander next(memory.size());
    timed(cell, "munmap", [&] { return ::munmap(memory.data(), memory.size()); });
    next.move_to(memory.data(), false);
    cell.let_gpu_try();
    cell.count_harm(next.wrong(), "of a new owner of the address");
  }
  cell.range().map_again(all(cell));
  cell.bind();
}

/// The GPU loses the range while it is there, and gets it back.
void rebind(Cell& cell) {
  cell.unbind();
  cell.let_gpu_try();
  cell.bind();
}

/// A second userptr of the same memory comes and goes.
void bind_twice(Cell& cell) {
  const Userptr second = cell.bind_elsewhere();
  if (!cell.stamped()) return;
}

/// Address space that nobody else gets meanwhile, where a huge page could be.
std::byte* reserve(std::uint64_t bytes) {
  void* at = ::mmap(nullptr, bytes + kHugePageBytes, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) fail(errno, "mmap");
  auto* const first = static_cast<std::byte*>(at);
  const std::uint64_t before = -reinterpret_cast<std::uintptr_t>(at) % kHugePageBytes;
  if (before) ::munmap(first, before);
  ::munmap(first + before + bytes, kHugePageBytes - before);
  return first + before;
}

void move_and_back(Cell& cell, Pages pages, int flags) {
  const auto memory = cell.range().memory(pages);
  std::byte* const place = reserve(memory.size());
  timed(cell, "mremap", [&] {
    return reinterpret_cast<std::intptr_t>(::mremap(memory.data(), memory.size(), memory.size(),
                                                    MREMAP_MAYMOVE | MREMAP_FIXED | flags, place));
  });
  if (flags & MREMAP_DONTUNMAP) {
    // The GPU goes on in what is left there, which is empty, and is replaced again.
    cell.may_read_zeros();
    if (!cell.stamped()) return;
  } else {
    cell.let_gpu_try();
  }
  if (::mremap(place, memory.size(), memory.size(), MREMAP_MAYMOVE | MREMAP_FIXED, memory.data()) ==
      MAP_FAILED) {
    fail(errno, "mremap back");
  }
}

void move_all(Cell& cell) {
  move_and_back(cell, all(cell), 0);
}
void move_middle(Cell& cell) {
  move_and_back(cell, middle(cell), 0);
}
void move_dontunmap(Cell& cell) {
  move_and_back(cell, all(cell), MREMAP_DONTUNMAP);
}

void shrink_and_grow(Cell& cell) {
  const Pages rest = tail(cell);
  const auto memory = cell.memory();
  const std::uint64_t small = cell.range().memory({0, rest.first}).size();
  timed(cell, "mremap to less", [&] {
    return reinterpret_cast<std::intptr_t>(::mremap(memory.data(), memory.size(), small, 0));
  });
  // Keeps the address from others, and is nobody's to write either.
  std::byte* const rest_at = memory.data() + small;
  if (::mmap(rest_at, memory.size() - small, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0) == MAP_FAILED) {
    fail(errno, "mmap");
  }
  {
    const Bystander freed(memory.size() - small);
    cell.let_gpu_try();
    cell.count_harm(freed.wrong(), "in memory that was freed");
  }
  ::munmap(rest_at, memory.size() - small);
  timed(cell, "mremap to more", [&] {
    return reinterpret_cast<std::intptr_t>(::mremap(memory.data(), small, memory.size(), 0));
  });
  cell.zeroed(rest);
}

/// While it lives, a mapping is the heap as far as the kernel is concerned.
class Heap {
 public:
  explicit Heap(std::span<std::byte> memory) : end_(memory.data() + memory.size()) {
    // A heap only grows where a page after it is free.
    ::munmap(end_, kPageBytes);
    set(PR_SET_MM_BRK, address(end_));
    set(PR_SET_MM_START_BRK, address(memory.data()));
  }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  ~Heap() {
    // The heap of malloc() may grow again, which is all that it will want.
    ::prctl(PR_SET_MM, PR_SET_MM_START_BRK, before_, 0, 0);
    ::prctl(PR_SET_MM, PR_SET_MM_BRK, before_, 0, 0);
    ::mmap(end_, kPageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  }
  /// -1: the end is not there. The system call itself: malloc() need not know.
  [[nodiscard]] int set_end(const std::byte* end) {
    const auto got = static_cast<std::uintptr_t>(::syscall(SYS_brk, end));
    if (got == address(end)) return 0;
    errno = ENOMEM;
    return -1;
  }

 private:
  static std::uintptr_t address(const std::byte* at) {
    return reinterpret_cast<std::uintptr_t>(at);
  }
  static void set(int what, std::uintptr_t value) {
    if (::prctl(PR_SET_MM, what, value, 0, 0) != 0) fail_call(errno, "PR_SET_MM_BRK");
  }

  std::byte* end_;
  std::uintptr_t before_ = static_cast<std::uintptr_t>(::syscall(SYS_brk, 0));
};

void shrink_and_grow_heap(Cell& cell) {
  const Pages rest = tail(cell);
  const auto memory = cell.memory();
  std::byte* const rest_at = cell.range().memory(rest).data();
  Heap heap(memory);
  timed(cell, "brk to less", [&] { return heap.set_end(rest_at); });
  cell.let_gpu_try();
  timed(cell, "brk to more", [&] { return heap.set_end(memory.data() + memory.size()); });
  cell.zeroed(rest);
}

void protect_and_back(Cell& cell, Pages pages, int protection) {
  const auto memory = cell.range().memory(pages);
  timed(cell, "mprotect", [&] { return ::mprotect(memory.data(), memory.size(), protection); });
  cell.let_gpu_try();
  timed(cell, "mprotect",
        [&] { return ::mprotect(memory.data(), memory.size(), PROT_READ | PROT_WRITE); });
}

void protect_read_only(Cell& cell) {
  const auto memory = cell.memory();
  timed(cell, "mprotect", [&] { return ::mprotect(memory.data(), memory.size(), PROT_READ); });
  cell.let_gpu_try();
  // Nothing comes while it is read-only, from those that follow.
  if (cell.follows()) {
    const std::vector<std::byte> before(memory.begin(), memory.end());
    cell.let_gpu_try();
    cell.count_harm(std::ranges::equal(before, memory) ? 0 : 1, "of memory that may only be read");
  }
  timed(cell, "mprotect",
        [&] { return ::mprotect(memory.data(), memory.size(), PROT_READ | PROT_WRITE); });
}
void protect_none(Cell& cell) {
  protect_and_back(cell, all(cell), PROT_NONE);
}
void protect_part(Cell& cell) {
  protect_and_back(cell, middle(cell), cell.round() % 2 ? PROT_READ : PROT_NONE);
}
void protect_briefly(Cell& cell) {
  // Nobody waits for anything in between: the upgrade races with the jobs.
  const auto memory = cell.memory();
  for (const int protection :
       {PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ | PROT_WRITE}) {
    timed(cell, "mprotect", [&] { return ::mprotect(memory.data(), memory.size(), protection); });
  }
}

void split_and_merge(Cell& cell) {
  // Another flag on every other page: as many vmas as pages, and one again.
  const auto memory = cell.memory();
  for (const int advice : {MADV_DONTDUMP, MADV_DODUMP}) {
    for (std::uint64_t at = 0; at < memory.size(); at += 2 * kPageBytes) {
      timed(cell, "MADV_DONTDUMP", [&] { return ::madvise(&memory[at], kPageBytes, advice); });
    }
  }
}

void guard(Cell& cell) {
  const Pages pages = middle(cell);
  const auto memory = cell.range().memory(pages);
  timed(cell, "MADV_GUARD_INSTALL",
        [&] { return ::madvise(memory.data(), memory.size(), MADV_GUARD_INSTALL); });
  const Bystander freed(memory.size());
  cell.let_gpu_try();
  cell.count_harm(freed.wrong(), "in memory that was freed");
  timed(cell, "MADV_GUARD_REMOVE",
        [&] { return ::madvise(memory.data(), memory.size(), MADV_GUARD_REMOVE); });
  cell.zeroed(pages);
}

/// A sealed mapping stays what it is: whoever would take it from the GPU is refused.
void seal(Cell& cell) {
  const auto memory = cell.memory();
  timed(cell, "mseal", [&] { return ::syscall(SYS_mseal, memory.data(), memory.size(), 0); });
  const auto refused = [](int result) { return result == -1 && errno == EPERM; };
  const bool sealed = refused(::mprotect(memory.data(), memory.size(), PROT_READ)) &&
                      refused(::munmap(memory.data(), kPageBytes)) &&
                      refused(::mmap(memory.data(), kPageBytes, PROT_READ,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED
                                  ? -1
                                  : 0);
  if (!sealed) throw std::runtime_error("a sealed mapping was changed");
}

/// Pages are taken away, and are there again at once, much faster than jobs come: whoever makes
/// them present for a job has to begin anew.
void take_away_all_the_time(Cell& cell) {
  const auto memory = cell.memory();
  const auto end = Clock::now() + kRaceTime;
  while (Clock::now() < end) {
    timed(cell, "MADV_DONTNEED",
          [&] { return ::madvise(memory.data(), memory.size(), MADV_DONTNEED); });
  }
}

void protection_key(Cell& cell) {
  const auto memory = cell.memory();
  const int key = timed(cell, "pkey_alloc", [] { return ::pkey_alloc(0, 0); });
  timed(cell, "pkey_mprotect",
        [&] { return ::pkey_mprotect(memory.data(), memory.size(), PROT_READ | PROT_WRITE, key); });
  ::pkey_mprotect(memory.data(), memory.size(), PROT_READ | PROT_WRITE, 0);
  ::pkey_free(key);
}

constexpr Event kEvents[] = {
    {.name = "munmap",
     .numbers = "19, 20",
     .what = "munmap() of all of it",
     .content = Content::gone,
     .run = unmap_all,
     .pages = "4k thp shmem memfd",
     .missing = Missing::in_process,
     .reaches = "unmap_vmas"},
    {.name = "munmap-head",
     .numbers = "19",
     .what = "munmap() of the first quarter",
     .content = Content::gone,
     .run = unmap_head,
     .pages = "4k thp",
     .missing = Missing::in_process,
     .reaches = "unmap_vmas"},
    {.name = "munmap-tail",
     .numbers = "19",
     .what = "munmap() of the last quarter",
     .content = Content::gone,
     .run = unmap_tail,
     .missing = Missing::in_process,
     .reaches = "unmap_vmas"},
    {.name = "munmap-middle",
     .numbers = "19, 40",
     .what = "munmap() of the middle: two vmas, and a huge page is split",
     .content = Content::gone,
     .run = unmap_middle,
     .pages = "4k thp swapped",
     .missing = Missing::in_process,
     .reaches = "unmap_vmas"},
    {.name = "munmap-kinds",
     .numbers = "19",
     .what = "munmap() across two vmas of different kinds",
     .content = Content::gone,
     .run = unmap_two_kinds,
     .missing = Missing::in_process,
     .reaches = "unmap_vmas"},
    {.name = "map-fixed",
     .numbers = "21",
     .what = "mmap(MAP_FIXED) over it: new memory at the same address",
     .content = Content::zeroed,
     .run = map_over,
     .pages = "4k thp",
     .missing = Missing::in_process,
     .reaches = "unmap_vmas"},
    {.name = "map-other",
     .numbers = "21",
     .what = "mmap(MAP_FIXED) over it, of another kind of memory",
     .content = Content::zeroed,
     .run = map_other_kind,
     .missing = Missing::in_process,
     .reaches = "unmap_vmas"},
    {.name = "va-reuse",
     .numbers = "22",
     .what = "unbound, unmapped, and somebody else's memory at the address",
     .content = Content::gone,
     .run = reuse_address,
     .pages = "4k memfd",
     .missing = Missing::on_gpu},
    {.name = "rebind",
     .numbers = "20, 57",
     .what = "unbound and bound again under jobs",
     .run = rebind,
     .missing = Missing::on_gpu},
    {.name = "bind-twice",
     .numbers = "27",
     .what = "another userptr of the same memory comes and goes",
     .run = bind_twice,
     .pages = "4k thp"},
    {.name = "mremap-move",
     .numbers = "23",
     .what = "mremap() to another address, and back",
     .run = move_all,
     .pages = "4k hugetlb thp swapped memfd",
     .missing = Missing::in_process,
     .reaches = "move_page_tables hugetlb:move_hugetlb_page_tables",
     .quick_kinds = 2},
    {.name = "mremap-part",
     .numbers = "4, 23",
     .what = "mremap() of the middle, and back",
     .run = move_middle,
     .pages = "4k thp",
     .missing = Missing::in_process,
     .reaches = "move_page_tables"},
    {.name = "mremap-dontunmap",
     .numbers = "23",
     .what = "mremap(MREMAP_DONTUNMAP), and back",
     .run = move_dontunmap,
     .reaches = "move_page_tables"},
    {.name = "mremap-resize",
     .numbers = "23",
     .what = "mremap() to less, and to more again",
     .content = Content::zeroed,
     .run = shrink_and_grow,
     .missing = Missing::in_process},
    {.name = "brk",
     .numbers = "24",
     .what = "the heap becomes smaller by brk(), and larger again",
     .content = Content::zeroed,
     .run = shrink_and_grow_heap,
     .missing = Missing::in_process},
    {.name = "mprotect-ro",
     .numbers = "28",
     .what = "mprotect(PROT_READ), and back",
     .run = protect_read_only,
     .pages = "4k hugetlb thp memfd",
     .missing = Missing::in_process,
     .reaches = "change_pud_range hugetlb:hugetlb_change_protection",
     .quick_kinds = 2},
    {.name = "mprotect-none",
     .numbers = "28",
     .what = "mprotect(PROT_NONE), and back",
     .run = protect_none,
     .missing = Missing::in_process,
     .reaches = "change_pud_range"},
    {.name = "mprotect-part",
     .numbers = "28, 40",
     .what = "mprotect() of the middle, and back: a huge page is split",
     .run = protect_part,
     .pages = "4k thp",
     .missing = Missing::in_process,
     .reaches = "change_pud_range thp:__split_huge_pmd",
     .quick_kinds = 2},
    {.name = "mprotect-race",
     .numbers = "28",
     .what = "mprotect() there and back at once",
     .run = protect_briefly,
     .missing = Missing::in_process,
     .reaches = "change_pud_range"},
    {.name = "vma-split",
     .numbers = "13, 27",
     .what = "the vma is split into many, and merged again",
     .run = split_and_merge},
    {.name = "guard",
     .numbers = "30",
     .what = "guard regions are installed and removed",
     .content = Content::zeroed,
     .run = guard,
     .missing = Missing::in_process},
    {.name = "mseal", .numbers = "30", .what = "the mapping is sealed", .run = seal},
    {.name = "dontneed-race",
     .numbers = "57",
     .what = "MADV_DONTNEED of shared memory, again and again, while jobs are submitted",
     .run = take_away_all_the_time,
     .pages = "memfd",
     .reaches = "zap_vma_range_batched"},
    {.name = "pkey", .numbers = "30", .what = "a protection key", .run = protection_key},
};

}  // namespace

std::span<const Event> mapping_events() {
  return kEvents;
}

}  // namespace figment::stress
