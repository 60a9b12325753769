// SPDX-License-Identifier: MIT
//
// The torture table for people and for programs.
#pragma once

#include <span>
#include <string>

#include "event_row.h"

namespace figment::stress {

/// Heading and one line per row; at most 110 columns, but for the reason of a skipped row.
[[nodiscard]] std::string event_heading();
[[nodiscard]] std::string event_line(const EventRowResult& row);

/// {"version":1, "kernel":..., "rows":[...]}, as docs/events.md describes it.
[[nodiscard]] std::string to_json(std::span<const EventRowResult> rows, const std::string& kernel);

/// All events with their page kinds, and all page kinds.
[[nodiscard]] std::string list_of_events();

}  // namespace figment::stress
