// SPDX-License-Identifier: MIT
//
// The rounds of the comparison `direct`: a user writes to pages of a process that forks.
//
//   parent                                    child
//   marks; [before: take, begin]
//   [during: take, writes all the time]
//   fork ...................................  looks, and remembers what it saw
//   [after: take, begin]
//   the first of the two writes marks
//   what was begun arrives; looks             looks: nothing has changed but its own marks
//   the other one writes marks
//   the user writes once more; looks          looks again
#include <unistd.h>

#include <array>
#include <atomic>
#include <format>
#include <optional>
#include <stdexcept>
#include <thread>

#include "compare_row.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);
constexpr auto kPollStep = std::chrono::microseconds(100);

/// What the child has been told to do, and what it has done: each number is a step.
struct Turns {
  std::atomic<unsigned> told = 0;
  std::atomic<unsigned> done = 0;
  std::atomic<Sequence> begun = 0;  // stamps of the user
  std::atomic<Sequence> ended = 0;
  Sightings of_child;
  FirstText failure;
};

enum Step : unsigned { kLook = 1, kWrite, kLookAgain, kWriteLast, kLookLast };

/// Marks: who writes first has nothing to do with what the values are.
constexpr Written kBorn{Who::a, 1};
constexpr Written kOfParent{Who::a, 2};
constexpr Written kOfChild{Who::b, 3};

/// The stamps that a child has been born with, word by word.
class Frozen {
 public:
  explicit Frozen(const ComparedMemory& memory) : words_(memory.pages() * kSectorWords) {
    memory.copy_stamps(words_);
  }
  [[nodiscard]] std::span<const Word> words() const { return words_; }

  void check(const ComparedMemory& memory, Sightings& sightings) const {
    std::vector<Word> now(words_.size());
    memory.copy_stamps(now);
    for (std::size_t index = 0; index < now.size(); ++index) {
      const auto page = static_cast<std::uint32_t>(index / kSectorWords);
      sightings.add(Who::b, now[index] == words_[index] ? Judgement::right : Judgement::leaked,
                    written_of(now[index], page));
    }
  }

 private:
  std::vector<Word> words_;
};

void check_marks(const ComparedMemory& memory, Who viewer, const History& history,
                 Sightings& sightings) {
  std::vector<Word> words(memory.pages() * kSectorWords);
  memory.copy_marks(words);
  judge(words, viewer, history, sightings);
}

/// Does what it is told, step by step; a step that it has nothing to do in is done.
class Child {
 public:
  Child(const CompareRowConfig& config, ComparedMemory memory, Turns& turns, Sequence ended)
      : config_(config), memory_(memory), turns_(turns), window_{ended, turns.begun} {
    marks_.write(kBorn);
  }

  [[noreturn]] void live() {
    const Frozen frozen(memory_);
    judge(frozen.words(), Who::b, window_, turns_.of_child);
    check_marks(memory_, Who::b, marks_, turns_.of_child);
    turns_.done = kLook;
    wait_for(kWrite);
    if (config_.first == First::child) write();
    turns_.done = kWrite;
    look(frozen, kLookAgain);
    wait_for(kWriteLast);
    if (config_.first == First::parent) write();
    turns_.done = kWriteLast;
    look(frozen, kLookLast);
    ::_exit(0);
  }

 private:
  void wait_for(Step step) {
    if (!poll_until([&] { return turns_.told >= step; }, after(kStuck), kPollStep)) ::_exit(1);
  }
  void write() {
    memory_.write_marks(kOfChild);
    marks_.write(kOfChild);
  }
  void look(const Frozen& frozen, Step step) {
    wait_for(step);
    frozen.check(memory_, turns_.of_child);
    check_marks(memory_, Who::b, marks_, turns_.of_child);
    turns_.done = step;
  }

  const CompareRowConfig& config_;
  ComparedMemory memory_;
  Turns& turns_;
  StampWindow window_;
  History marks_;
};

/// The user, one write after the other.
class Writer {
 public:
  Writer(const CompareRowConfig& config, Turns& turns)
      : turns_(turns),
        user_(make_user({.kind = config.user.kind,
                         .strategy = config.user.strategy,
                         .access = config.user.access,
                         .pages = static_cast<std::uint32_t>(config.pages.pages),
                         .gpu = config.gpu,
                         .disk = config.disk})) {}
  ~Writer() { stop(); }

  void take(ComparedMemory memory) { user_->take(memory); }
  void begin(bool held) {
    // Before anything of it can be anywhere.
    const Sequence n = ++turns_.begun;
    user_->begin(n, held);
  }
  void finish() {
    user_->let_go();
    user_->finish();
    turns_.ended = turns_.begun.load();
  }
  void write_once() {
    begin(false);
    finish();
  }

  /// From here on, in a thread, until stop().
  void go_on() {
    thread_ = std::thread([this] {
      try {
        while (!stop_) write_once();
      } catch (const std::exception& error) {
        turns_.failure.set(error.what());
      }
    });
  }
  /// Until one that has begun since has ended.
  void wait_for_another() {
    const Sequence due = turns_.begun + 1;
    if (!poll_until([&] { return turns_.ended >= due || turns_.failure; }, after(kStuck),
                    kPollStep)) {
      throw std::runtime_error("a user of pages makes no progress");
    }
  }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  Turns& turns_;
  std::unique_ptr<PageUser> user_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class Round {
 public:
  Round(const CompareRowConfig& config, CompareStage& stage)
      : config_(config), stage_(stage), range_(config.pages), memory_(range_.memory()) {
    memory_.write_marks(kBorn);
    marks_.write(kBorn);
  }

  void run() {
    Writer writer(config_, *turns_);
    const bool during = config_.timing == Timing::during;
    if (config_.timing != Timing::after) writer.take(memory_);
    if (config_.timing == Timing::before) writer.begin(true);
    if (during) {
      writer.go_on();
      writer.wait_for_another();
    }
    const pid_t child = fork_child();
    await(kLook);
    if (config_.timing == Timing::after) {
      writer.take(memory_);
      writer.begin(true);
    }
    if (config_.first == First::parent) write();
    tell(kWrite);

    if (during) {
      writer.wait_for_another();
    } else {
      writer.finish();
    }
    look();
    tell(kLookAgain);
    tell(kWriteLast);
    if (config_.first == First::child) write();
    if (during) {
      writer.wait_for_another();
    } else {
      writer.write_once();
    }
    writer.stop();
    look();
    tell(kLookLast);

    if (const auto trouble = reap(child, after(kStuck))) {
      throw std::runtime_error(std::format("a child {}", *trouble));
    }
    if (turns_->failure) throw std::runtime_error(turns_->failure.get());
    sightings_.add(turns_->of_child);
    ++stage_.rounds;
    stage_.wrong_rounds += sightings_.wrong() != 0;
    stage_.sightings.add(sightings_);
  }

 private:
  pid_t fork_child() {
    const Sequence ended = turns_->ended;
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
      // Before anything else: what is begun from here on can be in no page of this process.
      Child life(config_, memory_, *turns_, ended);
      die_with_parent();
      life.live();
    }
    return child;
  }
  void await(Step step) {
    const auto there = [&] { return turns_->done >= step || turns_->failure; };
    if (!poll_until(there, after(kStuck), kPollStep)) {
      throw std::runtime_error("a child does not do what it is told");
    }
    if (turns_->failure) throw std::runtime_error(turns_->failure.get());
  }
  void tell(Step step) {
    turns_->told = step;
    await(step);
  }
  void write() {
    memory_.write_marks(kOfParent);
    marks_.write(kOfParent);
  }
  /// Stamps may arrive while it looks: the bounds hold for all of it.
  void look() {
    StampWindow window{.first = turns_->ended, .last = 0};
    std::vector<Word> stamps(memory_.pages() * kSectorWords);
    memory_.copy_stamps(stamps);
    window.last = turns_->begun;
    judge(stamps, Who::a, window, sightings_);
    check_marks(memory_, Who::a, marks_, sightings_);
  }

  const CompareRowConfig& config_;
  CompareStage& stage_;
  SharedObject<Turns> turns_;
  Range range_;
  ComparedMemory memory_;
  History marks_;
  Sightings sightings_;
};

}  // namespace

void run_direct_rounds(const CompareRowConfig& config, CompareStage& stage) {
  for (std::uint64_t round = 0; round < config.rounds; ++round) Round(config, stage).run();
}

}  // namespace figment::stress
