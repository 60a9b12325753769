// SPDX-License-Identifier: MIT
//
// System calls of events: their time is taken, and what the kernel does not have skips the row.
#pragma once

#include <cerrno>
#include <format>
#include <string_view>

#include "cell.h"
#include "figment/error.h"

namespace figment::stress {

/// Errors by which a kernel says that it does not know a call, or an argument of it.
constexpr bool is_lack(int error) {
  return error == ENOSYS || error == EINVAL || error == EOPNOTSUPP || error == EPERM;
}

[[noreturn]] inline void fail_call(int error, std::string_view what) {
  if (is_lack(error)) {
    throw Lacks(std::format("{}: {}", what, std::generic_category().message(error)));
  }
  fail(error, std::string(what));
}

/// A call that returns -1 when it fails. Of no child: it throws.
template <typename Call>
auto timed(Cell& cell, std::string_view what, Call&& call) {
  int error = 0;
  const auto result = cell.timed([&] {
    const auto value = call();
    error = errno;
    return value;
  });
  if (result == decltype(result)(-1)) fail_call(error, what);
  return result;
}

}  // namespace figment::stress
