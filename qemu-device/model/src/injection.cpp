// SPDX-License-Identifier: MIT
#include "injection.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>
#include <utility>

#include "figment_inject_rule.h"

namespace figment {

namespace {

using Kind = figment_inject_kind;
constexpr uint32_t kKindsEnd = FIGMENT_INJECT_REMOVED + 1;

std::string joined(const auto& names) {
  std::string all;
  for (const std::string_view name : names) {
    if (!all.empty()) all += ", ";
    all += name;
  }
  return all;
}

std::string kind_names() {
  std::string_view names[FIGMENT_INJECT_KINDS];
  std::ranges::transform(figment_inject_kinds, names, &Kind::name);
  return joined(names);
}

std::unexpected<std::string> wrong(std::string text) {
  return std::unexpected(std::move(text));
}

using Checked = std::expected<void, std::string>;

Checked check_when(const figment_injection& rule) {
  switch (rule.when) {
    case FIGMENT_INJECT_ONCE:
      if (rule.number != 0) return wrong("what strikes once has no number");
      return {};
    case FIGMENT_INJECT_EVERY:
      if (rule.number == 0) return wrong("every is 0, but must be from 1 on");
      return {};
    case FIGMENT_INJECT_CHANCE:
      if (rule.number == 0 || rule.number > FIGMENT_INJECT_CHANCE_MAX) {
        return wrong(std::format("chance is {}, but must be from 1 to {}, in a million",
                                 rule.number, FIGMENT_INJECT_CHANCE_MAX));
      }
      return {};
  }
  return wrong(std::format("it strikes in way {}, which there is not", rule.when));
}

// One aim, at one of [from, end).
Checked check_aim(std::string_view kind, std::string_view name, uint32_t aim, bool possible,
                  uint32_t from, uint32_t end) {
  if (aim == FIGMENT_INJECT_ANY) return {};
  if (!possible) return wrong(std::format("{} cannot be aimed by {}", kind, name));
  if (aim >= from && aim < end) return {};
  return wrong(std::format("{} is {}, but must be from {} to {}", name, aim, from, end - 1));
}

Checked check_address(const Kind& kind, const figment_injection& rule) {
  if (rule.first > rule.last) return wrong("the first address is above the last");
  const bool any = rule.first == 0 && rule.last == UINT64_MAX;
  if (!(kind.aims & FIGMENT_AIM_ADDRESS) && !any)
    return wrong(std::format("{} cannot be aimed by address", kind.name));
  return {};
}

Checked check_value(const Kind& kind, uint64_t value) {
  if (value >= kind.value_min && value <= kind.value_max) return {};
  if (kind.value_max == 0) return wrong(std::format("{} takes no value", kind.name));
  return wrong(std::format("value of {} is {}, but must be from {} to {}", kind.name, value,
                           kind.value_min, kind.value_max));
}

}  // namespace

Checked check_injection(const figment_injection& rule, const figment_model_config& config) {
  if (rule.kind == 0 || rule.kind >= kKindsEnd) {
    return wrong(std::format("kind {} is not from 1 to {}", rule.kind, kKindsEnd - 1));
  }
  const Kind& kind = figment_inject_kinds[rule.kind - 1];
  // A completion is reported by one type only.
  const bool completion = rule.kind == FIGMENT_INJECT_COMPLETION_CORRUPT;
  const uint32_t events_end = completion ? FIGMENT_EVENT_FENCE + 1 : FIGMENT_INJECT_EVENTS + 1;
  const auto check = [&kind](std::string_view name, uint32_t bit, uint32_t aim, uint32_t from,
                             uint32_t end) {
    return check_aim(kind.name, name, aim, kind.aims & bit, from, end);
  };
  return check_when(rule)
      .and_then([&] { return check("queue", FIGMENT_AIM_QUEUE, rule.queue, 0, config.queues); })
      .and_then([&] { return check("engine", FIGMENT_AIM_ENGINE, rule.engine, 0, config.engines); })
      .and_then(
          [&] { return check("vector", FIGMENT_AIM_VECTOR, rule.vector, 0, FIGMENT_VECTORS); })
      .and_then([&] { return check("event", FIGMENT_AIM_EVENT, rule.event, 1, events_end); })
      .and_then([&] { return check_address(kind, rule); })
      .and_then([&] { return check_value(kind, rule.value); });
}

// Text

namespace {

std::optional<uint64_t> to_number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || at != end) return std::nullopt;
  return value;
}

// The words of a rule after its kind.
class Words {
 public:
  explicit Words(figment_injection& rule) : rule_(rule) {}

  Checked take(std::string_view word) {
    const size_t equals = std::min(word.find('='), word.size());
    const std::string_view name = word.substr(0, equals);
    const bool has_value = equals < word.size();
    const std::string_view value = word.substr(std::min(equals + 1, word.size()));
    if (name == "once" && !has_value) return when(FIGMENT_INJECT_ONCE, word);
    if (!has_value) return wrong(std::format("'{}' is not NAME=VALUE", word));
    if (name == "event") return event(value);
    if (name == "address") return address(value);
    const auto number = to_number(value);
    if (!number) return wrong(std::format("'{}' has no number", word));
    if (name == "every") return when(FIGMENT_INJECT_EVERY, word, *number);
    if (name == "chance") return when(FIGMENT_INJECT_CHANCE, word, *number);
    if (name == "after") return once(after_, rule_.after, *number, word);
    if (name == "value") return once(value_, rule_.value, *number, word);
    // Not the number that stands for any.
    if (*number >= FIGMENT_INJECT_ANY) return wrong(std::format("'{}' has no number", word));
    const auto small = static_cast<uint32_t>(*number);
    if (name == "queue") return once(queue_, rule_.queue, small, word);
    if (name == "engine") return once(engine_, rule_.engine, small, word);
    if (name == "vector") return once(vector_, rule_.vector, small, word);
    return wrong(
        std::format("'{}' is none of once, every, chance, after, queue, engine, vector, "
                    "event, address, value",
                    name));
  }

 private:
  template <typename T>
  Checked once(bool& given, T& to, T value, std::string_view word) {
    if (given) return wrong(std::format("'{}' is one too many", word));
    given = true;
    to = value;
    return {};
  }

  Checked when(uint32_t when, std::string_view word, uint64_t number = 0) {
    rule_.number = number;
    return once(when_, rule_.when, when, word);
  }

  Checked event(std::string_view name) {
    const auto found = std::ranges::find(figment_inject_events, name);
    if (found == std::end(figment_inject_events)) {
      return wrong(std::format("event '{}' is none of {}", name, joined(figment_inject_events)));
    }
    const auto type = static_cast<uint32_t>(found - std::begin(figment_inject_events)) + 1;
    return once(event_, rule_.event, type, name);
  }

  Checked address(std::string_view range) {
    const size_t dash = range.find('-');
    const auto first = to_number(range.substr(0, dash));
    const auto last = dash == range.npos ? first : to_number(range.substr(dash + 1));
    if (!first || !last) return wrong(std::format("address '{}' is not FIRST[-LAST]", range));
    rule_.last = *last;
    return once(address_, rule_.first, *first, range);
  }

  figment_injection& rule_;
  bool when_ = false, after_ = false, value_ = false, queue_ = false, engine_ = false,
       vector_ = false, event_ = false, address_ = false;
};

}  // namespace

std::expected<figment_injection, std::string> parse_injection(std::string_view text) {
  const size_t comma = std::min(text.find(','), text.size());
  const std::string_view name = text.substr(0, comma);
  const auto kind = std::ranges::find(figment_inject_kinds, name, &Kind::name);
  if (kind == std::end(figment_inject_kinds)) {
    return wrong(std::format("kind '{}' is none of {}", name, kind_names()));
  }
  figment_injection rule = kBlankInjection;
  rule.kind = static_cast<uint32_t>(kind - std::begin(figment_inject_kinds)) + 1;
  Words words(rule);
  for (size_t at = comma; at < text.size();) {
    const size_t end = std::min(text.find(',', at + 1), text.size());
    if (const Checked taken = words.take(text.substr(at + 1, end - at - 1)); !taken) {
      return wrong(taken.error());
    }
    at = end;
  }
  return rule;
}

std::string injection_text(const figment_injection& rule) {
  std::string text{figment_inject_kinds[rule.kind - 1].name};
  if (rule.when == FIGMENT_INJECT_EVERY) text += std::format(",every={}", rule.number);
  if (rule.when == FIGMENT_INJECT_CHANCE) text += std::format(",chance={}", rule.number);
  if (rule.after != 0) text += std::format(",after={}", rule.after);
  if (rule.queue != FIGMENT_INJECT_ANY) text += std::format(",queue={}", rule.queue);
  if (rule.engine != FIGMENT_INJECT_ANY) text += std::format(",engine={}", rule.engine);
  if (rule.vector != FIGMENT_INJECT_ANY) text += std::format(",vector={}", rule.vector);
  if (rule.event != FIGMENT_INJECT_ANY) {
    text += std::format(",event={}", figment_inject_events[rule.event - 1]);
  }
  if (rule.first != 0 || rule.last != UINT64_MAX) {
    text += std::format(",address={:#x}-{:#x}", rule.first, rule.last);
  }
  if (rule.kind == FIGMENT_INJECT_COMPLETION_CORRUPT) {
    text += std::format(",value={:#x}", rule.value);
  } else if (rule.value != 0) {
    text += std::format(",value={}", rule.value);
  }
  return text;
}

}  // namespace figment
