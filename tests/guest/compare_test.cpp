// SPDX-License-Identifier: MIT
//
// Short rows of the comparisons: what figment-stress compare does at length (docs/compare.md).
#include <gmock/gmock.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "compare_report.h"
#include "compare_row.h"
#include "guest.h"
#include "module_parameter.h"
#include "slow_disk.h"

namespace figment::guest {
namespace {

using stress::CompareResult;
using stress::Comparison;
using testing::IsEmpty;

/// All rows of a comparison whose user is wanted.
template <typename Wanted>
std::vector<CompareResult> run_rows(Comparison comparison, const Wanted& wanted) {
  const Device device = Device::open();
  stress::SlowDisk disk;
  std::vector<CompareResult> results;
  std::set<std::string> skipped;
  const stress::PageKind* kinds[] = {stress::page_kind_named("4k")};
  for (auto row : stress::rows_of(comparison, kinds)) {
    if (!wanted(row.user) || (row.user.is_gpu() && !device.offers(row.user.strategy.vm))) continue;
    row.rounds = 1;
    row.disk = &disk;
    skipped.insert(results.emplace_back(run_compare_row(row)).skipped);
  }
  for (const auto& reason : skipped) {
    if (!reason.empty()) std::cout << "skipped: " << reason << '\n';
  }
  return results;
}

class Comparisons : public testing::TestWithParam<Comparison> {};

INSTANTIATE_TEST_SUITE_P(table, Comparisons, testing::Values(Comparison::direct, Comparison::tree),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(Comparisons, find_nothing_wrong_under_a_safe_strategy) {
  const auto rows = run_rows(GetParam(), [](const stress::CompareUser& user) {
    return user.is_gpu() && user.strategy.safe;
  });
  EXPECT_THAT(rows, testing::Not(IsEmpty()));
  for (const auto& row : rows) EXPECT_THAT(complaints(row), IsEmpty()) << describe(row.config);
}

TEST_P(Comparisons, catch_the_control) {
  const ScopedModuleParameter allow_unsafe("allow_unsafe", "1");
  const auto rows = run_rows(GetParam(), [](const stress::CompareUser& user) {
    return user.is_gpu() && !user.strategy.safe;
  });
  EXPECT_THAT(rows, testing::Not(IsEmpty()));
  for (const auto& row : rows) EXPECT_THAT(complaints(row), IsEmpty()) << describe(row.config);
  EXPECT_TRUE(std::ranges::any_of(
      rows, [](const CompareResult& row) { return row.sightings.wrong() > 0; }));
}

TEST_P(Comparisons, find_what_linux_pins_right) {
  const auto rows = run_rows(GetParam(), [](const stress::CompareUser& user) {
    return user.kind == stress::UserKind::direct_read || user.kind == stress::UserKind::io_uring;
  });
  for (const auto& row : rows) {
    EXPECT_THAT(complaints(row), IsEmpty()) << describe(row.config);
    // Since 5.12 fork() copies what is pinned.
    EXPECT_EQ(row.sightings.wrong(), 0u) << who_saw_whose(row.sightings);
  }
}

TEST(ComparedPipe, misses_what_its_process_writes_later_and_sees_nothing_of_others) {
  const auto rows = run_rows(Comparison::tree, [](const stress::CompareUser& user) {
    return user.kind == stress::UserKind::vmsplice;
  });
  for (const auto& row : rows) {
    EXPECT_THAT(complaints(row), IsEmpty()) << describe(row.config);
    EXPECT_GT(row.sightings.count(stress::Judgement::lost), 0u) << describe(row.config);
    EXPECT_EQ(row.sightings.count(stress::Judgement::leaked), 0u) << who_saw_whose(row.sightings);
  }
}

}  // namespace
}  // namespace figment::guest
