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

/// {"version":1, "kernel":..., "rows":[...]}, as docs/events.md describes it. `about_all`:
/// complaints that are about no row of its own.
[[nodiscard]] std::string to_json(std::span<const EventRowResult> rows, const Coverage& coverage,
                                  const std::string& kernel,
                                  std::span<const std::string> about_all = {});
/// Which places of the kernel have reached notifiers: a line for each, a column for each strategy
/// that has notifiers, and how many there are.
[[nodiscard]] std::string coverage_table(const Coverage& coverage);

/// All events with their page kinds, and all page kinds.
[[nodiscard]] std::string list_of_events();
/// The same for programs, with the strategies: {"version":1, "events":[...], "pages":[...],
/// "strategies":[...]}.
[[nodiscard]] std::string catalogue_json();

}  // namespace figment::stress
