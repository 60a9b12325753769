// SPDX-License-Identifier: MIT
//
// Events of another device on the same memory: test_hmm, which reads and writes it, has pages to
// itself, and moves them into memory of its own.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "companion.h"
#include "event_call.h"
#include "event_families.h"
#include "test_hmm.h"

namespace figment::stress {
namespace {

constexpr std::uint64_t kBesidePages = 16;

/// The other device, with a mirror of this process. The module is there for the whole table, if it
/// is at all (events_command.cpp); else it comes and goes with the event.
class Peer {
 public:
  explicit Peer(Cell& cell) : cell_(cell) {
    if (!module_.why_not().empty()) throw Lacks(module_.why_not());
    mirror_.emplace();
  }

  /// False: somebody has taken a page back before the device has read what was in it.
  [[nodiscard]] bool make_exclusive(std::span<std::byte> memory, std::span<std::byte> copy) const {
    return check(mirror_->make_exclusive(memory, copy), "HMM_DMIRROR_EXCLUSIVE");
  }
  [[nodiscard]] bool migrate(std::span<std::byte> memory, std::span<std::byte> copy) const {
    return check(mirror_->migrate(memory, copy), "HMM_DMIRROR_MIGRATE_TO_DEV");
  }
  void read(std::span<const std::byte> memory, std::span<std::byte> copy) const {
    const auto result = patiently([&] { return mirror_->read(memory, copy); });
    if (!check(result, "HMM_DMIRROR_READ")) fail(ENOENT, "HMM_DMIRROR_READ");
  }
  void write(std::span<std::byte> memory, std::span<const std::byte> from) const {
    const auto result = patiently([&] { return mirror_->write(memory, from); });
    if (!check(result, "HMM_DMIRROR_WRITE")) fail(ENOENT, "HMM_DMIRROR_WRITE");
  }

  /// All of the range, which is the event. Returns what the device has found there, or nothing.
  [[nodiscard]] std::vector<std::byte> make_exclusive() const {
    std::vector<std::byte> copy(cell_.memory().size());
    const bool all = cell_.timed([&] { return make_exclusive(cell_.memory(), copy); });
    if (!all) copy.clear();
    return copy;
  }

 private:
  /// It gives up after a second in which it always lost against notifiers; jobs of the GPU may go on
  /// for longer than that.
  template <typename Call>
  static HmmResult patiently(Call&& call) {
    constexpr unsigned kAttempts = 30;
    HmmResult result = call();
    for (unsigned n = 1; n < kAttempts && result.error == EBUSY; ++n) result = call();
    return result;
  }

  static bool check(const HmmResult& result, const char* what) {
    if (result.error == ENOENT) return false;
    if (result.error) fail(result.error, what);
    return true;
  }

  Cell& cell_;
  // In this order: the module goes when its file is closed.
  HmmModule module_;
  std::optional<HmmMirror> mirror_;
};

std::span<const Word> words_of(std::span<const std::byte> memory) {
  return {reinterpret_cast<const Word*>(memory.data()), memory.size() / sizeof(Word)};
}

void check_copy(Cell& cell, std::span<const std::byte> copy) {
  // A device that holds its pages is with others after an event that has replaced them; here none
  // has, and so all strategies are alike.
  if (!copy.empty()) cell.view().check_copy(words_of(copy));
}

/// Both devices want the pages to themselves, and the GPU is the one that does not know.
void exclusive(Cell& cell) {
  const Peer peer(cell);
  check_copy(cell, peer.make_exclusive());
  if (!cell.stamped()) return;
}

/// The CPU takes pages back.
void exclusive_and_touch(Cell& cell) {
  const Peer peer(cell);
  check_copy(cell, peer.make_exclusive());
  cell.view().write_marks();
}

void exclusive_and_fork(Cell& cell) {
  const Peer peer(cell);
  std::vector<std::byte> copy(cell.memory().size());
  const bool all = peer.make_exclusive(cell.memory(), copy);
  const pid_t child = cell.start_child([&] { return cell.child_life(cell.round() % 2); });
  if (all) check_copy(cell, copy);
  cell.parent_life(true);
  cell.reap_child(child);
}

void exclusive_and_protect(Cell& cell) {
  const Peer peer(cell);
  const auto memory = cell.memory();
  check_copy(cell, peer.make_exclusive());
  timed(cell, "mprotect", [&] { return ::mprotect(memory.data(), memory.size(), PROT_READ); });
  cell.let_gpu_try();
  timed(cell, "mprotect",
        [&] { return ::mprotect(memory.data(), memory.size(), PROT_READ | PROT_WRITE); });
}

/// Two devices and a CPU on the same pages: one writes, the other reads.
void read_by_both(Cell& cell) {
  const Peer peer(cell);
  std::vector<std::byte> copy(cell.memory().size());
  for (int look = 0; look < 3; ++look) {
    cell.timed([&] {
      peer.read(cell.memory(), copy);
      return 0;
    });
    check_copy(cell, copy);
  }
}

/// What the other device writes beside the range, the GPU reads.
void write_by_peer(Cell& cell) {
  const Peer peer(cell);
  Companion companion(cell, kBesidePages, false);
  companion.bind();
  companion.check_read(0);
  std::vector<Word> from(companion.words().size());
  for (const Word word : {Word{0x1111}, Word{0x2222}}) {
    std::ranges::fill(from, word);
    cell.timed([&] {
      peer.write(companion.memory(), std::as_bytes(std::span(from)));
      return 0;
    });
    companion.check_read(word);
    cell.count_harm(std::ranges::equal(companion.words(), from) ? 0 : 1,
                    "that another device wrote");
  }
}

/// The pages are in the memory of the other device, where the GPU cannot reach them, and come home
/// when it wants them.
void migrate(Cell& cell) {
  const Peer peer(cell);
  std::vector<std::byte> copy(cell.memory().size());
  const bool all = cell.timed([&] { return peer.migrate(cell.memory(), copy); });
  if (all) check_copy(cell, copy);
  // Of both sides: whoever comes first has it brought back.
  std::ignore = cell.stamped();
  cell.view().write_marks();
}

/// Memory that nobody has written, which the GPU reads, begins to be in the other device.
void migrate_zeros(Cell& cell) {
  const Peer peer(cell);
  Companion companion(cell, kBesidePages, false);
  companion.bind();
  std::vector<std::byte> copy(companion.memory().size());
  // A job has to begin between two notifiers of one call: it is tried more than once.
  for (int time = 0; time < 4; ++time) {
    if (::madvise(companion.memory().data(), companion.memory().size(), MADV_DONTNEED) != 0) {
      fail(errno, "MADV_DONTNEED");
    }
    if (cell.follows()) companion.check_read(0);
    std::ignore = cell.timed([&] { return peer.migrate(companion.memory(), copy); });
    if (cell.follows()) companion.check_read(0);
    std::ranges::fill(companion.words(), Word{7});
    if (cell.follows()) companion.check_read(7);
  }
}

constexpr Event kEvents[] = {
    {.name = "hmm-exclusive",
     .numbers = "48, 49",
     .what = "another device has the pages to itself, until the GPU takes them back",
     .run = exclusive,
     .pages = "4k thp",
     .reaches = "make_device_exclusive",
     .with_test_hmm = true},
    {.name = "hmm-exclusive-cpu",
     .numbers = "48",
     .what = "another device has the pages to itself, until the CPU takes them back",
     .run = exclusive_and_touch,
     .pages = "4k thp",
     // Under fence a job begins when all pages are back, and so hardly ever sees one taken back.
     .reaches = "remove_device_exclusive_entry make_device_exclusive",
     .with_test_hmm = true},
    {.name = "hmm-exclusive-fork",
     .numbers = "8, 48",
     .what = "fork() of pages that another device has to itself",
     .content = Content::copied,
     .run = exclusive_and_fork,
     .pages = "4k thp",
     .reaches = "make_device_exclusive",
     .with_test_hmm = true},
    {.name = "hmm-exclusive-ro",
     .numbers = "48",
     .what = "mprotect(PROT_READ) of pages that another device has to itself, and back",
     .run = exclusive_and_protect,
     .missing = Missing::in_process,
     .reaches = "make_device_exclusive",
     .with_test_hmm = true},
    {.name = "hmm-read",
     .numbers = "49",
     .what = "another device reads what the GPU writes",
     .run = read_by_both,
     .pages = "4k thp memfd",
     .with_test_hmm = true},
    {.name = "hmm-write",
     .numbers = "49",
     .what = "another device writes what the GPU reads",
     .run = write_by_peer,
     .with_test_hmm = true},
    {.name = "hmm-migrate",
     .numbers = "45, 49",
     .what = "the pages move into the memory of another device, and come home",
     .run = migrate,
     .pages = "4k thp",
     .reaches = "migrate_vma_collect",
     .with_test_hmm = true},
    {.name = "hmm-migrate-zero",
     .numbers = "46, 49",
     .what = "pages of zeros that the GPU reads move into the memory of another device",
     .run = migrate_zeros,
     .reaches = "__migrate_device_pages",
     .with_test_hmm = true},
};

}  // namespace

std::span<const Event> peer_events() {
  return kEvents;
}

}  // namespace figment::stress
