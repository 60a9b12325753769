// SPDX-License-Identifier: MIT
//
// Events of memory that goes to VRAM and comes back, which only shared virtual memory can: moves
// and who gets in their way, VRAM that is short, and what fork() and mmap() make of a preference.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "event_call.h"
#include "event_families.h"
#include "figment/command_list.h"
#include "figment/queue.h"
#include "process.h"
#include "vram_pages.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);

constexpr GpuVa kChildCommands{0x5'0000'0000};

/// A move is a best effort: it goes on until there is something in VRAM.
void bring(Cell& cell, std::span<const std::byte> memory) {
  const auto try_it = [&] {
    return cell.timed([&] { return cell.vm().move(memory, Place::vram); }) > 0;
  };
  if (!poll_until(try_it, after(kStuck))) throw std::runtime_error("nothing goes to VRAM");
}

/// A thread that moves the range to VRAM and back for as long as this lives.
class Mover {
 public:
  explicit Mover(Cell& cell)
      : cell_(cell), thread_([this](const std::stop_token& stop) { loop(stop); }) {}

  /// Until so many moves have been made from now on.
  void wait_for(std::uint64_t moves) {
    const std::uint64_t enough = moves_ + moves;
    const auto done = [&] { return moves_ >= enough || cell_.shared().failure; };
    if (!poll_until(done, after(kStuck))) throw std::runtime_error("moves take for ever");
  }

 private:
  void loop(const std::stop_token& stop) {
    try {
      for (; !stop.stop_requested(); ++moves_) {
        cell_.vm().move(cell_.memory(), moves_ % 2 ? Place::system : Place::vram);
      }
    } catch (const std::exception& error) {
      cell_.shared().failure.set(error.what());
    }
  }

  Cell& cell_;
  std::atomic<std::uint64_t> moves_ = 0;
  std::jthread thread_;
};

// --- moves ------------------------------------------------------------------

void there_and_back(Cell& cell) {
  bring(cell, cell.memory());
  cell.timed([&] { return cell.vm().move(cell.memory(), Place::system); });
  bring(cell, cell.memory());
}

/// Of two processors one reads what the GPU has written and one writes marks, and a third one
/// moves the memory away from them.
void touched_by_two(Cell& cell) {
  Mover mover(cell);
  std::jthread reader([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) cell.view().check_live();
  });
  for (int round = 0; round < 3; ++round) {
    cell.timed([&] {
      cell.view().write_marks();
      return 0;
    });
    cell.view().check_marks();
    mover.wait_for(2);
  }
}

/// Pages that a pipe holds stay, and the rest may go.
void partly_held(Cell& cell) {
  // Pages of its own, all of them, and not the zero page.
  cell.view().write_marks();
  const auto memory = cell.memory();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno, "pipe");
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  const auto held = memory.subspan(memory.size() / 2 + kPageBytes, 2 * kPageBytes);
  const iovec pages = {held.data(), held.size()};
  if (::vmsplice(in.get(), &pages, 1, 0) != static_cast<ssize_t>(held.size())) {
    fail_call(errno, "vmsplice");
  }
  // A chunk goes as a whole or not at all: a huge page is one, and so is all of a small range, but
  // not of a half of it.
  if (memory.size() < kHugePageBytes) {
    for (const auto half : {memory.first(memory.size() / 2), memory.last(memory.size() / 2)}) {
      bring(cell, half);
    }
  } else {
    cell.timed([&] { return cell.vm().move(memory, Place::vram); });
  }
  const auto check = [&] {
    if (pages_in_vram(held)) throw std::runtime_error("pages that a pipe holds are in VRAM");
  };
  check();
  cell.view().write_marks();
  if (!cell.stamped()) return;
  check();
}

/// Two want more VRAM than there is: the range, and other memory of the process.
void short_of_vram(Cell& cell) {
  const auto take = [&](std::uint64_t bytes) {
    std::vector<Buffer> taken;
    for (std::uint64_t size = bytes; bytes >= kPageBytes && size >= kPageBytes;) {
      size = std::min(size, bytes);
      try {
        taken.push_back(cell.device().buffer({.bytes = size, .placement = Placement::vram}));
        bytes -= size;
      } catch (const std::system_error&) {
        size = size / 2 / kPageBytes * kPageBytes;
      }
    }
    return taken;
  };
  const auto taken = take(cell.device().info().vram_bytes - 2 * kHugePageBytes);
  const Mapping rival = anonymous_memory(4 * kHugePageBytes, kHugePageBytes);
  const auto words = rival.as<Word>();
  std::iota(words.begin(), words.end(), Word{1});
  const std::uint64_t before = Migrations::of(cell.device()).evictions;
  for (int round = 0; round < 4; ++round) {
    cell.timed([&] { return cell.vm().move(rival.bytes(), Place::vram); });
    if (!cell.stamped()) return;
  }
  if (Migrations::of(cell.device()).evictions == before) {
    throw std::runtime_error("VRAM was short, and nobody had to leave");
  }
  std::uint64_t wrong = 0;
  for (Word due = 1; const Word word : words) wrong += word != due++;
  cell.count_harm(wrong, "of memory that wanted the same VRAM");
}

// --- preferences ------------------------------------------------------------

/// After jobs that have written to every page.
void expect_in_vram(Cell& cell, bool there) {
  if (!cell.busy()) return;
  const std::uint64_t pages = pages_in_vram(cell.memory());
  if (!there && pages) {
    throw std::runtime_error(std::format("{} pages are in VRAM that should be at home", pages));
  }
  if (there && !pages) throw std::runtime_error("no page is in VRAM where all are preferred");
}

void prefer_other(Cell& cell) {
  const auto prefer = [&](Place place) {
    cell.timed([&] {
      cell.vm().prefer(cell.memory(), place);
      return 0;
    });
    if (!cell.stamped()) throw std::runtime_error(cell.shared().failure.get());
  };
  prefer(Place::system);
  expect_in_vram(cell, false);
  prefer(Place::vram);
  expect_in_vram(cell, true);
  if (!cell.config().strategy.vram) prefer(Place::any);
}

/// The preference is of the addresses: what is mapped there later goes to VRAM as well.
void remap(Cell& cell) {
  const auto memory = cell.memory();
  timed(cell, "mmap(MAP_FIXED)", [&] {
    return reinterpret_cast<std::intptr_t>(::mmap(memory.data(), memory.size(),
                                                  PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  });
  ::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
  const auto there = [&] { return pages_in_vram(memory) > 0 || cell.shared().failure; };
  if (cell.busy() && !poll_until(there, after(kStuck))) {
    throw std::runtime_error("new memory does not go to VRAM where that is preferred");
  }
}

// --- fork -------------------------------------------------------------------

void fork_during_moves(Cell& cell) {
  pid_t child = -1;
  {
    Mover mover(cell);
    mover.wait_for(1);
    child = cell.start_child([&] { return cell.child_life(cell.round() % 2); });
    mover.wait_for(1);
  }
  cell.parent_life(true);
  cell.reap_child(child);
}

/// What parent and child still share moves under the hands of both.
void move_under_child(Cell& cell) {
  const pid_t child = cell.start_child([&] { return cell.child_life(cell.round() % 2); });
  {
    Mover mover(cell);
    mover.wait_for(2);
    cell.parent_life(true);
  }
  cell.reap_child(child);
}

/// Marks of this process, written by a GPU.
void write_marks_by_gpu(View& view, const Device& device, Vm& vm) {
  CommandList list;
  view.write_marks_by([&](Word* at, std::span<const Word> marks) {
    list.fill({.at = shared_address(at), .bytes = marks.size_bytes(), .value = marks.front()});
  });
  const Buffer commands =
      device.buffer({.bytes = (list.bytes() + kPageBytes - 1) / kPageBytes * kPageBytes});
  list.write_to(commands.map().bytes());
  vm.map({.at = kChildCommands, .buffer = commands});
  Queue queue = vm.queue();
  queue.submit({.at = kChildCommands, .bytes = list.bytes()});
  QueueState state;
  const auto ended = [&] {
    state = queue.query();
    return state.jobs > 0;
  };
  if (!poll_until(ended, after(kStuck))) throw std::runtime_error("a child's job never ended");
  if (state.errors) throw std::runtime_error("a child's job has failed");
}

/// The child works on what it has inherited, wherever that is, with a VM of its own, and has no
/// preference until it says so.
bool life_with_gpu(Cell& cell, bool prefers) {
  View& view = cell.view();
  const Device device = Device::open(cell.config().gpu);
  Vm vm = device.vm({.strategy = cell.config().strategy.vm, .svm = true});
  if (prefers) vm.prefer(cell.memory(), Place::vram);
  write_marks_by_gpu(view, device, vm);
  // Each page was written, and so is this process's own.
  const std::uint64_t pages = pages_in_vram(cell.memory());
  if ((pages > 0) != prefers) {
    throw std::runtime_error(std::format("a child that {} VRAM has {} pages there",
                                         prefers ? "prefers" : "has never heard of", pages));
  }
  view.check_inherited();
  view.check_marks();
  for (int look = 0; look < 2; ++look) {
    if (!cell.stamped()) return false;
    view.check_frozen();
    view.check_marks();
    if (look == 0) write_marks_by_gpu(view, device, vm);
  }
  return true;
}

void child_with_gpu(Cell& cell) {
  const pid_t child = cell.start_child([&] { return life_with_gpu(cell, cell.round() % 2); });
  cell.parent_life(true);
  cell.reap_child(child);
}

constexpr std::string_view kMirrors = "svm svm-vram";
constexpr std::string_view kMigration = "migrate_vma_collect __migrate_device_pages";

constexpr Event kEvents[] = {
    {.name = "vram-move",
     .numbers = "45, 46",
     .what = "a call moves the memory to VRAM, back, and there again",
     .run = there_and_back,
     .pages = "4k partial zero thp thp-split thp-head",
     .reaches = kMigration,
     .strategies = kMirrors},
    {.name = "vram-race",
     .numbers = "45",
     .what = "two processors want memory that a third one moves to VRAM and back",
     .run = touched_by_two,
     .pages = "4k thp",
     .share = 2,
     .reaches = kMigration,
     .strategies = kMirrors},
    {.name = "vram-held",
     .numbers = "46, 53",
     .what = "the memory goes to VRAM but for pages that a pipe holds",
     .run = partly_held,
     .pages = "4k thp thp-head",
     .reaches = kMigration,
     .strategies = kMirrors},
    {.name = "vram-full",
     .numbers = "47",
     .what = "other memory wants the same VRAM, and each drives the other out",
     .run = short_of_vram,
     .pages = "4k thp",
     .share = 4,
     .reaches = kMigration,
     .strategies = "svm-vram"},
    {.name = "vram-prefer",
     .numbers = "62",
     .what = "another place is preferred, and VRAM again",
     .run = prefer_other,
     .pages = "4k thp",
     .reaches = kMigration,
     .strategies = kMirrors},
    {.name = "vram-remap",
     .numbers = "21, 62",
     .what = "mmap(MAP_FIXED) over it: the new memory goes to VRAM by preference",
     .content = Content::zeroed,
     .run = remap,
     .pages = "4k thp",
     .missing = Missing::in_process,
     .reaches = "unmap_vmas",
     .strategies = "svm-vram"},
    {.name = "vram-fork",
     .numbers = "8, 10",
     .what = "fork() while the memory is being moved to VRAM and back",
     .content = Content::copied,
     .run = fork_during_moves,
     .pages = "4k thp",
     .share = 2,
     .reaches = "copy_page_range",
     .strategies = kMirrors},
    {.name = "vram-fork-move",
     .numbers = "8, 45",
     .what = "fork(), and what is shared moves to VRAM and back",
     .content = Content::copied,
     .run = move_under_child,
     .pages = "4k thp",
     .share = 2,
     .reaches = kMigration,
     .strategies = kMirrors},
    {.name = "vram-fork-gpu",
     .numbers = "8, 15, 62",
     .what = "fork(), and the child has a GPU of its own at work on what it has inherited",
     .content = Content::copied,
     .run = child_with_gpu,
     .pages = "4k partial thp",
     .share = 4,
     .reaches = "copy_page_range",
     .strategies = kMirrors},
};

}  // namespace

std::span<const Event> vram_events() {
  return kEvents;
}

}  // namespace figment::stress
