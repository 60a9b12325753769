// SPDX-License-Identifier: MIT
#include "client.h"

#include <charconv>
#include <limits>
#include <ranges>
#include <set>

namespace figment::top {

namespace {

constexpr std::string_view kBlanks = " \t\r";
/// Nobody has so many kinds of engines or memory: what comes then is no answer of a driver.
constexpr std::size_t kMostKinds = 64;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

struct Amount {
  std::uint64_t number = 0;
  std::string_view unit;
};

std::optional<Amount> parse_amount(std::string_view text) {
  Amount amount;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount.number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  // "12abc" is no number.
  if (!rest.empty() && !kBlanks.contains(rest.front())) return std::nullopt;
  amount.unit = trimmed(rest);
  return amount;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  const auto amount = parse_amount(text);
  if (!amount || !amount->unit.empty()) return std::nullopt;
  return amount->number;
}

std::optional<std::uint64_t> parse_nanoseconds(std::string_view text) {
  const auto amount = parse_amount(text);
  if (!amount || amount->unit != "ns") return std::nullopt;
  return amount->number;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto amount = parse_amount(text);
  if (!amount) return std::nullopt;
  unsigned shift = 0;
  if (amount->unit == "KiB") {
    shift = 10;
  } else if (amount->unit == "MiB") {
    shift = 20;
  } else if (!amount->unit.empty()) {
    return std::nullopt;
  }
  if (amount->number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return amount->number << shift;
}

/// The entry of that name, or none when there are too many already.
template <typename Map>
typename Map::mapped_type* entry(Map& map, std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = map.find(std::string(name));
  if (found != map.end()) return &found->second;
  return map.size() < kMostKinds ? &map[std::string(name)] : nullptr;
}

void take_engine(Client& client, std::string_view key, std::string_view value) {
  if (remove_prefix(key, "capacity-")) {
    const auto capacity = parse_number(value);
    // None at all is not allowed.
    if (!capacity || *capacity == 0) return;
    if (Engine* engine = entry(client.engines, key)) engine->capacity = *capacity;
  } else if (const auto busy = parse_nanoseconds(value)) {
    if (Engine* engine = entry(client.engines, key)) engine->busy_ns = *busy;
  }
}

void take_memory(Client& client, std::string_view key, std::string_view value) {
  constexpr std::pair<std::string_view, std::uint64_t Region::*> kKinds[] = {
      {"total-", &Region::total},
      {"shared-", &Region::shared},
      {"resident-", &Region::resident},
      {"active-", &Region::active},
      {"purgeable-", &Region::purgeable}};
  for (const auto& [prefix, member] : kKinds) {
    std::string_view region = key;
    if (!remove_prefix(region, prefix)) continue;
    const auto bytes = parse_bytes(value);
    if (!bytes) return;
    if (Region* found = entry(client.regions, region)) found->*member = *bytes;
    return;
  }
}

}  // namespace

std::optional<Client> parse_fdinfo(std::string_view text, std::string_view driver) {
  Client client;
  bool is_own = false;
  std::set<std::string_view> seen;
  for (const auto part : std::views::split(text, '\n')) {
    const std::string_view line(part);
    const auto colon = line.find(':');
    if (colon == line.npos) continue;
    std::string_view key = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (!key.starts_with("drm-") && !key.starts_with("figment-")) continue;
    if (!seen.insert(key).second) continue;
    if (key == "drm-driver") {
      is_own = value == driver;
    } else if (key == "drm-client-id") {
      client.id = parse_number(value).value_or(0);
    } else if (key == "drm-pdev") {
      client.gpu = value;
    } else if (key == "drm-client-name") {
      client.name = value;
    } else if (key == "figment-svm-vram") {
      client.svm_vram = parse_bytes(value).value_or(0);
    } else if (remove_prefix(key, "drm-engine-")) {
      take_engine(client, key, value);
    } else if (remove_prefix(key, "drm-")) {
      take_memory(client, key, value);
    }
  }
  if (!is_own) return std::nullopt;
  return client;
}

}  // namespace figment::top
