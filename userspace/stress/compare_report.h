// SPDX-License-Identifier: MIT
//
// Results of the comparisons for people and for programs.
#pragma once

#include <span>
#include <string>

#include "compare_row.h"

namespace figment::stress {

/// Heading and one line per row.
[[nodiscard]] std::string compare_heading();
[[nodiscard]] std::string compare_line(const CompareResult& row);

/// Who saw whose words, where that was wrong: "user saw A's: 64 lost".
[[nodiscard]] std::string who_saw_whose(const Sightings& sightings);

/// A line for each user: how often it went wrong in all rows of a comparison.
[[nodiscard]] std::string compare_summary(std::span<const CompareResult> rows);

/// {"version":1, ..., "rows":[...]}, as docs/compare.md describes it. `planned`: rows of the whole
/// run.
[[nodiscard]] std::string to_json(std::span<const CompareResult> rows, std::size_t planned,
                                  const std::string& kernel);

}  // namespace figment::stress
