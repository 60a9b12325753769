// SPDX-License-Identifier: MIT
//
// Pages served per second, by everybody who can serve one: each case is a way to read, and all
// that can read so take turns in it. docs/figures.md defines the cases.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "figment/device.h"

namespace figment::bench {

/// What is missing: the page itself, or only the device's entry for it.
enum class Missing { page, entry };
/// How much a reader asks for at a time.
enum class Ask { each, at_once };

struct FaultCase {
  std::uint64_t page_bytes;  // 4 KiB, or 2 MiB: huge pages
  std::uint64_t pages;
  Missing missing;
  Ask ask;
};
[[nodiscard]] std::string_view name_of(Missing missing);
[[nodiscard]] std::string_view name_of(Ask ask);

/// One reader in one case. All series of a case are as long as each other: sample n of each is
/// from turn n.
struct FaultSeries {
  std::string reader;
  bool device = false;  // a Figment GPU
  std::vector<double> pages_per_second;
  std::vector<double> faults;  // per turn; empty: nobody counts them
  std::string why_not;         // then there is nothing else
};

[[nodiscard]] std::vector<FaultCase> fault_cases(bool quick);
/// Checks what was read. std::runtime_error: it was wrong.
[[nodiscard]] std::vector<FaultSeries> fault_rates(const Device& device, const FaultCase& what,
                                                   unsigned turns);

}  // namespace figment::bench
