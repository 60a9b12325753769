// SPDX-License-Identifier: MIT
// One rule of injection: what there is to go wrong, what a rule of each kind
// may say, and rules as text (docs/hardware.md, "Injection").
//
//   KIND[,once|every=N|chance=N][,after=N][,queue=N][,engine=N][,vector=N]
//       [,event=NAME][,address=FIRST[-LAST]][,value=N]
//
// In any order after the kind, each at most once. Numbers are decimal, or
// hexadecimal with 0x; a chance is in a million.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "figment/figment_model.h"
#include "figment_hw.h"

namespace figment {

enum class InjectKind : uint32_t {
  interrupt_lost = FIGMENT_INJECT_INTERRUPT_LOST,
  interrupt_late = FIGMENT_INJECT_INTERRUPT_LATE,
  interrupt_duplicated = FIGMENT_INJECT_INTERRUPT_DUPLICATED,
  interrupt_spurious = FIGMENT_INJECT_INTERRUPT_SPURIOUS,
  hang = FIGMENT_INJECT_HANG,
  preempt_stuck = FIGMENT_INJECT_PREEMPT_STUCK,
  preempt_slow = FIGMENT_INJECT_PREEMPT_SLOW,
  event_full = FIGMENT_INJECT_EVENT_FULL,
  bus_error = FIGMENT_INJECT_BUS_ERROR,
  vram_error = FIGMENT_INJECT_VRAM_ERROR,
  completion_corrupt = FIGMENT_INJECT_COMPLETION_CORRUPT,
  removed = FIGMENT_INJECT_REMOVED,
};

// No kind yet, once, aimed at anything.
inline constexpr figment_injection kBlankInjection = {
    .when = FIGMENT_INJECT_ONCE,
    .queue = FIGMENT_INJECT_ANY,
    .engine = FIGMENT_INJECT_ANY,
    .vector = FIGMENT_INJECT_ANY,
    .event = FIGMENT_INJECT_ANY,
    .first = 0,
    .last = UINT64_MAX,
};

// Or one line that says what is wrong with the rule in a device like that.
std::expected<void, std::string> check_injection(const figment_injection& rule,
                                                 const figment_model_config& config);

// Or one line that says which word is wrong.
std::expected<figment_injection, std::string> parse_injection(std::string_view text);
// The shortest text that means the rule, which has been checked.
std::string injection_text(const figment_injection& rule);

}  // namespace figment
