// SPDX-License-Identifier: MIT
//
// What figment-stress compare compares, as tables: users of pages, and what happens to the pages
// meanwhile. docs/compare.md explains both comparisons.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compared_words.h"
#include "page_kind.h"
#include "page_user.h"
#include "stress_strategy.h"

namespace figment::stress {

enum class Comparison {
  direct,  // one fork, and a user that writes before, during or after it
  tree,    // A forks B, B forks C, and a user that has the pages of one of them
};

/// Direct: when the user takes the pages and begins to write.
enum class Timing {
  before,  // and what it writes arrives after fork(), if that does not wait for it
  during,  // again and again, while fork() and the first writes happen
  after,   // and before anybody has written
};

/// Direct: who writes to the pages first after fork().
enum class First { parent, child };

/// Tree: who takes the pages for the user, and how many forks have been there by then.
struct Binding {
  std::string_view name;  // process and forks: B1
  Who binder;
  unsigned forks;
  std::string_view what;

  /// The process that binds forks later.
  [[nodiscard]] constexpr bool forks_later() const {
    return binder == Who::a ? forks < 1 : binder == Who::b && forks < 2;
  }
};

[[nodiscard]] std::span<const Binding> bindings();

/// A line of the table of users.
struct CompareUser {
  UserKind kind = UserKind::gpu;
  StressStrategy strategy = kStressStrategies.front();  // of a GPU
  Access access = Access::read_write;
  std::string_view what;

  [[nodiscard]] bool is_gpu() const { return kind == UserKind::gpu; }
  /// As reports have it: of a GPU the strategy.
  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] bool writes() const { return kind != UserKind::vmsplice && !read_only(); }
  [[nodiscard]] bool reads() const { return kind != UserKind::direct_read; }
  [[nodiscard]] bool read_only() const { return access == Access::read_only; }
  /// It writes once, and has the pages until then.
  [[nodiscard]] bool once() const { return kind == UserKind::direct_read; }
};

/// First those that are no GPU. Not dontfork: children have nothing to look at.
[[nodiscard]] std::vector<CompareUser> users_of(Comparison comparison);

struct CompareRowConfig {
  Comparison comparison = Comparison::direct;
  CompareUser user;
  const PageKind& pages;
  Timing timing = Timing::before;        // direct
  First first = First::parent;           // direct
  Binding binding = bindings().front();  // tree
  unsigned gpu = 0;
  std::uint64_t rounds = 1;
  std::uint64_t seed = 1;
  SlowDisk* disk = nullptr;
};

/// Whether the control has to be caught: it takes the pages once, and they are shared, or will be,
/// with somebody who writes.
[[nodiscard]] bool must_catch(const CompareRowConfig& row);

/// Every row of a comparison, without the numbers.
[[nodiscard]] std::vector<CompareRowConfig> rows_of(Comparison comparison,
                                                    std::span<const PageKind* const> pages);

[[nodiscard]] std::string_view name_of(Comparison comparison);
[[nodiscard]] std::string_view name_of(Timing timing);
[[nodiscard]] std::string_view name_of(First first);
[[nodiscard]] std::string describe(const CompareRowConfig& row);

/// In which order three processes write: all of them come up in turn, from one that `seed` chooses.
[[nodiscard]] std::array<Who, 3> writing_order(std::uint64_t round, std::uint64_t seed);

}  // namespace figment::stress
