// SPDX-License-Identifier: MIT
//
// Short rows of the torture table: what figment-stress events does at length (docs/events.md).
#include <gmock/gmock.h>

#include <algorithm>
#include <iostream>
#include <string>

#include "event_row.h"
#include "guest.h"
#include "module_parameter.h"
#include "swap.h"

namespace figment::guest {
namespace {

using testing::IsEmpty;

stress::EventRowResult short_row(const char* event, const char* pages,
                                 const stress::StressStrategy& strategy) {
  return stress::run_event_row({.strategy = strategy,
                                .event = *stress::event_named(event),
                                .pages = *stress::page_kind_named(pages),
                                .rounds = 3,
                                .baseline = 1});
}

class Events : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(table, Events,
                         testing::Values("fork-child", "dontfork", "munmap-middle", "map-fixed",
                                         "va-reuse", "mremap-move", "mprotect-ro", "madv-dontneed",
                                         "madv-pageout", "uffd-wp", "exit-busy",
                                         "hmm-exclusive-cpu", "vram-race", "vram-held", "vram-fork",
                                         "vram-fork-gpu"),
                         [](const auto& info) {
                           std::string name(info.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(Events, under_gpu_work_corrupt_nothing) {
  const stress::ScopedSwap swap;
  const Device device = Device::open();
  const stress::Event& event = *stress::event_named(GetParam());
  for (const auto& strategy : stress::kStressStrategies) {
    if (!strategy.safe || !device.offers(strategy.vm)) continue;
    if (!stress::differs(event, *stress::page_kind_named("4k"), strategy)) continue;
    const auto row = short_row(GetParam(), "4k", strategy);
    EXPECT_EQ(row.corrupt_words, 0u);
    EXPECT_THAT(complaints(row), IsEmpty()) << strategy.name;
    if (!row.skipped.empty()) std::cout << "skipped: " << row.skipped << '\n';
  }
}

class EventPages : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(pages, EventPages,
                         testing::Values("hugetlb", "file-private", "file-shared"),
                         [](const auto& pages) {
                           std::string name = pages.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(EventPages, stay_right) {
  const auto row = short_row("fork", GetParam(), stress::of_driver(Strategy::fence));
  if (!row.skipped.empty()) GTEST_SKIP() << row.skipped;
  EXPECT_EQ(row.refused, 0);
  EXPECT_THAT(complaints(row), IsEmpty());
}

TEST(EventPagesOfFiles, are_refused_with_the_documented_errno) {
  const auto row = short_row("fork", "file-shared", stress::of_driver(Strategy::pin));
  if (!row.skipped.empty()) GTEST_SKIP() << row.skipped;
  EXPECT_ERRNO(row.refused, EOPNOTSUPP);
  EXPECT_THAT(complaints(row), IsEmpty());
}

TEST(EventControl, is_caught_when_a_process_forks) {
  const ScopedModuleParameter allow_unsafe("allow_unsafe", "1");
  for (const char* event : {"fork", "fork-child", "fork-device"}) {
    const auto row = short_row(event, "4k", stress::of_driver(Strategy::unsafe));
    EXPECT_GT(row.corrupt_words, 0u) << event;
    EXPECT_THAT(complaints(row), IsEmpty()) << event;
  }
}

}  // namespace
}  // namespace figment::guest
