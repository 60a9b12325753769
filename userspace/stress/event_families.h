// SPDX-License-Identifier: MIT
//
// The families of the table of events.
#pragma once

#include <span>

#include "event.h"

namespace figment::stress {

[[nodiscard]] std::span<const Event> fork_events();
[[nodiscard]] std::span<const Event> mapping_events();
[[nodiscard]] std::span<const Event> reclaim_events();
[[nodiscard]] std::span<const Event> watcher_events();
[[nodiscard]] std::span<const Event> peer_events();
[[nodiscard]] std::span<const Event> vram_events();

}  // namespace figment::stress
