// SPDX-License-Identifier: MIT
#include "compare_plan.h"

#include <array>
#include <format>

namespace figment::stress {
namespace {

constexpr std::array kBindings = {
    Binding{"A0", Who::a, 0, "by A, before it forks B"},
    Binding{"A1", Who::a, 1, "by A, after it has forked B"},
    Binding{"A2", Who::a, 2, "by A, after B has forked C"},
    Binding{"B1", Who::b, 1, "by B, before it forks C"},
    Binding{"B2", Who::b, 2, "by B, after it has forked C"},
    Binding{"C2", Who::c, 2, "by C, after it was forked"},
};

constexpr std::array<std::array<Who, 3>, 6> kOrders = {{
    {Who::a, Who::b, Who::c},
    {Who::c, Who::b, Who::a},
    {Who::b, Who::a, Who::c},
    {Who::c, Who::a, Who::b},
    {Who::a, Who::c, Who::b},
    {Who::b, Who::c, Who::a},
}};

void add_gpus(std::vector<CompareUser>& users, Access access) {
  for (const StressStrategy& strategy : kStressStrategies) {
    if (strategy.dontfork) continue;
    users.push_back(
        {.kind = UserKind::gpu, .strategy = strategy, .access = access, .what = strategy.what});
  }
}

}  // namespace

std::span<const Binding> bindings() {
  return kBindings;
}

std::string_view CompareUser::name() const {
  switch (kind) {
    case UserKind::direct_read:
      return "direct-read";
    case UserKind::io_uring:
      return "io-uring";
    case UserKind::vmsplice:
      return "vmsplice";
    case UserKind::gpu:
      break;
  }
  return strategy.name;
}

std::vector<CompareUser> users_of(Comparison comparison) {
  std::vector<CompareUser> users = {
      {.kind = UserKind::direct_read, .what = "a read with O_DIRECT; pages are pinned meanwhile"},
      {.kind = UserKind::io_uring, .what = "fixed buffers; pages are pinned long term"}};
  if (comparison == Comparison::tree) {
    users.push_back({.kind = UserKind::vmsplice,
                     .access = Access::read_only,
                     .what = "a pipe; it has references of pages, and does not pin them"});
    add_gpus(users, Access::read_only);
  }
  add_gpus(users, Access::read_write);
  return users;
}

bool must_catch(const CompareRowConfig& row) {
  if (!row.user.is_gpu() || row.user.strategy.safe) return false;
  if (row.comparison == Comparison::direct) return row.timing != Timing::after;
  // To take a page for writing is to have it alone; one for reading may be somebody else's, too.
  return row.user.read_only() || row.binding.forks_later();
}

std::vector<CompareRowConfig> rows_of(Comparison comparison,
                                      std::span<const PageKind* const> pages) {
  std::vector<CompareRowConfig> rows;
  for (const PageKind* kind : pages) {
    const auto add = [&](const CompareRowConfig& row) {
      for (const CompareUser& user : users_of(comparison)) {
        rows.push_back(row);
        rows.back().user = user;
      }
    };
    if (comparison == Comparison::direct) {
      for (const Timing timing : {Timing::before, Timing::during, Timing::after}) {
        for (const First first : {First::parent, First::child}) {
          add({.comparison = comparison,
               .user = {},
               .pages = *kind,
               .timing = timing,
               .first = first});
        }
      }
    } else {
      for (const Binding& binding : kBindings) {
        add({.comparison = comparison, .user = {}, .pages = *kind, .binding = binding});
      }
    }
  }
  return rows;
}

std::string_view name_of(Comparison comparison) {
  return comparison == Comparison::direct ? "direct" : "tree";
}

std::string_view name_of(Timing timing) {
  switch (timing) {
    case Timing::before:
      return "before";
    case Timing::during:
      return "during";
    case Timing::after:
      return "after";
  }
  return "";
}

std::string_view name_of(First first) {
  return first == First::parent ? "parent" : "child";
}

std::string describe(const CompareRowConfig& row) {
  const std::string user =
      std::format("{} {}", row.user.name(), row.user.read_only() ? "reads" : "writes");
  return row.comparison == Comparison::direct
             ? std::format("direct {} {} {}-first {}", row.pages.name, name_of(row.timing),
                           name_of(row.first), user)
             : std::format("tree {} {} {}", row.pages.name, row.binding.name, user);
}

std::array<Who, 3> writing_order(std::uint64_t round, std::uint64_t seed) {
  return kOrders[(round + seed) % kOrders.size()];
}

}  // namespace figment::stress
