// SPDX-License-Identifier: MIT
//
// Results of figment-stress for people and for programs.
#pragma once

#include <span>
#include <string>

#include "row.h"

namespace figment::stress {

/// Heading and one line per row; at most 100 columns.
[[nodiscard]] std::string table_heading();
[[nodiscard]] std::string table_line(const RowResult& row);

/// {"version":1, "kernel":..., "rows":[...]}, as docs/oracle.md describes it.
[[nodiscard]] std::string to_json(std::span<const RowResult> rows, const std::string& kernel);

/// Writes a file, all of it or nothing, or standard output when its name is "-".
void write_file(const std::string& file, const std::string& text);

/// Release of the running kernel.
[[nodiscard]] std::string kernel_release();

}  // namespace figment::stress
