// SPDX-License-Identifier: MIT
//
// Results of the growth measurement for people and for programs.
#pragma once

#include <span>
#include <string>

#include "growth_row.h"

namespace figment::stress {

/// Heading and one line per row.
[[nodiscard]] std::string growth_heading();
[[nodiscard]] std::string growth_line(const GrowthResult& row);

/// {"version":1, ..., "rows":[...]}, as docs/matrix.md describes it. `planned`: rows of the whole
/// run.
[[nodiscard]] std::string to_json(std::span<const GrowthResult> rows, std::size_t planned,
                                  const std::string& kernel);

}  // namespace figment::stress
