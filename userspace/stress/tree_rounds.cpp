// SPDX-License-Identifier: MIT
//
// The rounds of the comparison `tree`: A has a range, and forks B, which forks C. One of them takes
// the pages of the range for a user, before the forks, between them, or after. Then all three
// write, in an order that changes from round to round; the user works; everybody looks. And again,
// when C has left, and when B has.
//
// A conducts: B and C do what they are told, and put what they see into memory that all share. Only
// A knows what they ought to see.
#include <unistd.h>

#include <array>
#include <atomic>
#include <format>
#include <memory>
#include <optional>
#include <stdexcept>

#include "compare_row.h"
#include "process.h"
#include "tree_model.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);
constexpr auto kPollStep = std::chrono::microseconds(100);

constexpr std::uint32_t kMostPages = 512;

enum class Order : unsigned { fork, take, write_stamps, read, write_marks, look, leave, reap };

/// Words of all pages, as somebody saw them.
struct Sight {
  std::array<Word, std::size_t{kMostPages} * kSectorWords> marks = {};
  std::array<Word, std::size_t{kMostPages} * kSectorWords> stamps = {};
};

/// Of a process that is told what to do.
struct Seat {
  std::atomic<unsigned> told = 0;
  std::atomic<unsigned> done = 0;
  Order order = Order::look;
  Sequence argument = 0;
};

struct Table {
  std::array<Seat, 3> seats;
  std::array<Sight, 4> sights;  // of three processes, and of the user
  FirstText lacks;  // set before failure
  FirstText failure;

  Seat& seat(Who who) { return seats[static_cast<std::size_t>(who)]; }
  Sight& sight(Who who) { return sights[static_cast<std::size_t>(who)]; }
};

/// What a process of the tree can do. A copy of A's own is what B begins with, and so on: its user
/// is its parent's, and not to be touched.
class Member {
 public:
  Member(const CompareRowConfig& config, ComparedMemory memory, Table& table)
      : config_(config), memory_(memory), table_(table) {}
  /// Of A only, the others leave by _exit(): each object is destroyed where it was made.
  ~Member() = default;

  void carry_out(Order order, Sequence argument) {
    switch (order) {
      case Order::fork:
        fork_child();
        break;
      case Order::take:
        take(argument);
        break;
      case Order::write_stamps:
        write_stamps(argument);
        break;
      case Order::read: {
        const auto words = user_->read();
        std::ranges::copy(words, table_.sight(Who::user).marks.begin());
        break;
      }
      case Order::write_marks:
        memory_.write_marks({self_, argument});
        break;
      case Order::look:
        memory_.copy_marks(table_.sight(self_).marks);
        memory_.copy_stamps(table_.sight(self_).stamps);
        break;
      case Order::leave:
        leave();
      case Order::reap:
        reap_child();
        break;
    }
  }

 private:
  void reap_child() {
    if (const auto trouble = reap(std::exchange(child_, -1), after(kStuck))) {
      throw std::runtime_error(std::format("a child {}", *trouble));
    }
  }

  void fork_child() {
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("fork failed");
    if (child_ > 0) return;
    die_with_parent();
    child_ = -1;
    std::ignore = user_.release();
    self_ = static_cast<Who>(static_cast<unsigned>(self_) + 1);
    serve();
  }

  void take(Sequence last) {
    user_ = make_user({.kind = config_.user.kind,
                       .strategy = config_.user.strategy,
                       .access = config_.user.access,
                       .pages = memory_.pages(),
                       .gpu = config_.gpu,
                       .disk = config_.disk});
    user_->take(memory_);
    // The only one that it will write: it has the pages from here on.
    if (config_.user.once()) user_->begin(last, true);
  }

  void write_stamps(Sequence n) {
    if (!config_.user.once()) user_->begin(n, false);
    user_->let_go();
    user_->finish();
  }

  [[noreturn]] void leave() {
    try {
      user_.reset();
    } catch (const std::exception& error) {
      table_.failure.set(error.what());
    }
    ::_exit(table_.failure ? 1 : 0);
  }

  [[noreturn]] void serve() {
    Seat& seat = table_.seat(self_);
    try {
      for (unsigned turn = 1;; ++turn) {
        if (!poll_until([&] { return seat.told >= turn; }, after(kStuck), kPollStep)) ::_exit(1);
        carry_out(seat.order, seat.argument);
        seat.done = turn;
      }
    } catch (const Lacks& lacks) {
      table_.lacks.set(lacks.what());
      table_.failure.set(lacks.what());
    } catch (const std::exception& error) {
      table_.failure.set(error.what());
    }
    ::_exit(1);
  }

  const CompareRowConfig& config_;
  ComparedMemory memory_;
  Table& table_;
  Who self_ = Who::a;
  std::unique_ptr<PageUser> user_;
  pid_t child_ = -1;
};

/// A, and what it knows.
class Tree {
 public:
  Tree(const CompareRowConfig& config, CompareStage& stage, Table& table, std::uint64_t round)
      : config_(config),
        stage_(stage),
        table_(table),
        order_(writing_order(round, config.seed)),
        range_(config.pages),
        memory_(range_.memory()),
        model_(config.binding.binder),
        self_(config_, memory_, table_) {
    for (Seat& seat : table_.seats) seat.told = seat.done = 0;
  }

  void run() {
    write(Who::a);
    if (config_.binding.forks == 0) take();
    work();
    fork(Who::a, Who::b);
    if (config_.binding.forks == 1) take();
    work();
    fork(Who::b, Who::c);
    if (config_.binding.forks == 2) take();
    work();
    // The first time pages are shared, the second time they are not any more.
    for (int time = 0; time < 2; ++time) {
      for (const Who who : order_) write(who);
      last_ |= config_.user.once() && time == 0;
      work();
      look();
    }
    for (const Who leaving : {Who::c, Who::b}) {
      leave(leaving);
      for (const Who who : order_) write(who);
      work();
      look();
    }
    ++stage_.rounds;
    stage_.wrong_rounds += sightings_.wrong() != 0;
    stage_.sightings.add(sightings_);
  }

 private:
  [[nodiscard]] bool is_there(Who who) const { return who <= youngest_ && who >= Who::a; }

  void tell(Who who, Order order, Sequence argument = 0) {
    if (who == Who::a) return self_.carry_out(order, argument);
    Seat& seat = table_.seat(who);
    seat.order = order;
    seat.argument = argument;
    const unsigned turn = ++seat.told;
    const auto done = [&] { return seat.done >= turn || table_.failure; };
    if (order != Order::leave && !poll_until(done, after(kStuck), kPollStep)) {
      throw std::runtime_error("a process of the tree does not do what it is told");
    }
    if (!table_.failure) return;
    if (table_.lacks) throw Lacks(table_.lacks.get());
    throw std::runtime_error(table_.failure.get());
  }

  void fork(Who parent, Who child) {
    model_.fork(parent, child);
    youngest_ = child;
    tell(parent, Order::fork);
  }

  void take() {
    // For a user that writes once: with this, if it is the last.
    stamp_ = 1;
    tell(config_.binding.binder, Order::take, stamp_);
    taken_ = true;
  }

  void write(Who who) {
    if (!is_there(who)) return;
    model_.write_mark(who, ++mark_);
    tell(who, Order::write_marks, mark_);
  }

  /// The user writes and reads, if there is one and it can.
  void work() {
    const Who binder = config_.binding.binder;
    if (!taken_ || !is_there(binder)) return;
    if (config_.user.writes() && (!config_.user.once() || last_)) {
      if (!config_.user.once()) ++stamp_;
      tell(binder, Order::write_stamps, stamp_);
      model_.write_stamp(stamp_);
      if (std::exchange(last_, false)) taken_ = false;
    }
    if (!config_.user.reads()) return;
    tell(binder, Order::read);
    judge(words(table_.sight(Who::user).marks), Who::user, model_.marks(Who::user), sightings_);
  }

  void look() {
    for (const Who who : {Who::a, Who::b, Who::c}) {
      if (!is_there(who)) continue;
      tell(who, Order::look);
      judge(words(table_.sight(who).marks), who, model_.marks(who), sightings_);
      judge(words(table_.sight(who).stamps), who, model_.stamps(who), sightings_);
    }
  }

  void leave(Who who) {
    youngest_ = who == Who::c ? Who::b : Who::a;
    tell(who, Order::leave);
    // Its pages are gone when its parent has seen it go.
    tell(youngest_, Order::reap);
  }

  [[nodiscard]] std::span<const Word> words(std::span<const Word> sight) const {
    return sight.first(memory_.pages() * kSectorWords);
  }

  const CompareRowConfig& config_;
  CompareStage& stage_;
  Table& table_;
  std::array<Who, 3> order_;
  Range range_;
  ComparedMemory memory_;
  TreeModel model_;
  Member self_;
  Who youngest_ = Who::a;
  bool taken_ = false;
  bool last_ = false;
  Sequence mark_ = 0;
  Sequence stamp_ = 0;
  Sightings sightings_;
};

}  // namespace

void run_tree_rounds(const CompareRowConfig& config, CompareStage& stage) {
  SharedObject<Table> table;
  for (std::uint64_t round = 0; round < config.rounds; ++round) {
    Tree(config, stage, *table, round).run();
  }
}

}  // namespace figment::stress
