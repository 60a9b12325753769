// SPDX-License-Identifier: MIT
//
// Events of the fork family: somebody else gets a copy of the memory, or does not, or begins a life
// of its own in a way that must leave the memory alone.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "bystander.h"
#include "cgroup.h"
#include "companion.h"
#include "event_call.h"
#include "event_families.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);

/// Of a storm, which is done so many times less often than one child is made.
constexpr unsigned kChildren = 6;

/// Of a process that is killed with jobs in flight: longer than it takes to reap it.
constexpr auto kLongJob = std::chrono::milliseconds(100);

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

void two_children(Cell& cell) {
  // The parent copies every page: both others have it, and go on sharing it.
  std::array<pid_t, 2> children;
  for (pid_t& child : children) {
    child = cell.start_child([&] { return cell.child_life(false); });
  }
  cell.parent_life(true);
  for (const pid_t child : children) cell.reap_child(child);
}

/// A job cannot begin before the pages that it writes are the parent's own. Those that it only
/// reads are shared while it runs, and unshared when the parent writes.
void written_beside(Cell& cell) {
  Mapping place = anonymous_memory(kHugePageBytes, kHugePageBytes);
  if (::mmap(place.bytes().data(), kHugePageBytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0) == MAP_FAILED) {
    throw Lacks("there is no page of hugetlbfs to be had");
  }
  Companion companion(cell, std::move(place), 0, kHugePageBytes);
  std::ranges::fill(companion.words(), Word{1});
  companion.bind();
  companion.check_read(1);
  const pid_t child = cell.start_child([&] {
    const bool good = cell.child_life(false);
    return std::ranges::count(companion.words(), Word{1}) == std::ssize(companion.words()) && good;
  });
  if (!cell.stamped()) return;
  companion.check_read(1);
  std::ranges::fill(companion.words(), Word{2});
  companion.check_read(2);
  cell.parent_life(true);
  cell.reap_child(child);
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

/// fork() into another cgroup: the copies are at the expense of somebody else.
void into_cgroup(Cell& cell) {
  Cgroup group;
  const pid_t child =
      cell.start_child([&] { return cell.child_life(true); },
                       [&]() -> pid_t {
                         clone_args how = {};
                         how.flags = CLONE_INTO_CGROUP;
                         how.exit_signal = SIGCHLD;
                         how.cgroup = static_cast<std::uint64_t>(group.fd());
                         return static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof(how)));
                       });
  cell.parent_life(true);
  cell.reap_child(child);
}

/// The child has the file of the device, and has the GPU read the memory of its parent.
void child_submits(Cell& cell) {
  const auto reader = cell.another_reader();
  View parents = cell.view();
  const pid_t child = cell.start_child([&] {
    const bool copied = !cell.config().strategy.dontfork && !cell.config().pages.shared();
    if (copied) cell.view().write_marks(0, 50);
    for (int look = 0; look < 3; ++look) {
      reader->begin();
      const auto read = reader->finish();
      if (!read) return false;
      parents.check_read(*read);
    }
    return cell.child_life(true);
  });
  // Its marks stay as they are while the child has them read.
  cell.parent_life(false);
  cell.reap_child(child);
  cell.parent_life(true);
}

/// Signals to every thread of this process, in turn, for as long as the object lives.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction nothing = {};
    nothing.sa_handler = [](int) {};
    nothing.sa_flags = SA_RESTART;
    // It stays: a signal may still be on its way when nobody sends any more.
    ::sigaction(SIGUSR1, &nothing, nullptr);
    thread_ = std::thread([this] {
      const pid_t self = ::gettid();
      while (!stop_) {
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
          const pid_t thread = std::stoi(task.path().filename());
          if (thread != self) ::syscall(SYS_tgkill, ::getpid(), thread, SIGUSR1);
        }
        std::this_thread::sleep_for(kBetween);
      }
    });
  }
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;
  ~SignalStorm() {
    stop_ = true;
    thread_.join();
  }

 private:
  /// More often, and an emulated processor does nothing else.
  static constexpr auto kBetween = std::chrono::milliseconds(1);

  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

void under_signals(Cell& cell) {
  const SignalStorm storm;
  parent_first(cell);
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
pid_t start_victim(Cell& cell, WorkerShared& shared, const std::function<void(Cell&)>& life,
                   std::chrono::microseconds job_time = {}) {
  const pid_t victim = ::fork();
  if (victim < 0) throw std::runtime_error("fork failed");
  if (victim > 0) return victim;
  die_with_parent();
  try {
    CellConfig config = cell.config();
    if (job_time.count()) config.job_time = job_time;
    Cell own(config, shared);
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
  // must not block. A debugger has it stop at the door, with all of its memory, and its jobs are
  // long enough to be there still when it is reaped.
  SharedObject<WorkerShared> shared;
  SharedObject<std::atomic<bool>> ready;
  const pid_t victim = start_victim(
      cell, *shared,
      [&](Cell& own) {
        own.view().write_marks();
        const auto& queue = shared->progress[0];
        const Sequence begun = queue.submitted;
        std::ignore = poll_until([&] { return queue.submitted > begun; }, after(kStuck));
        *ready = true;
        for (;;) ::pause();
      },
      kLongJob);
  const bool begun = poll_until(
      [&] { return *ready || cell.shared().failure || has_ended(victim); }, after(kStuck));
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, victim, 0)));
  const bool traced =
      ::ptrace(PTRACE_SEIZE, victim, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) == 0;
  ::kill(victim, SIGKILL);
  siginfo_t at_the_door = {};
  if (traced) {
    ::waitid(P_PID, static_cast<id_t>(victim), &at_the_door, WSTOPPED | WEXITED | WNOWAIT);
  }
  cell.timed([&] { return ::syscall(SYS_process_mrelease, pidfd.get(), 0); });
  if (traced) ::ptrace(PTRACE_DETACH, victim, nullptr, nullptr);
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
     .pages = "4k partial thp thp-split thp-head thp-tail hugetlb hugetlb-file swapped ksm zero "
              "shmem memfd memfd-huge memfd-private file-private file-shared disk-shared",
     // Of shared memory fork() copies no entries, of which there would be a notifier.
     .reaches = "4k:copy_page_range thp:copy_page_range hugetlb:copy_hugetlb_page_range"},
    {.name = "fork-child",
     .numbers = "2, 4",
     .what = "fork(), and the child writes first",
     .content = Content::copied,
     .run = child_first,
     // Not of hugetlbfs: the first write of a child copies all of the page, and nothing is shared.
     .pages = "4k thp swapped",
     .reaches = "copy_page_range"},
    {.name = "fork-device",
     .numbers = "3",
     .what = "fork(), and nobody writes but the GPU",
     .content = Content::copied,
     .run = device_first,
     .pages = "4k thp",
     .reaches = "copy_page_range"},
    {.name = "fork-exec",
     .numbers = "12",
     .what = "fork(), and the child becomes another program",
     .content = Content::copied,
     .run = then_exec,
     .reaches = "copy_page_range"},
    {.name = "fork-storm",
     .numbers = "11",
     .what = "six children at the same time, and the parent writes between",
     .content = Content::copied,
     .run = storm,
     .share = kChildren,
     .reaches = "copy_page_range"},
    {.name = "fork-nested",
     .numbers = "11",
     .what = "the child forks as well",
     .content = Content::copied,
     .run = nested,
     .reaches = "copy_page_range"},
    {.name = "fork-threads",
     .numbers = "11",
     .what = "two threads fork at the same time",
     .content = Content::copied,
     .run = by_two_threads,
     .reaches = "copy_page_range"},
    {.name = "fork-bind",
     .numbers = "10",
     .what = "fork() while the same memory is being bound",
     .content = Content::copied,
     .run = during_bind,
     .reaches = "copy_page_range"},
    {.name = "fork-dofork",
     .numbers = "13",
     .what = "MADV_DONTFORK, MADV_DOFORK, fork()",
     .content = Content::copied,
     .run = dofork,
     .reaches = "copy_page_range"},
    {.name = "fork-mlocked",
     .numbers = "14",
     .what = "fork() of locked memory",
     .content = Content::copied,
     .run = locked,
     .reaches = "copy_page_range"},
    {.name = "fork-reuse",
     .numbers = "17",
     .what = "the child has gone before the parent writes",
     .content = Content::copied,
     .run = reuse,
     .reaches = "copy_page_range"},
    {.name = "fork-both",
     .numbers = "1, 6, 11",
     .what = "two children, and the parent writes first",
     .content = Content::copied,
     .run = two_children,
     .reaches = "wp_page_copy",
     // The next job begins when its pages are the parent's own again: a write of the parent comes
     // before that, with no job in flight, or finds nothing to copy.
     .luck = "fence"},
    {.name = "fork-beside",
     .numbers = "1, 6",
     .what = "fork(), and the parent writes a huge page that the GPU only reads, beside the range",
     .content = Content::copied,
     .run = written_beside,
     .pages = "hugetlb",
     .reaches = "hugetlb_wp"},
    {.name = "fork-cgroup",
     .numbers = "12",
     .what = "clone3() into another cgroup",
     .content = Content::copied,
     .run = into_cgroup,
     .reaches = "copy_page_range"},
    {.name = "fork-submit",
     .numbers = "15",
     .what = "the child has the GPU read the memory of its parent",
     .content = Content::copied,
     .run = child_submits,
     .reaches = "copy_page_range"},
    {.name = "fork-signals",
     .numbers = "56",
     .what = "fork(), and every thread gets signals all the time",
     .content = Content::copied,
     .run = under_signals,
     .reaches = "copy_page_range"},
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
     .share = 2,
     .reaches = "mn_itree_release"},
    {.name = "exec-busy",
     .numbers = "25",
     .what = "a process with jobs in flight becomes another program",
     .run = exec_with_jobs,
     .share = 2,
     .reaches = "mn_itree_release"},
    {.name = "mrelease-busy",
     .numbers = "26",
     .what = "a process with jobs in flight is killed, and its memory reaped",
     .run = reaped_with_jobs,
     .share = 2,
     // Of a mirror nobody sees that it was asked; what it had goes with the process.
     .reaches = "zap_vma_for_reaping mn_itree_release"},
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
