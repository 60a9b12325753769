// SPDX-License-Identifier: MIT
//
// Results of figment-stress chain for people and for programs.
#pragma once

#include <span>
#include <string>

#include "chain_row.h"

namespace figment::stress {

/// Heading and one line per row; at most 100 columns.
[[nodiscard]] std::string chain_heading();
[[nodiscard]] std::string chain_line(const ChainResult& row);

/// {"version":1, ..., "rows":[...]}, as docs/chains.md describes it. `planned`: rows of the whole
/// run.
[[nodiscard]] std::string to_json(std::span<const ChainResult> rows, std::size_t planned,
                                  const std::string& kernel);

}  // namespace figment::stress
