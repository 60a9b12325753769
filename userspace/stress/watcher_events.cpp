// SPDX-License-Identifier: MIT
//
// Events in which somebody else has an eye on the memory, or a hand in it: userfaultfd, soft-dirty
// bits, debuggers, and other ways to its pages.
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "event_call.h"
#include "event_families.h"

namespace figment::stress {
namespace {

void clear_soft_dirty(Cell& cell) {
  const UniqueFd knob(::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
  if (!knob) throw Lacks("there is no /proc/self/clear_refs");
  timed(cell, "clear_refs", [&] { return ::write(knob.get(), "4", 1); });
}

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

constexpr Event kEvents[] = {
    {.name = "soft-dirty",
     .numbers = "51",
     .what = "soft-dirty bits are cleared",
     .run = clear_soft_dirty,
     .pages = "4k thp"},
    {.name = "proc-mem",
     .numbers = "54",
     .what = "marks are written through /proc/self/mem",
     .run = poke,
     .pages = "4k zero"},
    {.name = "process-vm-writev",
     .numbers = "53",
     .what = "marks are written by process_vm_writev()",
     .run = write_by_process_vm},
};

}  // namespace

std::span<const Event> watcher_events() {
  return kEvents;
}

}  // namespace figment::stress
