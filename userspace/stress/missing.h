// SPDX-License-Identifier: MIT
//
// How a job ends, or is refused, whose memory the process has taken away.
#pragma once

#include <cerrno>

namespace figment::stress {

/// EFAULT: not mapped, or without the access; EOPNOTSUPP: something else is mapped there, which is
/// no userptr. ECANCELED: of a job that had begun when its queue was reset for another one.
constexpr bool is_missing_memory(int error) {
  return error == EFAULT || error == EOPNOTSUPP || error == ECANCELED;
}

}  // namespace figment::stress
