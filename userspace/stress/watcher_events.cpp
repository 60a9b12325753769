// SPDX-License-Identifier: MIT
//
// Events in which somebody else has an eye on the memory, or a hand in it: userfaultfd, soft-dirty
// bits, debuggers, and other ways to its pages.
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <ranges>
#include <tuple>
#include <vector>

#include "companion.h"
#include "event_call.h"
#include "event_families.h"
#include "process.h"
#include "swap.h"
#include "user_faults.h"

namespace figment::stress {
namespace {

// --- who has written --------------------------------------------------------

/// What the GPU writes is told to whoever asks for pages that were written. Not by a device that
/// holds its pages, and not in VRAM: there is no way to tell the kernel that a page of it was
/// written, which has no entry with such a bit.
bool tells_writes(const Cell& cell) {
  return cell.follows() && !cell.config().strategy.vram;
}

UniqueFd pagemap() {
  UniqueFd file(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!file) throw Lacks("there is no /proc/self/pagemap");
  return file;
}

/// Of every `spacing`-th page.
std::uint64_t soft_dirty_pages(std::span<std::byte> memory, std::uint32_t spacing = 1) {
  const UniqueFd file = pagemap();
  std::vector<std::uint64_t> entries(memory.size() / kPageBytes);
  const auto at = reinterpret_cast<std::uintptr_t>(memory.data()) / kPageBytes * sizeof(entries[0]);
  const auto bytes = static_cast<ssize_t>(entries.size() * sizeof(entries[0]));
  if (::pread(file.get(), entries.data(), static_cast<std::size_t>(bytes),
              static_cast<off_t>(at)) != bytes) {
    fail(errno, "read of /proc/self/pagemap");
  }
  return static_cast<std::uint64_t>(std::ranges::count_if(
      entries | std::views::stride(spacing), [](std::uint64_t entry) { return entry >> 55 & 1; }));
}

void clear_soft_dirty(Cell& cell) {
  const Mapping written = anonymous_memory(kPageBytes);
  written.bytes()[0] = std::byte{1};
  if (soft_dirty_pages(written.bytes()) == 0) throw Lacks("this kernel has no soft-dirty bits");
  const UniqueFd knob(::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
  if (!knob) throw Lacks("there is no /proc/self/clear_refs");
  timed(cell, "clear_refs", [&] { return ::write(knob.get(), "4", 1); });
  // What the GPU writes is dirty as well; a device that holds its pages writes behind the back of
  // everybody.
  if (!cell.stamped() || !cell.busy()) return;
  const std::uint64_t pages = cell.view().all().count;
  const std::uint64_t dirty = soft_dirty_pages(cell.memory(), cell.range().kind().spacing);
  if (tells_writes(cell)) {
    cell.count_harm(pages - dirty, "that the GPU wrote are not soft-dirty: pages");
  }
}

/// Judged pages that were written since they were write-protected, and write-protects all again.
std::uint64_t take_written(Cell& cell) {
  static const UniqueFd file = pagemap();
  const auto memory = cell.memory();
  std::vector<page_region> regions(memory.size() / kPageBytes);
  pm_scan_arg scan = {.size = sizeof(scan),
                      .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
                      .start = reinterpret_cast<std::uint64_t>(memory.data()),
                      .end = reinterpret_cast<std::uint64_t>(memory.data() + memory.size()),
                      .vec = reinterpret_cast<std::uint64_t>(regions.data()),
                      .vec_len = regions.size(),
                      .category_mask = PAGE_IS_WRITTEN,
                      .return_mask = PAGE_IS_WRITTEN};
  const auto count = static_cast<std::size_t>(
      timed(cell, "PAGEMAP_SCAN", [&] { return ::ioctl(file.get(), PAGEMAP_SCAN, &scan); }));
  const std::uint64_t from_page_to_page = cell.range().kind().spacing * kPageBytes;
  const auto pages_before = [&](std::uint64_t address) {
    return (address - scan.start + from_page_to_page - 1) / from_page_to_page;
  };
  std::uint64_t pages = 0;
  for (const page_region& region : std::span(regions).first(count)) {
    pages += pages_before(region.end) - pages_before(region.start);
  }
  return pages;
}

void scan_written(Cell& cell) {
  UserFaults faults(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
  faults.watch(cell.memory(), UFFDIO_REGISTER_MODE_WP);
  take_written(cell);
  if (!cell.stamped() || !cell.busy()) return;
  const std::uint64_t pages = cell.view().all().count;
  const std::uint64_t written = take_written(cell);
  if (tells_writes(cell)) {
    cell.count_harm(pages - written, "that the GPU wrote are not told: pages");
  }
}

// --- breakpoints ----------------------------------------------------------

constexpr std::byte kNop{0x90};
constexpr std::byte kBreakpoint{0xcc};

/// A breakpoint at a place in a file, in the memory of this process, for as long as the object
/// lives.
class Breakpoint {
 public:
  Breakpoint(const std::string& file, std::uint64_t offset) {
    unsigned type = 0;
    if (!(std::ifstream("/sys/bus/event_source/devices/uprobe/type") >> type)) {
      throw Lacks("this kernel has no uprobes");
    }
    perf_event_attr probe = {};
    probe.type = type;
    probe.size = sizeof(probe);
    probe.uprobe_path = reinterpret_cast<std::uintptr_t>(file.c_str());
    probe.probe_offset = offset;
    fd_ = UniqueFd(
        static_cast<int>(::syscall(SYS_perf_event_open, &probe, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
    if (!fd_) fail(errno, "perf_event_open of a uprobe");
  }

 private:
  UniqueFd fd_;
};

/// A program that the GPU reads, as data, gets a breakpoint and loses it.
void set_breakpoint(Cell& cell) {
  constexpr std::uint64_t kBytes = 4 * kPageBytes;
  const UniqueFd file(::memfd_create("figment-stress", MFD_CLOEXEC));
  const std::vector<std::byte> program(kBytes, kNop);
  if (!file || ::write(file.get(), program.data(), kBytes) != kBytes) fail(errno, "memfd_create");
  void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, file.get(), 0);
  if (at == MAP_FAILED) fail(errno, "mmap of a program");
  Companion companion(cell, Mapping({static_cast<std::byte*>(at), kBytes}), 0, kBytes);
  companion.bind();
  companion.check_read();
  const std::uint64_t offset = companion.first_read() * sizeof(Word);
  const auto* place = static_cast<const volatile std::byte*>(at) + offset;
  std::optional<Breakpoint> breakpoint;
  cell.timed([&] {
    breakpoint.emplace(std::format("/proc/self/fd/{}", file.get()), offset);
    return 0;
  });
  if (*place != kBreakpoint) throw std::runtime_error("there is no breakpoint");
  // Who holds the page of the file has no part in a copy of it.
  if (cell.follows()) companion.check_read();
  cell.timed([&] {
    breakpoint.reset();
    return 0;
  });
  if (*place != kNop) throw std::runtime_error("the breakpoint is still there");
  if (cell.follows()) companion.check_read();
}

// --- userfaultfd ------------------------------------------------------------

void touch(std::span<std::byte> memory) {
  for (std::uint64_t at = 0; at < memory.size(); at += kPageBytes) {
    std::ignore = *static_cast<volatile std::byte*>(&memory[at]);
  }
}

void missing_pages(Cell& cell) {
  UserFaults faults;
  const auto memory = cell.memory();
  faults.watch(memory, UFFDIO_REGISTER_MODE_MISSING);
  faults.answer();
  timed(cell, "MADV_DONTNEED",
        [&] { return ::madvise(memory.data(), memory.size(), MADV_DONTNEED); });
  if (!cell.stamped()) return;
  touch(memory);
}

void protected_pages(Cell& cell) {
  UserFaults faults(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
  const auto memory = cell.memory();
  faults.watch(memory, UFFDIO_REGISTER_MODE_WP);
  faults.answer();
  cell.timed([&] {
    faults.write_protect(memory, true);
    return 0;
  });
  if (!cell.stamped()) return;
  cell.view().write_marks();
}

/// The file has the pages, and whoever wants one has to ask.
void minor_faults(Cell& cell) {
  UserFaults faults(UFFD_FEATURE_MINOR_SHMEM);
  const auto memory = cell.memory();
  faults.watch(memory, UFFDIO_REGISTER_MODE_MINOR);
  faults.answer();
  timed(cell, "MADV_DONTNEED",
        [&] { return ::madvise(memory.data(), memory.size(), MADV_DONTNEED); });
  if (!cell.stamped()) return;
  touch(memory);
}

/// False: the kernel does not move a page that somebody holds, and says EFAULT of one in VRAM.
bool move_page(const UserFaults& faults, std::byte* to, std::byte* from) {
  for (;;) {
    uffdio_move move = {.dst = reinterpret_cast<std::uint64_t>(to),
                        .src = reinterpret_cast<std::uint64_t>(from),
                        .len = kPageBytes,
                        .mode = 0};
    if (::ioctl(faults.fd(), UFFDIO_MOVE, &move) == 0) return true;
    if (errno == EBUSY || errno == EFAULT) return false;
    if (errno != EAGAIN) fail_call(errno, "UFFDIO_MOVE");
  }
}

void moved_pages(Cell& cell) {
  // Who wants a page that is away waits until it is back.
  UserFaults faults(UFFD_FEATURE_MOVE);
  const auto memory = cell.memory();
  const Mapping place = anonymous_memory(memory.size());
  faults.watch(memory, UFFDIO_REGISTER_MODE_MISSING);
  faults.watch(place.bytes(), UFFDIO_REGISTER_MODE_MISSING);
  std::vector<std::uint64_t> away;
  cell.timed([&] {
    for (std::uint64_t at = 0; at < memory.size(); at += kPageBytes) {
      if (move_page(faults, &place.bytes()[at], &memory[at])) away.push_back(at);
    }
    return 0;
  });
  for (const std::uint64_t at : away) {
    if (!move_page(faults, &memory[at], &place.bytes()[at])) {
      throw std::runtime_error("a page that nobody holds was not moved back");
    }
  }
}

/// The same of a whole huge page at a time, where the kernel can: else of its pages.
void moved_huge_page(Cell& cell) {
  UserFaults faults(UFFD_FEATURE_MOVE);
  const auto area = cell.range().area();
  const Mapping place = anonymous_memory(area.size(), kHugePageBytes);
  faults.watch(area, UFFDIO_REGISTER_MODE_MISSING);
  faults.watch(place.bytes(), UFFDIO_REGISTER_MODE_MISSING);
  const auto move = [&](std::byte* to, std::byte* from) {
    for (;;) {
      uffdio_move what = {.dst = reinterpret_cast<std::uint64_t>(to),
                          .src = reinterpret_cast<std::uint64_t>(from),
                          .len = area.size(),
                          .mode = UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES};
      if (::ioctl(faults.fd(), UFFDIO_MOVE, &what) == 0) return true;
      // ENOENT, EFAULT: of a page in VRAM, which the kernel does not know how to move.
      const bool in_vram = cell.config().strategy.vram && (errno == ENOENT || errno == EFAULT);
      if (errno == EBUSY || in_vram) return false;
      if (errno != EAGAIN) fail_call(errno, "UFFDIO_MOVE");
      if (what.move > 0) throw std::runtime_error("a part of a huge page was moved");
    }
  };
  const bool away = cell.timed([&] { return move(place.bytes().data(), area.data()); });
  if (away && !move(area.data(), place.bytes().data())) {
    throw std::runtime_error("a page that nobody holds was not moved back");
  }
}

// --- other ways to the pages ------------------------------------------------

/// A write that goes around the page tables of this process.
void poke(Cell& cell) {
  const UniqueFd memory(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  if (!memory) fail_call(errno, "open of /proc/self/mem");
  cell.view().write_marks_by([&](Word* at, std::span<const Word> marks) {
    timed(cell, "write of /proc/self/mem", [&] {
      return ::pwrite(memory.get(), marks.data(), marks.size_bytes(), reinterpret_cast<off_t>(at));
    });
  });
}

void write_by_process_vm(Cell& cell) {
  cell.view().write_marks_by([&](Word* at, std::span<const Word> marks) {
    const iovec from = {const_cast<Word*>(marks.data()), marks.size_bytes()};
    const iovec to = {at, marks.size_bytes()};
    timed(cell, "process_vm_writev",
          [&] { return ::process_vm_writev(::getpid(), &from, 1, &to, 1, 0); });
  });
}

/// A debugger writes, into memory that the process itself may only read.
void poke_by_debugger(Cell& cell) {
  std::vector<std::pair<Word*, Word>> pokes;
  cell.view().write_marks_by([&](Word* at, std::span<const Word> marks) {
    for (const Word mark : marks) pokes.emplace_back(at++, mark);
  });
  const auto memory = cell.memory();
  if (::mprotect(memory.data(), memory.size(), PROT_READ) != 0) fail(errno, "mprotect");
  const pid_t debuggee = ::getpid();
  const pid_t debugger = ::fork();
  if (debugger == 0) {
    int status = 0;
    bool good = ::ptrace(PTRACE_ATTACH, debuggee, nullptr, nullptr) == 0 &&
                ::waitpid(debuggee, &status, __WALL) == debuggee;
    for (const auto& [at, mark] : pokes) {
      good = good && ::ptrace(PTRACE_POKEDATA, debuggee, at, mark) == 0;
    }
    good = ::ptrace(PTRACE_DETACH, debuggee, nullptr, nullptr) == 0 && good;
    ::_exit(good ? 0 : 1);
  }
  cell.timed([&] {
    cell.reap_child(debugger);
    return 0;
  });
  if (::mprotect(memory.data(), memory.size(), PROT_READ | PROT_WRITE) != 0) {
    fail(errno, "mprotect");
  }
}

/// A block device of zeros, for direct reads.
struct Zeros {
  explicit Zeros(std::uint64_t bytes)
      : disk(bytes), file(::open(disk.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)) {
    if (!file) fail(errno, disk.path());
  }
  ScratchDisk disk;
  UniqueFd file;
};

void read_directly(Cell& cell) {
  const auto memory = cell.memory();
  const Zeros zeros(memory.size());
  timed(cell, "direct read",
        [&] { return ::pread(zeros.file.get(), memory.data(), memory.size(), 0); });
}

void write_directly(Cell& cell) {
  // What is written may be torn between two stamps; the pages are held while they are.
  const auto memory = cell.memory();
  const Zeros zeros(memory.size());
  timed(cell, "direct write",
        [&] { return ::pwrite(zeros.file.get(), memory.data(), memory.size(), 0); });
}

void splice(Cell& cell) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno, "pipe");
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  const iovec pages = {cell.memory().data(), 8 * kPageBytes};
  timed(cell, "vmsplice", [&] { return ::vmsplice(in.get(), &pages, 1, 0); });
  // The pipe has the pages for as long as this takes.
  cell.view().write_marks();
  if (!cell.stamped()) return;
}

/// The range as fixed buffers of an io_uring, pinned for as long as the object lives.
class FixedBuffers {
 public:
  explicit FixedBuffers(Cell& cell) {
    io_uring_params parameters = {};
    ring_ = UniqueFd(static_cast<int>(::syscall(SYS_io_uring_setup, 4, &parameters)));
    if (!ring_) throw Lacks("this kernel has no io_uring");
    const iovec all = {cell.memory().data(), cell.memory().size()};
    timed(cell, "IORING_REGISTER_BUFFERS", [&] {
      return ::syscall(SYS_io_uring_register, ring_.get(), IORING_REGISTER_BUFFERS, &all, 1);
    });
  }
  FixedBuffers(const FixedBuffers&) = delete;
  FixedBuffers& operator=(const FixedBuffers&) = delete;
  // Closing the ring lets go of the pages some time later; until then they do not go to VRAM.
  ~FixedBuffers() {
    std::ignore =
        ::syscall(SYS_io_uring_register, ring_.get(), IORING_UNREGISTER_BUFFERS, nullptr, 0);
  }

 private:
  UniqueFd ring_;
};

void fixed_buffers(Cell& cell) {
  const FixedBuffers buffers(cell);
  cell.view().write_marks();
  if (!cell.stamped()) return;
}

void fork_with_fixed_buffers(Cell& cell) {
  const FixedBuffers buffers(cell);
  const pid_t child = cell.start_child([&] { return cell.child_life(false); });
  cell.parent_life(true);
  cell.reap_child(child);
}

constexpr Event kEvents[] = {
    {.name = "soft-dirty",
     .numbers = "51",
     .what = "soft-dirty bits are cleared; what the GPU writes is dirty again",
     .run = clear_soft_dirty,
     .pages = "4k thp memfd",
     .reaches = "clear_refs_write"},
    {.name = "pagemap-scan",
     .numbers = "51",
     .what = "PAGEMAP_SCAN write-protects; what the GPU writes is told",
     .run = scan_written,
     .pages = "4k thp",
     .reaches = "do_pagemap_scan"},
    {.name = "uffd-missing",
     .numbers = "50",
     .what = "pages are missing, and a thread provides them",
     .content = Content::zeroed,
     .run = missing_pages},
    {.name = "uprobe",
     .numbers = "51",
     .what = "a breakpoint comes and goes in a program that the GPU reads, beside the range",
     .run = set_breakpoint,
     .reaches = "uprobe_write"},
    {.name = "uffd-minor",
     .numbers = "50",
     .what = "pages of a file are there, and a thread has to say so",
     .run = minor_faults,
     .pages = "memfd"},
    {.name = "uffd-wp",
     .numbers = "50",
     .what = "pages are write-protected, and a thread allows the write",
     .run = protected_pages,
     .pages = "4k thp memfd"},
    {.name = "uffd-move",
     .numbers = "50",
     .what = "UFFDIO_MOVE takes pages away and puts them back",
     .run = moved_pages,
     .pages = "4k thp",
     .reaches = "move_pages_ptes"},
    {.name = "uffd-move-huge",
     .numbers = "50",
     .what = "UFFDIO_MOVE takes a huge page away as a whole, and puts it back",
     .run = moved_huge_page,
     .pages = "thp",
     .reaches = "move_pages_huge_pmd",
     .passes_vram = true},
    {.name = "proc-mem",
     .numbers = "54",
     .what = "marks are written through /proc/self/mem",
     .run = poke,
     .pages = "4k zero"},
    {.name = "process-vm-writev",
     .numbers = "53",
     .what = "marks are written by process_vm_writev()",
     .run = write_by_process_vm},
    {.name = "ptrace-poke",
     .numbers = "54",
     .what = "a debugger writes marks into memory that may only be read",
     .run = poke_by_debugger,
     .missing = Missing::in_process,
     .share = 2},
    {.name = "direct-read",
     .numbers = "53",
     .what = "zeros are read from a device with O_DIRECT",
     .content = Content::overwritten,
     .run = read_directly,
     .pages = "4k thp"},
    {.name = "direct-write",
     .numbers = "53",
     .what = "the range is written to a device with O_DIRECT",
     .run = write_directly},
    {.name = "vmsplice", .numbers = "53", .what = "a pipe holds pages", .run = splice},
    {.name = "io-uring-buffers",
     .numbers = "53",
     .what = "the range is pinned as a fixed buffer of an io_uring",
     .run = fixed_buffers,
     .pages = "4k thp"},
    {.name = "fork-pinned",
     .numbers = "7",
     .what = "fork() of pages that an io_uring has pinned: they are copied at once",
     .content = Content::copied,
     .run = fork_with_fixed_buffers,
     .harmless = true,
     .reaches = "copy_page_range"},
};

}  // namespace

std::span<const Event> watcher_events() {
  return kEvents;
}

}  // namespace figment::stress
