// SPDX-License-Identifier: MIT
//
// One line of a trace, of the driver or of a GPU: when, what, and NAME=VALUE pairs behind it. The
// traces come from a guest, which may write what it likes: what does not fit is a Failure that
// names the line.
#ifndef FIGMENT_PROGRAM_TRACED_EVENT_H
#define FIGMENT_PROGRAM_TRACED_EVENT_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace figment::host {

struct TracedEvent {
  std::uint64_t ns = 0;
  std::string name;
  std::string pairs;
  std::size_t line = 0;  // in its file, from 1

  // The value behind the last NAME= of that name: an earlier one may be part of a process's name.
  std::optional<std::string_view> find(std::string_view key) const;
  // Throw Failure when there is none, or when it is no number: decimal, 0x..., or of either sign.
  std::string_view word(std::string_view key) const;
  std::uint64_t number(std::string_view key) const;
  std::int64_t signed_number(std::string_view key) const;
};

// Decimal, or hexadecimal behind 0x; the whole of `text`.
std::optional<std::uint64_t> parse_number(std::string_view text);

}  // namespace figment::host

#endif
