// SPDX-License-Identifier: MIT
//
// Events in which the kernel takes pages, moves them, or makes others of them, while the mapping
// stays what it is.
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "cgroup.h"
#include "companion.h"
#include "event_call.h"
#include "event_families.h"
#include "ksm.h"
#include "process.h"
#include "swap.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

namespace figment::stress {
namespace {

void advise(Cell& cell, std::span<std::byte> memory, int advice, const char* name) {
  timed(cell, name, [&] { return ::madvise(memory.data(), memory.size(), advice); });
}

/// Writes to a knob of the kernel.
ssize_t write_knob(const char* file, const std::string& text) {
  const UniqueFd knob(::open(file, O_WRONLY | O_CLOEXEC));
  if (!knob) throw Lacks(std::format("there is no {}", file));
  return ::write(knob.get(), text.data(), text.size());
}

/// The same, and takes the time.
void write_knob(Cell& cell, const char* file, const std::string& text) {
  timed(cell, file, [&] { return write_knob(file, text); });
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

constexpr const char* kSplit = "/sys/kernel/debug/split_huge_pages";

std::string split_wish(Cell& cell) {
  const auto area = cell.range().area();
  return std::format("{},{:#x},{:#x}", ::getpid(), reinterpret_cast<std::uintptr_t>(area.data()),
                     reinterpret_cast<std::uintptr_t>(area.data()) + area.size());
}

void split_by_kernel(Cell& cell) {
  write_knob(cell, kSplit, split_wish(cell));
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

/// Equal pages that nobody changes: the kernel protects them, and puts one in the place of all.
void merge_companions(Cell& cell) {
  constexpr Word kSame = 0x5a5a'5a5a'0000'0001;
  Companion companion(cell, 16, false);
  std::ranges::fill(companion.words(), kSame);
  companion.bind();
  companion.check_read(kSame);
  cell.timed([&] {
    merge_same_pages(companion.memory());
    return 0;
  });
  companion.check_read(kSame);
  std::ranges::fill(companion.words(), kSame + 1);
  companion.check_read(kSame + 1);
}

/// The huge zero page, that the GPU reads, is written by the process.
void write_huge_zero_page(Cell& cell) {
  Companion companion(cell, kHugePageBytes / kPageBytes, true);
  std::ignore = *static_cast<volatile Word*>(companion.words().data());
  companion.bind();
  companion.check_read(0);
  timed(cell, "write", [&] {
    __atomic_store_n(companion.words().data(), Word{1}, __ATOMIC_RELAXED);
    return 0;
  });
  std::ranges::fill(companion.words(), Word{2});
  companion.check_read(2);
}

/// The kernel collapses a file in one of two ways: small pages become a huge one, or the file has
/// it already and only the entries are small. In turns, and made while nobody is in the way: a job
/// that asks for its pages at the same time holds them, and then the kernel leaves the file alone.
void have_small_entries(Cell& cell) {
  const auto memory = cell.memory();
  const auto advise_all = [&](int advice, const char* name) {
    if (::madvise(memory.data(), memory.size(), advice) != 0) fail_call(errno, name);
  };
  if (cell.round() % 2) {
    advise_all(MADV_HUGEPAGE, "MADV_HUGEPAGE");
    // There may be no huge page; then the row says that nothing has reached a notifier.
    std::ignore = ::madvise(memory.data(), memory.size(), MADV_COLLAPSE);
  } else {
    write_knob(kSplit, split_wish(cell));
  }
  advise_all(MADV_DONTNEED, "MADV_DONTNEED");
  advise_all(MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
  cell.view().check_marks();
  advise_all(MADV_HUGEPAGE, "MADV_HUGEPAGE");
}

void collapse_file(Cell& cell) {
  const auto memory = cell.memory();
  // As for anonymous memory: there may be no huge page.
  cell.timed([&] { return ::madvise(memory.data(), memory.size(), MADV_COLLAPSE); });
  cell.view().check_marks();
}

void punch_memfd(Cell& cell) {
  // A hole in a huge page would not be one, but zeros.
  const Pages all = cell.view().all();
  const bool huge = cell.config().pages.backing == Backing::hugetlb_shared;
  const Pages pages = huge ? all : Pages{.first = all.count / 4, .count = all.count / 2};
  const auto hole = cell.range().memory(pages);
  cell.zeroed(pages);
  timed(cell, "fallocate(PUNCH_HOLE)", [&] {
    return ::fallocate(cell.range().fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(hole.data() - cell.range().area().data()),
                       static_cast<off_t>(hole.size()));
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

/// As the kernel takes a set of memory nodes.
unsigned long only_node(unsigned node) {
  return 1ul << node;
}

void need_two_nodes() {
  if (!std::filesystem::exists("/sys/devices/system/node/node1")) {
    throw Lacks("there is one memory node only");
  }
}

constexpr unsigned long kMaxNode = 8 * sizeof(unsigned long);

void move_pages(Cell& cell) {
  const auto memory = cell.memory();
  need_two_nodes();
  std::vector<void*> pages;
  for (std::uint64_t at = 0; at < memory.size(); at += kPageBytes) pages.push_back(&memory[at]);
  const std::vector<int> nodes(pages.size(), static_cast<int>(cell.round() % 2));
  std::vector<int> status(pages.size());
  timed(cell, "move_pages", [&] {
    return ::syscall(SYS_move_pages, 0, pages.size(), pages.data(), nodes.data(), status.data(),
                     MPOL_MF_MOVE);
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

/// A knob of the kernel that has this value for as long as the object lives.
class Knob {
 public:
  Knob(std::string file, std::string_view value) : file_(std::move(file)) {
    if (!(std::ifstream(file_) >> before_)) throw Lacks(std::format("there is no {}", file_));
    std::ofstream(file_) << value;
  }
  Knob(const Knob&) = delete;
  Knob& operator=(const Knob&) = delete;
  ~Knob() { std::ofstream(file_) << before_; }

 private:
  std::string file_;
  std::string before_;
};

std::uint64_t number_in(const std::string& file) {
  std::uint64_t value = 0;
  std::ifstream(file) >> value;
  return value;
}

/// The kernel's own thread makes huge pages, when it comes by.
void let_khugepaged_work(Cell& cell) {
  constexpr auto kPatience = std::chrono::seconds(5);
  const std::string folder = "/sys/kernel/mm/transparent_hugepage/khugepaged/";
  const Knob often(folder + "scan_sleep_millisecs", "1");
  const Knob much(folder + "pages_to_scan", "4096");
  const std::uint64_t enough = number_in(folder + "full_scans") + 2;
  cell.timed([&] {
    return poll_until([&] { return number_in(folder + "full_scans") >= enough; }, after(kPatience));
  });
}

/// Somebody asks the cgroup of this process for as much memory as the range has.
void reclaim_of_cgroup(Cell& cell) {
  if (!has_swap()) throw Lacks("there is no swap");
  Cgroup group;
  group.enter();
  const auto memory = cell.memory();
  // What it pays for is what it gets from here on.
  if (::madvise(memory.data(), memory.size(), MADV_DONTNEED) != 0) fail(errno, "MADV_DONTNEED");
  if (!cell.stamped()) return;
  const std::string bytes = std::to_string(memory.size());
  // EAGAIN: it was not that much.
  const int error = cell.timed([&] { return group.set("memory.reclaim", bytes); });
  if (error && error != EAGAIN) fail_call(error, "memory.reclaim");
  if (!cell.stamped()) return;
}

/// The pool of hugetlbfs grows and shrinks.
void resize_pool(Cell& cell) {
  const std::string file = "/proc/sys/vm/nr_hugepages";
  const std::uint64_t pages = number_in(file);
  for (const std::uint64_t want : {pages + 4, pages}) {
    write_knob(cell, file.c_str(), std::to_string(want).c_str());
  }
}

/// Two mappings of a file in hugetlbfs have page tables in common, as long as both are whole: when
/// the one that the GPU reads is split, it gets its own.
void unshare_page_tables(Cell& cell) {
  constexpr std::uint64_t kTable = 1_GiB;
  const UniqueFd file(::memfd_create("figment-stress", MFD_CLOEXEC | MFD_HUGETLB));
  if (!file) throw Lacks("this kernel has no hugetlbfs");
  if (::ftruncate(file.get(), kTable) != 0) fail(errno, "ftruncate");
  // Each at a multiple of what a table maps. Nothing is reserved: there is not that much, and only
  // the first page is used.
  const auto reserve = [&] {
    void* at =
        ::mmap(nullptr, 2 * kTable, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) fail(errno, "mmap");
    return Mapping({static_cast<std::byte*>(at), 2 * kTable});
  };
  const auto map = [&](const Mapping& place) {
    const auto begin = reinterpret_cast<std::uintptr_t>(place.bytes().data());
    const auto whole = place.bytes().subspan(-begin % kTable, kTable);
    if (::mmap(whole.data(), kTable, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
               file.get(), 0) == MAP_FAILED) {
      throw Lacks("there is no page of hugetlbfs to be had");
    }
    return whole;
  };
  const Mapping elsewhere = reserve();
  const auto other = map(elsewhere).first(kHugePageBytes);
  const std::span<Word> words(reinterpret_cast<Word*>(other.data()), other.size() / sizeof(Word));
  std::ranges::fill(words, Word{1});
  Mapping place = reserve();
  const auto whole = map(place);
  const auto first = static_cast<std::uint64_t>(whole.data() - place.bytes().data());
  Companion companion(cell, std::move(place), first, kHugePageBytes);
  companion.bind();
  companion.check_read(1);
  std::byte* const half = whole.data() + kTable / 2;
  timed(cell, "MADV_DONTDUMP", [&] { return ::madvise(half, kTable / 2, MADV_DONTDUMP); });
  companion.check_read(1);
  std::ranges::fill(words, Word{2});
  companion.check_read(2);
}

/// What the GPU writes into a file is on the medium, and what it writes after the writeback gets
/// there with the next one.
void write_back(Cell& cell) {
  const auto memory = cell.memory();
  const UniqueFd medium(::open(cell.range().disk().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  if (!medium) fail(errno, cell.range().disk());
  const Mapping copy = anonymous_memory(memory.size());
  for (int time = 0; time < 2; ++time) {
    timed(cell, "msync", [&] { return ::msync(memory.data(), memory.size(), MS_SYNC); });
    if (::pread(medium.get(), copy.bytes().data(), memory.size(), 0) !=
        static_cast<ssize_t>(memory.size())) {
      fail(errno, "read of the disk");
    }
    cell.view().check_copy(copy.as<Word>());
    if (!cell.stamped()) return;
    cell.view().remember_completed();
  }
}

/// Memory errors are told by a signal, which whoever asks for one has to survive.
class MemoryErrors {
 public:
  MemoryErrors() {
    struct sigaction nothing = {};
    nothing.sa_handler = [](int) {};
    ::sigaction(SIGBUS, &nothing, &before_);
  }
  MemoryErrors(const MemoryErrors&) = delete;
  MemoryErrors& operator=(const MemoryErrors&) = delete;
  ~MemoryErrors() { ::sigaction(SIGBUS, &before_, nullptr); }

 private:
  struct sigaction before_ = {};
};

/// A page beside the range that the GPU reads is broken: its content is lost, and so is the job
/// that reads it.
void hard_offline(Cell& cell) {
  const bool huge = cell.config().pages.backing == Backing::hugetlb;
  const std::uint64_t bytes = huge ? kHugePageBytes : kPageBytes;
  Mapping place = anonymous_memory(bytes, bytes);
  if (huge && ::mmap(place.bytes().data(), bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0) == MAP_FAILED) {
    throw Lacks("there is no page of hugetlbfs to be had");
  }
  Companion companion(cell, std::move(place), 0, bytes);
  std::ranges::fill(companion.words(), Word{1});
  companion.bind();
  companion.check_read(1);
  const MemoryErrors survived;
  int error = 0;
  const int result = cell.timed([&] {
    const int value = ::madvise(companion.memory().data(), bytes, MADV_HWPOISON);
    error = errno;
    return value;
  });
  // EBUSY: somebody still has the page, which is true of a device that holds it.
  if (result != 0 && (cell.follows() || error != EBUSY)) fail_call(error, "MADV_HWPOISON");
  if (cell.follows()) companion.check_gone();
}

void bind_to_node(Cell& cell) {
  need_two_nodes();
  const auto memory = cell.memory();
  const unsigned long nodes = only_node(cell.round() % 2);
  timed(cell, "mbind", [&] {
    return ::syscall(SYS_mbind, memory.data(), memory.size(), MPOL_BIND, &nodes, kMaxNode,
                     MPOL_MF_MOVE);
  });
  ::syscall(SYS_mbind, memory.data(), memory.size(), MPOL_DEFAULT, nullptr, 0ul, 0);
}

void migrate_all_pages(Cell& cell) {
  need_two_nodes();
  // There and back: wherever a page is, one of them moves it.
  for (const unsigned node : {0u, 1u}) {
    const unsigned long from = only_node(node);
    const unsigned long to = only_node(1 - node);
    timed(cell, "migrate_pages",
          [&] { return ::syscall(SYS_migrate_pages, 0, kMaxNode, &from, &to); });
  }
}

constexpr Event kEvents[] = {
    {.name = "madv-dontneed",
     .numbers = "32",
     .what = "MADV_DONTNEED: zeros",
     .content = Content::zeroed,
     .run = dontneed,
     .pages = "4k partial thp thp-split thp-head thp-tail swapped memfd-private",
     .reaches = "zap_vma_range_batched"},
    {.name = "madv-dontneed-shared",
     .numbers = "32",
     .what = "MADV_DONTNEED of shared memory, whose content stays",
     .run = dontneed_of_a_file,
     .pages = "shmem memfd"},
    {.name = "madv-free",
     .numbers = "33",
     .what = "MADV_FREE, writes of both, and reclaim: nothing is lost",
     .run = free_and_write,
     .pages = "4k thp",
     .reaches = "madvise_free_single_vma try_to_unmap_one"},
    {.name = "madv-pageout",
     .numbers = "34, 36",
     .what = "MADV_PAGEOUT: to swap",
     .run = page_out,
     .pages = "4k thp shmem memfd-private",
     .reaches = "try_to_unmap_one",
     .passes_vram = true},
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
    {.name = "ksm-beside",
     .numbers = "44",
     .what = "KSM merges pages that the GPU reads, and they are written",
     .run = merge_companions,
     .share = 4,
     .reaches = "write_protect_page replace_page",
     .beside = true},
    {.name = "zero-huge",
     .numbers = "9, 32",
     .what = "the huge zero page that the GPU reads is written",
     .run = write_huge_zero_page,
     .reaches = "do_huge_zero_wp_pmd",
     .beside = true},
    {.name = "collapse-file",
     .numbers = "39, 41",
     .what = "MADV_COLLAPSE of a file: its pages become a huge one, and its entries one",
     .run = collapse_file,
     .pages = "memfd-huge",
     .reaches = "retract_page_tables try_collapse_pte_mapped_thp",
     .prepare = have_small_entries},
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
     .pages = "memfd hugetlb-file",
     .reaches = "zap_vma_range_batched hugetlb-file:unmap_hugepage_range",
     .quick_kinds = 2},
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
    {.name = "mbind",
     .numbers = "43",
     .what = "mbind() to another node",
     .run = bind_to_node,
     .reaches = "try_to_migrate_one",
     .passes_vram = true},
    {.name = "migrate-pages",
     .numbers = "43",
     .what = "migrate_pages() of the whole process",
     .run = migrate_all_pages,
     .share = 2,
     .reaches = "try_to_migrate_one",
     .passes_vram = true},
    {.name = "khugepaged",
     .numbers = "39",
     .what = "khugepaged comes by",
     .run = let_khugepaged_work,
     .pages = "thp-split",
     .share = 4},
    {.name = "memcg-reclaim",
     .numbers = "36",
     .what = "the cgroup of the process has to give memory back",
     .content = Content::zeroed,
     .run = reclaim_of_cgroup,
     .share = 2,
     .reaches = "try_to_unmap_one",
     .passes_vram = true},
    {.name = "hugetlb-pool",
     .numbers = "41",
     .what = "the pool of hugetlbfs grows and shrinks",
     .run = resize_pool,
     .pages = "hugetlb"},
    {.name = "hugetlb-unshare",
     .numbers = "41",
     .what = "page tables that two mappings have in common become two, beside the range",
     .run = unshare_page_tables,
     .pages = "hugetlb-file",
     .reaches = "hugetlb_unshare_pmds"},
    {.name = "msync",
     .numbers = "38",
     .what = "a file that the GPU writes is written back",
     .run = write_back,
     .pages = "disk-shared",
     .reaches = "page_vma_mkclean_one"},
    {.name = "hard-offline",
     .numbers = "52",
     .what = "a page that the GPU reads is broken, beside the range",
     .run = hard_offline,
     .pages = "4k hugetlb",
     .missing = Missing::in_process,
     .share = 10,
     .reaches = "try_to_unmap_one hugetlb:try_to_unmap_poisoned_hugetlb_one",
     .quick_kinds = 2},
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
