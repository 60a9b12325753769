// SPDX-License-Identifier: MIT
//
// Jobs that are measured: to the end, or it is said why not.
#pragma once

#include <chrono>

#include "figment/sync.h"

namespace figment::bench {

/// What no job takes on any machine.
inline constexpr auto kStuck = std::chrono::seconds(120);

/// Waits for a job. std::runtime_error: it does not end; std::system_error: it has failed.
void finish(const Fence& fence);

}  // namespace figment::bench
