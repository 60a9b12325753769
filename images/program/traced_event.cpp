// SPDX-License-Identifier: MIT
#include "traced_event.h"

#include <charconv>
#include <format>

#include "process.h"

namespace figment::host {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::string_view> TracedEvent::find(std::string_view key) const {
  const std::string_view all = pairs;
  for (std::size_t at = all.rfind(key); at != all.npos;
       at = at == 0 ? all.npos : all.rfind(key, at - 1)) {
    const std::size_t equals = at + key.size();
    if ((at != 0 && all[at - 1] != ' ') || equals >= all.size() || all[equals] != '=') continue;
    const std::string_view rest = all.substr(equals + 1);
    return rest.substr(0, rest.find_first_of(" ,"));
  }
  return std::nullopt;
}

std::string_view TracedEvent::word(std::string_view key) const {
  const auto found = find(key);
  if (!found) throw Failure(std::format("line {}: {} without {}=", line, name, key));
  return *found;
}

std::uint64_t TracedEvent::number(std::string_view key) const {
  const std::string_view text = word(key);
  const auto value = parse_number(text);
  if (!value) throw Failure(std::format("line {}: {}: {}={} is no number", line, name, key, text));
  return *value;
}

std::int64_t TracedEvent::signed_number(std::string_view key) const {
  const std::string_view text = word(key);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw Failure(std::format("line {}: {}: {}={} is no number", line, name, key, text));
  }
  return value;
}

}  // namespace figment::host
