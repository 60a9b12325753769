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
                                         "madv-pageout", "uffd-wp", "exit-busy"),
                         [](const auto& info) {
                           std::string name(info.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(Events, under_gpu_work_corrupt_nothing) {
  const stress::ScopedSwap swap;
  const Device device = Device::open();
  for (const auto& strategy : stress::kStressStrategies) {
    if (!strategy.safe || !device.offers(strategy.vm)) continue;
    if (!stress::differs(*stress::event_named(GetParam()), strategy)) continue;
    const auto row = short_row(GetParam(), "4k", strategy);
    EXPECT_EQ(row.corrupt_words, 0u);
    EXPECT_THAT(complaints(row), IsEmpty()) << strategy.name;
    if (!row.skipped.empty()) std::cout << "skipped: " << row.skipped << '\n';
  }
}

TEST(EventPages, are_refused_with_the_documented_errno) {
  for (const char* pages : {"hugetlb", "file-private", "file-shared"}) {
    const auto row = short_row("fork", pages, stress::of_driver(Strategy::fence));
    if (!row.skipped.empty()) continue;
    EXPECT_ERRNO(row.refused, EOPNOTSUPP);
    EXPECT_THAT(complaints(row), IsEmpty()) << pages;
  }
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
