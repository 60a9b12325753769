// SPDX-License-Identifier: MIT
//
// Events of the fork family: somebody else gets a copy of the memory, or does not, or begins a life
// of its own in a way that must leave the memory alone.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "bystander.h"
#include "event_call.h"
#include "event_families.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);

/// Of a storm, which is done so many times less often than one child is made.
constexpr unsigned kChildren = 6;

constexpr const char* kProgram = "/bin/true";
char* const kArguments[] = {const_cast<char*>(kProgram), nullptr};
char* const kNoEnvironment[] = {nullptr};

void advise(Cell& cell, int advice, const char* name) {
  const auto memory = cell.memory();
  if (::madvise(memory.data(), memory.size(), advice) != 0) fail_call(errno, name);
}

void reap_program(Cell& cell, pid_t child) {
  cell.reap_child(child);
}

// --- copies -----------------------------------------------------------------

void parent_first(Cell& cell) {
  const pid_t child = cell.start_child([&] { return cell.child_life(false); });
  cell.parent_life(true);
  cell.reap_child(child);
}

void child_first(Cell& cell) {
  const pid_t child = cell.start_child([&] { return cell.child_life(true); });
  cell.parent_life(false);
  cell.reap_child(child);
}

void device_first(Cell& cell) {
  // Nobody writes but the GPU, which has had writable entries at fork().
  const pid_t child = cell.start_child([&] {
    if (cell.config().strategy.dontfork || cell.config().pages.shared()) {
      return cell.child_life(false);
    }
    cell.view().check_inherited();
    if (!cell.stamped()) return false;
    cell.view().check_frozen();
    return true;
  });
  cell.parent_life(false);
  cell.reap_child(child);
}

void then_exec(Cell& cell) {
  const pid_t child = cell.start_child([&] {
    if (!cell.child_life(true)) return false;
    ::execve(kProgram, kArguments, kNoEnvironment);
    return false;
  });
  cell.parent_life(true);
  cell.reap_child(child);
}

void storm(Cell& cell) {
  std::vector<pid_t> children;
  for (unsigned n = 0; n < kChildren; ++n) {
    children.push_back(cell.start_child([&cell, n] { return cell.child_life(n % 2); }));
    cell.view().write_marks(n * 16, n * 16 + 16);
  }
  cell.parent_life(false);
  for (const pid_t child : children) cell.reap_child(child);
}

void nested(Cell& cell) {
  const pid_t child = cell.start_child([&] {
    if (cell.config().strategy.dontfork || cell.config().pages.shared()) {
      return cell.child_life(false);
    }
    cell.view().check_inherited();
    cell.view().check_marks();
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      die_with_parent();
      cell.view().become(2);
      cell.view().write_marks(30, 60);
    }
    if (grandchild > 0) cell.view().write_marks(0, 50);
    for (int look = 0; look < 2; ++look) {
      if (!cell.stamped()) return false;
      cell.view().check_frozen();
      cell.view().check_marks();
    }
    return grandchild == 0 || (grandchild > 0 && !reap(grandchild, after(kStuck)));
  });
  cell.parent_life(true);
  cell.reap_child(child);
}

void by_two_threads(Cell& cell) {
  // Both at the same time, and neither waits for the other.
  std::array<pid_t, 2> children = {-1, -1};
  std::thread other([&] {
    children[0] = ::fork();
    if (children[0] == 0) ::_exit(0);
  });
  children[1] = cell.start_child([&] { return cell.child_life(false); });
  other.join();
  cell.parent_life(true);
  for (const pid_t child : children) {
    if (child < 0) throw std::runtime_error("fork failed in a thread");
    cell.reap_child(child);
  }
}

void during_bind(Cell& cell) {
  // The same memory is bound once more, and again, while fork() copies its page tables.
  std::atomic<bool> stop = false;
  std::atomic<int> binds = 0;
  std::thread binder([&] {
    try {
      for (; !stop; ++binds) Userptr second = cell.bind_elsewhere();
    } catch (const std::exception& error) {
      cell.shared().failure.set(error.what());
    }
  });
  while (binds == 0 && !cell.shared().failure) std::this_thread::yield();
  const pid_t child = cell.start_child([&] { return cell.child_life(false); });
  stop = true;
  binder.join();
  cell.parent_life(true);
  cell.reap_child(child);
}

void dofork(Cell& cell) {
  advise(cell, MADV_DONTFORK, "MADV_DONTFORK");
  // The strategy of that name is without the range whatever happens here.
  if (!cell.config().strategy.dontfork) advise(cell, MADV_DOFORK, "MADV_DOFORK");
  parent_first(cell);
}

void locked(Cell& cell) {
  const auto memory = cell.memory();
  if (::mlock(memory.data(), memory.size()) != 0) fail_call(errno, "mlock");
  parent_first(cell);
  if (::munlock(memory.data(), memory.size()) != 0) fail_call(errno, "munlock");
}

void reuse(Cell& cell) {
  // The page is the parent's alone again, and still write-protected, when it is written.
  const pid_t child = cell.start_child([&] { return cell.child_life(true); });
  cell.reap_child(child);
  cell.parent_life(true);
}

// --- no copies --------------------------------------------------------------

void with_vfork(Cell& cell) {
  const auto child = timed(cell, "vfork", [] {
    const pid_t pid = ::vfork();
    if (pid == 0) {
      ::execve(kProgram, kArguments, kNoEnvironment);
      ::_exit(1);
    }
    return pid;
  });
  reap_program(cell, child);
}

void with_posix_spawn(Cell& cell) {
  pid_t child = -1;
  timed(cell, "posix_spawn", [&] {
    errno = ::posix_spawn(&child, kProgram, nullptr, nullptr, kArguments, kNoEnvironment);
    return errno ? -1 : 0;
  });
  reap_program(cell, child);
}

int write_marks_of(void* cell) {
  static_cast<Cell*>(cell)->view().write_marks(20, 80);
  return 0;
}

void with_clone_vm(Cell& cell) {
  // A process that shares all memory: its marks are ours.
  alignas(16) static std::array<char, 256 * 1024> stack;
  const auto child = timed(cell, "clone(CLONE_VM)", [&] {
    return ::clone(write_marks_of, stack.data() + stack.size(), CLONE_VM | SIGCHLD, &cell);
  });
  reap_program(cell, child);
}

void dontfork(Cell& cell) {
  advise(cell, MADV_DONTFORK, "MADV_DONTFORK");
  const pid_t child = cell.start_child([&] {
    cell.view().check_absent();
    return true;
  });
  cell.parent_life(true);
  cell.reap_child(child);
  if (!cell.config().strategy.dontfork) advise(cell, MADV_DOFORK, "MADV_DOFORK");
}

void wipeonfork(Cell& cell) {
  advise(cell, MADV_WIPEONFORK, "MADV_WIPEONFORK");
  const pid_t child = cell.start_child([&] {
    View& view = cell.view();
    view.check_untouched(view.all());
    if (!cell.stamped()) return false;
    view.check_untouched(view.all());
    return true;
  });
  cell.parent_life(true);
  cell.reap_child(child);
  advise(cell, MADV_KEEPONFORK, "MADV_KEEPONFORK");
}

// --- processes that go away -------------------------------------------------

/// A process with a GPU, a range and jobs of its own, which `life` ends.
pid_t start_victim(Cell& cell, WorkerShared& shared, const std::function<void(Cell&)>& life) {
  const pid_t victim = ::fork();
  if (victim < 0) throw std::runtime_error("fork failed");
  if (victim > 0) return victim;
  die_with_parent();
  try {
    Cell own(cell.config(), shared);
    own.keep_busy();
    life(own);
  } catch (const std::exception& error) {
    cell.shared().failure.set(error.what());
  } catch (const Refused&) {
    cell.shared().failure.set("a second process is refused");
  }
  ::_exit(1);
}

void exit_with_jobs(Cell& cell) {
  SharedObject<WorkerShared> shared;
  const pid_t victim = start_victim(cell, *shared, [](Cell& own) {
    own.view().write_marks();
    ::_exit(0);
  });
  cell.reap_child(victim);
  // Its pages are somebody else's by now, maybe ours.
  Bystander next(cell.memory().size());
  if (!cell.stamped()) return;
  cell.count_harm(next.wrong(), "in memory that was another process's");
}

void exec_with_jobs(Cell& cell) {
  SharedObject<WorkerShared> shared;
  const pid_t victim =
      start_victim(cell, *shared, [](Cell&) { ::execve(kProgram, kArguments, kNoEnvironment); });
  cell.reap_child(victim);
  Bystander next(cell.memory().size());
  if (!cell.stamped()) return;
  cell.count_harm(next.wrong(), "in memory that was another process's");
}

void reaped_with_jobs(Cell& cell) {
  // What the OOM reaper does: the memory goes while the process is still dying, by notifiers that
  // must not block.
  SharedObject<WorkerShared> shared;
  SharedObject<std::atomic<bool>> ready;
  const pid_t victim = start_victim(cell, *shared, [&](Cell& own) {
    own.view().write_marks();
    *ready = true;
    for (;;) ::pause();
  });
  const bool begun = poll_until(
      [&] { return *ready || cell.shared().failure || has_ended(victim); }, after(kStuck));
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, victim, 0)));
  ::kill(victim, SIGKILL);
  cell.timed([&] { return ::syscall(SYS_process_mrelease, pidfd.get(), 0); });
  std::ignore = exit_status(victim, after(kStuck));
  if (!begun || !*ready) throw std::runtime_error("the process to be killed did not begin");
  const Bystander next(cell.memory().size());
  if (!cell.stamped()) return;
  cell.count_harm(next.wrong(), "in memory that was another process's");
}

void parent_dies_first(Cell& cell) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  SharedObject<WorkerShared> shared;
  SharedObject<std::atomic<pid_t>> orphan;
  const pid_t victim = start_victim(cell, *shared, [&](Cell& own) {
    own.view().remember_completed();
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
      View& view = own.view();
      view.remember_submitted();
      ::prctl(PR_SET_PDEATHSIG, 0);
      view.become(1);
      view.check_inherited();
      view.write_marks(0, 50);
      bool good = poll_until([&] { return ::getppid() != parent; }, after(kStuck));
      for (int look = 0; look < 3; ++look) {
        view.check_frozen();
        view.check_marks();
        view.write_marks(50, 100);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      ::_exit(good ? 0 : 1);
    }
    *orphan = child;
    own.view().write_marks();
    ::_exit(child > 0 ? 0 : 1);
  });
  cell.reap_child(victim);
  cell.reap_child(*orphan);
  cell.shared().gpu_words += shared->gpu_words;
  cell.shared().corrupt_words += shared->corrupt_words;
  if (shared->corruption) cell.shared().corruption.set(shared->corruption.get());
}

constexpr Event kEvents[] = {
    {.name = "fork",
     .numbers = "1, 3, 4, 5, 6, 9, 18",
     .what = "fork(), and the parent writes first",
     .content = Content::copied,
     .run = parent_first,
     .pages = "4k partial thp thp-split thp-head thp-tail hugetlb swapped ksm zero shmem memfd "
              "memfd-private file-private file-shared"},
    {.name = "fork-child",
     .numbers = "2, 4",
     .what = "fork(), and the child writes first",
     .content = Content::copied,
     .run = child_first,
     .pages = "4k thp swapped"},
    {.name = "fork-device",
     .numbers = "3",
     .what = "fork(), and nobody writes but the GPU",
     .content = Content::copied,
     .run = device_first,
     .pages = "4k thp"},
    {.name = "fork-exec",
     .numbers = "12",
     .what = "fork(), and the child becomes another program",
     .content = Content::copied,
     .run = then_exec},
    {.name = "fork-storm",
     .numbers = "11",
     .what = "six children at the same time, and the parent writes between",
     .content = Content::copied,
     .run = storm,
     .share = kChildren},
    {.name = "fork-nested",
     .numbers = "11",
     .what = "the child forks as well",
     .content = Content::copied,
     .run = nested},
    {.name = "fork-threads",
     .numbers = "11",
     .what = "two threads fork at the same time",
     .content = Content::copied,
     .run = by_two_threads},
    {.name = "fork-bind",
     .numbers = "10",
     .what = "fork() while the same memory is being bound",
     .content = Content::copied,
     .run = during_bind},
    {.name = "fork-dofork",
     .numbers = "13",
     .what = "MADV_DONTFORK, MADV_DOFORK, fork()",
     .content = Content::copied,
     .run = dofork},
    {.name = "fork-mlocked",
     .numbers = "14",
     .what = "fork() of locked memory",
     .content = Content::copied,
     .run = locked},
    {.name = "fork-reuse",
     .numbers = "17",
     .what = "the child has gone before the parent writes",
     .content = Content::copied,
     .run = reuse},
    {.name = "vfork", .numbers = "12", .what = "vfork() and exec", .run = with_vfork},
    {.name = "posix-spawn", .numbers = "12", .what = "posix_spawn()", .run = with_posix_spawn},
    {.name = "clone-vm",
     .numbers = "12",
     .what = "a process in the same memory writes there",
     .run = with_clone_vm},
    {.name = "dontfork",
     .numbers = "13",
     .what = "fork() under MADV_DONTFORK",
     .run = dontfork,
     .pages = "4k thp"},
    {.name = "wipeonfork",
     .numbers = "14",
     .what = "fork() under MADV_WIPEONFORK: the child has zeros",
     .run = wipeonfork},
    {.name = "exit-busy",
     .numbers = "25",
     .what = "a process ends with jobs in flight",
     .run = exit_with_jobs,
     .share = 2},
    {.name = "exec-busy",
     .numbers = "25",
     .what = "a process with jobs in flight becomes another program",
     .run = exec_with_jobs,
     .share = 2},
    {.name = "mrelease-busy",
     .numbers = "26",
     .what = "a process with jobs in flight is killed, and its memory reaped",
     .run = reaped_with_jobs,
     .share = 2},
    {.name = "parent-dies-first",
     .numbers = "16",
     .what = "the child outlives the process with the GPU",
     .run = parent_dies_first,
     .share = 2},
};

}  // namespace

std::span<const Event> fork_events() {
  return kEvents;
}

}  // namespace figment::stress
