// SPDX-License-Identifier: MIT
//
// Text of other programs, line by line, without copies.
#ifndef FIGMENT_PROGRAM_TEXT_LINES_H
#define FIGMENT_PROGRAM_TEXT_LINES_H

#include <charconv>
#include <ranges>
#include <string_view>
#include <vector>

namespace figment::host {

inline std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (const auto part : std::views::split(text, '\n')) lines.emplace_back(part);
  return lines;
}

inline std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// False, and nothing is done, when it does not begin so.
inline bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Leaves `value` alone when the text does not begin with a number.
template <typename Number>
void read_number(std::string_view digits, Number& value) {
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
}

}  // namespace figment::host

#endif
