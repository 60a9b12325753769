// SPDX-License-Identifier: MIT
// Misbehaviour on purpose: the rules that are armed, and whether one of them
// strikes (docs/hardware.md, "Injection").
//
// The parts of the model ask at each opportunity, strike(), and do themselves
// what the rule wants. Rules are asked in the order in which they were armed; the
// first that strikes has the opportunity, and those after it do not see it.
//
// Rules outlive every reset: a device that was reset because it misbehaved may
// go on misbehaving. Without rules, asking is one comparison, and nothing is
// drawn, counted or traced.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "archive.h"
#include "host.h"
#include "injection.h"

namespace figment {

// What is known of an opportunity. A rule with an aim passes over those of which that is not known.
struct Opportunity {
  uint32_t queue = FIGMENT_INJECT_ANY;
  uint32_t engine = FIGMENT_INJECT_ANY;
  uint32_t vector = FIGMENT_INJECT_ANY;
  uint32_t event = FIGMENT_INJECT_ANY;
  uint64_t address = 0;
  uint64_t bytes = 0;  // 0: it has no address
};

class Injector {
 public:
  Injector(const Host& host, const figment_model_config& config);
  Injector(const Injector&) = delete;
  Injector& operator=(const Injector&) = delete;

  // The number of the rule, from 0; or one line that says what is wrong.
  std::expected<unsigned, std::string> arm(const figment_injection& what, Nanos now);
  void clear();
  unsigned rules() const { return static_cast<unsigned>(rules_.size()); }
  // How often that rule has struck; 0 when there is none.
  uint64_t strikes(unsigned rule) const;
  // A line for each rule.
  std::string report() const;

  // Nothing: all is well. Otherwise the value of the rule that strikes.
  std::optional<uint64_t> strike(InjectKind kind, const Opportunity& what) {
    if (!armed(kind)) return std::nullopt;
    return ask(kind, what);
  }
  // Vectors, as bits, of interrupts that nothing has caused; next_ns() says when to ask.
  uint32_t spurious(Nanos now);
  Nanos next_ns() const;

  // For Memory, in each access to [offset, offset + bytes) of it: does it fail?
  bool fails(Location at, uint64_t bytes, bool reads) {
    if (!watches_memory_) return false;
    return ask_memory(at, bytes, reads);
  }
  // On whose behalf memory is accessed, as long as this lives.
  class Behalf {
   public:
    Behalf(Injector& injector, uint32_t queue, uint32_t engine)
        : injector_(injector), queue_(injector.queue_), engine_(injector.engine_) {
      injector.queue_ = queue;
      injector.engine_ = engine;
    }
    Behalf(const Behalf&) = delete;
    Behalf& operator=(const Behalf&) = delete;
    ~Behalf() {
      injector_.queue_ = queue_;
      injector_.engine_ = engine_;
    }

   private:
    Injector& injector_;
    const uint32_t queue_, engine_;  // before that
  };

  // The device is gone: nothing of it may reach the outside any more, until clear().
  bool removed() const { return removed_; }

  // Registers: the rule that is being written, and which one is looked at.
  figment_injection& draft() { return draft_; }
  const figment_injection& draft() const { return draft_; }
  // False: a guest error.
  bool command(uint32_t command, Nanos now);
  uint32_t selected() const { return selected_; }
  bool select(uint32_t rule);
  // Of the registers only.
  void reset();

  // State, archive.h. Depends on nothing else, so it is checked as it is loaded.
  void describe(Archive& archive);

 private:
  struct Rule {
    figment_injection what = kBlankInjection;
    uint64_t seen = 0;
    uint64_t strikes = 0;
    Nanos due_ns = kNever;  // the next opportunity, of kinds that make their own

    bool is(InjectKind kind) const { return what.kind == static_cast<uint32_t>(kind); }
    bool spent() const { return what.when == FIGMENT_INJECT_ONCE && strikes != 0; }
    void describe(Archive& archive);
  };

  bool armed(InjectKind kind) const { return (armed_ & bit(kind)) != 0; }
  static constexpr uint32_t bit(InjectKind kind) { return 1u << static_cast<uint32_t>(kind); }
  std::optional<uint64_t> ask(InjectKind kind, const Opportunity& what);
  bool ask_memory(Location at, uint64_t bytes, bool reads);
  bool due(Rule& rule);
  void hit(Rule& rule, uint32_t queue);
  void check() const;
  // What follows from the rules as they are.
  void update();

  const Host& host_;
  const figment_model_config& config_;
  std::vector<Rule> rules_;
  bool removed_ = false;
  figment_injection draft_ = kBlankInjection;
  uint32_t selected_ = 0;

  uint32_t armed_ = 0;  // kinds with a rule that may strike, as bits
  bool watches_memory_ = false;
  uint32_t queue_ = FIGMENT_INJECT_ANY;
  uint32_t engine_ = FIGMENT_INJECT_ANY;
};

}  // namespace figment
