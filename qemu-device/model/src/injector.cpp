// SPDX-License-Identifier: MIT
#include "injector.h"

#include <algorithm>
#include <format>

#include "records.h"

namespace figment {

namespace {

bool aims_at(uint32_t aim, uint32_t at) {
  return aim == FIGMENT_INJECT_ANY || aim == at;
}

bool aims_at(const figment_injection& rule, const Opportunity& what) {
  if (!aims_at(rule.queue, what.queue) || !aims_at(rule.engine, what.engine) ||
      !aims_at(rule.vector, what.vector) || !aims_at(rule.event, what.event)) {
    return false;
  }
  if (rule.first == 0 && rule.last == UINT64_MAX) return true;
  return what.bytes != 0 && what.address <= rule.last &&
         what.address + (what.bytes - 1) >= rule.first;
}

}  // namespace

Injector::Injector(const Host& host, const figment_model_config& config)
    : host_(host), config_(config) {
  rules_.reserve(FIGMENT_INJECT_RULES_MAX);
}

std::expected<unsigned, std::string> Injector::arm(const figment_injection& what, Nanos now) {
  if (const auto checked = check_injection(what, config_); !checked) {
    return std::unexpected(checked.error());
  }
  if (rules_.size() == FIGMENT_INJECT_RULES_MAX) {
    return std::unexpected(std::format(
        "{} rules are armed, and there can be no more before a clear", FIGMENT_INJECT_RULES_MAX));
  }
  Rule rule{.what = what};
  if (rule.is(InjectKind::interrupt_spurious)) rule.due_ns = later(now, what.value);
  rules_.push_back(rule);
  update();
  return rules() - 1;
}

void Injector::clear() {
  rules_.clear();
  removed_ = false;
  update();
}

uint64_t Injector::strikes(unsigned rule) const {
  return rule < rules_.size() ? rules_[rule].strikes : 0;
}

std::string Injector::report() const {
  std::string text;
  for (unsigned number = 0; number < rules(); ++number) {
    const Rule& rule = rules_[number];
    text += std::format("{}: {}: struck {} of {}\n", number, injection_text(rule.what),
                        rule.strikes, rule.seen);
  }
  return text;
}

std::optional<uint64_t> Injector::ask(InjectKind kind, const Opportunity& what) {
  if (removed_) return std::nullopt;
  for (Rule& rule : rules_) {
    if (!rule.is(kind) || rule.spent() || !aims_at(rule.what, what) || !due(rule)) continue;
    hit(rule, what.queue);
    return rule.what.value;
  }
  return std::nullopt;
}

bool Injector::ask_memory(Location at, uint64_t bytes, bool reads) {
  if (removed_) return true;
  if (bytes == 0 || (at.in_vram() && !reads)) return false;
  const auto kind = at.in_vram() ? InjectKind::vram_error : InjectKind::bus_error;
  const uint64_t address = at.in_vram() ? at.vram().value : at.bus().value;
  return strike(kind, {.queue = queue_, .engine = engine_, .address = address, .bytes = bytes})
      .has_value();
}

// One more opportunity for the rule: is it one to strike at?
bool Injector::due(Rule& rule) {
  if (rule.seen++ < rule.what.after) return false;
  switch (rule.what.when) {
    case FIGMENT_INJECT_ONCE:
      return true;
    case FIGMENT_INJECT_EVERY:
      return (rule.seen - rule.what.after) % rule.what.number == 0;
    case FIGMENT_INJECT_CHANCE:
      return host_.draw({.min_ns = 1, .max_ns = FIGMENT_INJECT_CHANCE_MAX}) <= rule.what.number;
  }
  FIGMENT_ASSERT(!"when");
}

void Injector::hit(Rule& rule, uint32_t queue) {
  ++rule.strikes;
  const uint64_t number = static_cast<uint64_t>(&rule - rules_.data());
  host_.trace(FIGMENT_TRACE_INJECTED, rule.what.kind, number,
              queue == FIGMENT_INJECT_ANY ? ~0ull : queue, rule.what.value);
  if (rule.is(InjectKind::removed)) removed_ = true;
  update();
}

// Opportunities that were missed, because nobody gave the model time, are none.
uint32_t Injector::spurious(Nanos now) {
  if (!armed(InjectKind::interrupt_spurious)) return 0;
  uint32_t vectors = 0;
  for (Rule& rule : rules_) {
    if (rule.due_ns > now || rule.spent()) continue;
    rule.due_ns = later(now, rule.what.value);
    if (!due(rule)) continue;
    const bool any = rule.what.vector == FIGMENT_INJECT_ANY;
    vectors |= 1u << (any ? FIGMENT_VECTOR_EVENTS : rule.what.vector);
    hit(rule, FIGMENT_INJECT_ANY);
  }
  return vectors;
}

Nanos Injector::next_ns() const {
  if (!armed(InjectKind::interrupt_spurious)) return kNever;
  Nanos next = kNever;
  for (const Rule& rule : rules_) {
    if (!rule.spent()) next = std::min(next, rule.due_ns);
  }
  return next;
}

void Injector::update() {
  armed_ = 0;
  for (const Rule& rule : rules_) {
    if (!rule.spent()) armed_ |= 1u << rule.what.kind;
  }
  watches_memory_ = removed_ || armed(InjectKind::bus_error) || armed(InjectKind::vram_error);
}

bool Injector::command(uint32_t command, Nanos now) {
  switch (command) {
    case FIGMENT_INJECT_ARM:
      return arm(draft_, now).has_value();
    case FIGMENT_INJECT_CLEAR:
      clear();
      return true;
  }
  return false;
}

bool Injector::select(uint32_t rule) {
  if (rule >= FIGMENT_INJECT_RULES_MAX) return false;
  selected_ = rule;
  return true;
}

void Injector::reset() {
  draft_ = kBlankInjection;
  selected_ = 0;
}

void Injector::Rule::describe(Archive& archive) {
  auto& [rule, has_seen, has_struck, due] = *this;
  FIGMENT_FIELDS(archive, rule, has_seen, has_struck, due);
}

void Injector::describe(Archive& archive) {
  auto& [host, config, rules, removed, draft, selected, armed, watches_memory, queue, engine] =
      *this;
  // The rest follows from the rules, or lives as long as one call.
  archive.sequence("rules", rules, FIGMENT_INJECT_RULES_MAX);
  FIGMENT_FIELDS(archive, removed, draft, selected);
  if (!archive.loading()) return;
  check();
  update();
}

void Injector::check() const {
  for (size_t number = 0; number < rules_.size(); ++number) {
    const Rule& rule = rules_[number];
    const auto checked = check_injection(rule.what, config_);
    require(checked.has_value(), "rule %zu: %s", number, checked ? "" : checked.error().c_str());
    require(rule.is(InjectKind::interrupt_spurious) || rule.due_ns == kNever,
            "rule %zu makes opportunities that its kind does not make", number);
    require(!rule.spent() || rule.strikes == 1, "rule %zu has struck more than once", number);
  }
  require(selected_ < FIGMENT_INJECT_RULES_MAX, "rule %u cannot be looked at", selected_);
}

}  // namespace figment
