// SPDX-License-Identifier: MIT
// Rules of injection: when they strike, what they may be aimed at, their text,
// who may arm them, and that they change nothing before they strike. What each
// kind does is in misbehaviour_test.cpp.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string>

#include "gpu.h"

namespace figment::test {

namespace {

// Opportunities in a row, one for each fence: is its value changed?
class Strikes : public OneQueue {
 protected:
  std::string pattern(unsigned fences) { return pattern_of(gpu, ring, fences); }

  static std::string pattern_of(Gpu& gpu, Ring& ring, unsigned fences) {
    std::string pattern;
    for (unsigned i = 0; i < fences; ++i) {
      ring.submit(fence(7));
      gpu.run_all();
      for (const figment_event& event : gpu.events_of(FIGMENT_EVENT_FENCE)) {
        pattern += event.value == 7 ? '.' : 'X';
      }
    }
    return pattern;
  }
  static std::string chance(uint64_t seed, const std::string& rule) {
    GpuOptions options;
    options.host.seed = seed;
    Gpu gpu(options);
    Ring ring(gpu, 0);
    gpu.inject(rule);
    return pattern_of(gpu, ring, 60);
  }
};

TEST_F(Strikes, once_is_the_first_opportunity) {
  gpu.inject("completion-corrupt,value=1");
  EXPECT_EQ(pattern(5), "X....");
  EXPECT_EQ(gpu.strikes(0), 1u);
  EXPECT_EQ(gpu.inject_report(), "0: completion-corrupt,value=0x1: struck 1 of 1\n")
      << "what is spent looks no more";
}

TEST_F(Strikes, every_is_each_nth) {
  gpu.inject("completion-corrupt,every=3,value=1");
  EXPECT_EQ(pattern(8), "..X..X..");
  EXPECT_EQ(gpu.inject_report(), "0: completion-corrupt,every=3,value=0x1: struck 2 of 8\n");
}

TEST_F(Strikes, every_one_is_all) {
  gpu.inject("completion-corrupt,every=1,value=1");
  EXPECT_EQ(pattern(4), "XXXX");
}

TEST_F(Strikes, after_lets_some_pass_first) {
  gpu.inject("completion-corrupt,after=2,value=1");
  EXPECT_EQ(pattern(5), "..X..");
  gpu.inject_clear();
  gpu.inject("completion-corrupt,every=2,after=1,value=1");
  EXPECT_EQ(pattern(7), "..X.X.X");
}

TEST_F(Strikes, chance_is_drawn_and_repeats_with_the_seed) {
  const std::string rule = "completion-corrupt,chance=250000,value=1";
  const std::string one = chance(1, rule);
  const auto struck = std::ranges::count(one, 'X');
  EXPECT_GT(struck, 5);
  EXPECT_LT(struck, 30);
  EXPECT_EQ(chance(1, rule), one);
  EXPECT_NE(chance(2, rule), one);
  EXPECT_EQ(chance(1, "completion-corrupt,chance=1000000,value=1"), std::string(60, 'X'));
}

TEST_F(Strikes, the_oldest_rule_that_strikes_has_the_opportunity) {
  gpu.inject("completion-corrupt,every=2,value=1");
  gpu.inject("completion-corrupt,every=2,value=2");
  std::vector<uint64_t> values;
  for (int i = 0; i < 6; ++i) {
    run_ok(fence(0));
    values.push_back(gpu.events().at(0).value);
  }
  // The second sees only what the first leaves.
  EXPECT_EQ(values, (std::vector<uint64_t>{0, 1, 2, 1, 0, 1}));
  EXPECT_EQ(gpu.strikes(0), 3u);
  EXPECT_EQ(gpu.strikes(1), 1u);
}

TEST_F(Strikes, are_traced_with_kind_and_rule) {
  gpu.inject("hang,queue=9");
  gpu.inject("completion-corrupt,after=1,value=0x30");
  EXPECT_EQ(pattern(2), ".X");
  std::vector<TracePoint> injected;
  std::ranges::copy_if(gpu.host.traces, std::back_inserter(injected), [](const TracePoint& point) {
    return point.event == FIGMENT_TRACE_INJECTED;
  });
  ASSERT_EQ(injected.size(), 1u);
  const std::array<uint64_t, 4> expected{FIGMENT_INJECT_COMPLETION_CORRUPT, 1, 0, 0x30};
  EXPECT_EQ(injected[0].arguments, expected);
}

TEST_F(Strikes, end_with_a_clear) {
  gpu.inject("completion-corrupt,every=1,value=1");
  EXPECT_EQ(pattern(1), "X");
  gpu.inject_clear();
  EXPECT_EQ(pattern(2), "..");
  EXPECT_EQ(gpu.inject_report(), "");
  EXPECT_EQ(gpu.strikes(0), 0u);
}

TEST_F(Strikes, go_on_after_resets) {
  gpu.inject("completion-corrupt,every=2,value=1");
  EXPECT_EQ(pattern(1), ".");
  gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
  gpu.bring_up();
  Ring again(gpu, 0);
  EXPECT_EQ(pattern_of(gpu, again, 2), "X.");
  gpu.pci_reset();
  gpu.bring_up();
  Ring third(gpu, 0);
  EXPECT_EQ(pattern_of(gpu, third, 2), "X.");
}

// Rules that see opportunities and do not strike, and such as are aimed elsewhere.
TEST(Injection, changes_nothing_before_it_strikes) {
  const auto run = [](const std::vector<std::string>& rules) {
    GpuOptions options;
    options.config.preempt = FIGMENT_PREEMPT_INSTRUCTION;
    options.config.access = {.min_ns = 0, .max_ns = 500};
    options.config.interrupt = {.min_ns = 0, .max_ns = 900};
    Gpu gpu(options);
    for (const std::string& rule : rules) gpu.inject(rule);
    gpu.map_new(1, 0x10'0000, 4 * kPage);
    Ring one(gpu, 0), other(gpu, 1);
    for (uint64_t i = 0; i < 10; ++i) {
      one.submit(fill(0x10'0000, 5000, i) + fence(i));
      other.submit(release(3, 0x10'0000, i) + fence(i));
      gpu.run_all(3000);
      gpu.command(0, FIGMENT_QUEUE_PREEMPT);
      gpu.run_all();
      gpu.host.store<uint64_t>(one.descriptor() + offsetof(figment_descriptor, write), one.write());
      gpu.command(0, FIGMENT_QUEUE_RESUME);
      gpu.events();
    }
    return std::pair{gpu.host.traces, gpu.host.interrupts};
  };
  const auto without = run({});
  EXPECT_GT(without.first.size(), 200u);
  const std::string never = ",after=1000000";
  EXPECT_TRUE(
      without ==
      run({"interrupt-lost" + never, "interrupt-late,value=5" + never,
           "interrupt-duplicated,value=5" + never, "hang" + never, "preempt-stuck" + never,
           "preempt-slow,value=5" + never, "event-full,value=5" + never, "bus-error" + never,
           "vram-error" + never, "completion-corrupt,value=5" + never, "removed" + never}));
  EXPECT_TRUE(without ==
              run({"hang,queue=5", "bus-error,address=0x1000-0x1fff", "removed,engine=1,queue=9",
                   "event-full,event=fault,value=5", "preempt-stuck,queue=1",
                   "interrupt-lost,vector=1", "completion-corrupt,queue=7,value=1"}));
}

// Text

TEST(InjectionText, comes_back_as_it_went_in) {
  GpuOptions options;
  options.config.engines = 3;
  Gpu gpu(options);
  for (const std::string text : {
           "interrupt-lost",
           "interrupt-late,every=5,after=2,queue=3,vector=0,event=fence,value=3600000000000",
           "interrupt-duplicated,chance=1000000,event=queue-reset,value=1",
           "interrupt-spurious,vector=1,value=1000",
           "hang,queue=63,engine=2,address=0x1000-0x1fff",
           "preempt-stuck,queue=0",
           "preempt-slow,every=1,engine=0,value=10",
           "event-full,event=invalidated,value=10",
           "event-full,event=queue-error,value=10",
           "bus-error,chance=1,address=0x0-0xfff",
           "vram-error,address=0x10-0x10",
           "completion-corrupt,event=fence,value=0xffffffffffffffff",
           "removed,after=18446744073709551615,queue=1",
       }) {
    gpu.inject_clear();
    EXPECT_EQ(gpu.inject_refusal(text), "") << text;
    EXPECT_EQ(gpu.inject_report(), "0: " + text + ": struck 0 of 0\n");
  }
}

TEST(InjectionText, has_more_than_one_way_to_say_it) {
  Gpu gpu;
  gpu.inject("vram-error,address=16,queue=0x3,once");
  EXPECT_EQ(gpu.inject_report(), "0: vram-error,queue=3,address=0x10-0x10: struck 0 of 0\n");
}

TEST(InjectionText, that_is_wrong_is_refused_with_the_word_and_what_is_allowed) {
  Gpu gpu;
  const auto refusal = [&](const char* text) {
    const std::string why = gpu.inject_refusal(text);
    EXPECT_EQ(gpu.inject_report(), "") << text;
    EXPECT_FALSE(why.contains('\n'));
    return why;
  };
  EXPECT_TRUE(refusal("").starts_with("kind '' is none of interrupt-lost, interrupt-late, "));
  EXPECT_TRUE(refusal("hangs").starts_with("kind 'hangs' is none of "));
  EXPECT_TRUE(refusal("hang queue=1").starts_with("kind 'hang queue=1' is none of "));
  EXPECT_EQ(refusal("hang,"), "'' is not NAME=VALUE");
  EXPECT_EQ(refusal("hang,,queue=1"), "'' is not NAME=VALUE");
  EXPECT_EQ(refusal("hang,queue"), "'queue' is not NAME=VALUE");
  EXPECT_EQ(refusal("hang,queue="), "'queue=' has no number");
  EXPECT_EQ(refusal("hang,queue=-1"), "'queue=-1' has no number");
  EXPECT_EQ(refusal("hang,queue=1x"), "'queue=1x' has no number");
  EXPECT_EQ(refusal("hang,queue=0x"), "'queue=0x' has no number");
  EXPECT_EQ(refusal("hang,queue=4294967295"), "'queue=4294967295' has no number");
  EXPECT_EQ(refusal("hang,after=18446744073709551616"),
            "'after=18446744073709551616' has no number");
  EXPECT_EQ(refusal("hang,queue=1,queue=1"), "'queue=1' is one too many");
  EXPECT_EQ(refusal("hang,once,every=2"), "'every=2' is one too many");
  EXPECT_EQ(refusal("hang,once=1"),
            "'once' is none of once, every, chance, after, queue, engine, vector, event, address, "
            "value");
  EXPECT_EQ(refusal("hang,address=1-2-3"), "address '1-2-3' is not FIRST[-LAST]");
  EXPECT_EQ(refusal("hang,address=-"), "address '-' is not FIRST[-LAST]");
  EXPECT_EQ(refusal("event-full,event=fences"),
            "event 'fences' is none of fence, fault, preempted, invalidated, queue-error, "
            "queue-reset");
}

TEST(Injection, that_the_device_cannot_have_is_refused_with_what_is_allowed) {
  Gpu gpu;
  const auto refusal = [&](const char* text) {
    const std::string why = gpu.inject_refusal(text);
    EXPECT_EQ(gpu.inject_report(), "") << text;
    return why;
  };
  EXPECT_EQ(refusal("hang,every=0"), "every is 0, but must be from 1 on");
  EXPECT_EQ(refusal("hang,chance=0"), "chance is 0, but must be from 1 to 1000000, in a million");
  EXPECT_EQ(refusal("hang,chance=1000001"),
            "chance is 1000001, but must be from 1 to 1000000, in a million");
  EXPECT_EQ(refusal("hang,queue=64"), "queue is 64, but must be from 0 to 63");
  EXPECT_EQ(refusal("hang,engine=2"), "engine is 2, but must be from 0 to 1");
  EXPECT_EQ(refusal("interrupt-lost,vector=2"), "vector is 2, but must be from 0 to 1");
  EXPECT_EQ(refusal("completion-corrupt,event=fault,value=1"),
            "event is 2, but must be from 1 to 1");
  EXPECT_EQ(refusal("hang,vector=0"), "hang cannot be aimed by vector");
  EXPECT_EQ(refusal("hang,event=fence"), "hang cannot be aimed by event");
  EXPECT_EQ(refusal("event-full,engine=0,value=1"), "event-full cannot be aimed by engine");
  EXPECT_EQ(refusal("interrupt-spurious,queue=0,value=1000"),
            "interrupt-spurious cannot be aimed by queue");
  EXPECT_EQ(refusal("removed,address=0x1000"), "removed cannot be aimed by address");
  EXPECT_EQ(refusal("hang,address=0x2000-0x1fff"), "the first address is above the last");
  EXPECT_EQ(refusal("hang,value=1"), "hang takes no value");
  EXPECT_EQ(refusal("interrupt-late"),
            "value of interrupt-late is 0, but must be from 1 to 3600000000000");
  EXPECT_EQ(refusal("interrupt-spurious,value=999"),
            "value of interrupt-spurious is 999, but must be from 1000 to 3600000000000");
  EXPECT_EQ(refusal("preempt-slow,value=3600000000001"),
            "value of preempt-slow is 3600000000001, but must be from 1 to 3600000000000");
  EXPECT_TRUE(refusal("completion-corrupt").starts_with("value of completion-corrupt is 0,"));
}

TEST(Injection, numbers_that_no_text_can_say_are_refused) {
  const struct figment_model_api* api = figment_model_api(FIGMENT_MODEL_ABI);
  FakeHost host;
  const figment_model_host interface = host.interface();
  figment_model_config config;
  api->defaults(&config);
  figment_model* model = api->create(&config, &interface, nullptr, 0);
  ASSERT_NE(model, nullptr);
  figment_injection good;
  ASSERT_TRUE(api->inject_parse("hang", &good, nullptr, 0));
  const auto refusal = [&](void (*change)(figment_injection&)) -> std::string {
    figment_injection rule = good;
    change(rule);
    char error[200] = "";
    EXPECT_EQ(api->inject(model, &rule, error, sizeof(error)), -1);
    return error;
  };
  using Rule = figment_injection;
  EXPECT_EQ(refusal([](Rule& r) { r.kind = 0; }), "kind 0 is not from 1 to 12");
  EXPECT_EQ(refusal([](Rule& r) { r.kind = 13; }), "kind 13 is not from 1 to 12");
  EXPECT_EQ(refusal([](Rule& r) { r.when = 3; }), "it strikes in way 3, which there is not");
  EXPECT_EQ(refusal([](Rule& r) { r.number = 1; }), "what strikes once has no number");
  EXPECT_EQ(api->inject(model, &good, nullptr, 0), 0);
  EXPECT_EQ(api->inject(model, &good, nullptr, 0), 1) << "their numbers";
  char report[8];
  EXPECT_EQ(api->inject_report(model, report, sizeof(report)),
            2 * strlen("0: hang: struck 0 of 0\n"));
  EXPECT_STREQ(report, "0: hang");
  api->destroy(model);
}

TEST(Injection, a_model_that_has_failed_takes_no_rules) {
  Gpu gpu;
  gpu.host.meanwhile = [] { throw std::runtime_error("trouble in the host"); };
  (void)gpu.read64(FIGMENT_REG_TIME);
  gpu.host.meanwhile = nullptr;
  EXPECT_EQ(gpu.inject_refusal("hang"), "the model has failed");
  EXPECT_EQ(gpu.inject_report(), "");
  EXPECT_FALSE(gpu.removed()) << "that is another way to be away";
  gpu.inject_clear();
  gpu.pci_reset();
  EXPECT_EQ(gpu.inject("hang"), 0u);
}

TEST(Injection, there_is_room_for_sixteen_rules) {
  Gpu gpu;
  for (unsigned rule = 0; rule < FIGMENT_INJECT_RULES_MAX; ++rule) {
    EXPECT_EQ(gpu.inject("hang,queue=9"), rule);
  }
  EXPECT_EQ(gpu.inject_refusal("hang"),
            "16 rules are armed, and there can be no more before a clear");
  EXPECT_EQ(gpu.strikes(16), 0u);
  gpu.inject_clear();
  EXPECT_EQ(gpu.inject("hang"), 0u);
}

// The guest's way

constexpr uint32_t kFields32[] = {FIGMENT_REG_INJECT_KIND,   FIGMENT_REG_INJECT_WHEN,
                                  FIGMENT_REG_INJECT_QUEUE,  FIGMENT_REG_INJECT_ENGINE,
                                  FIGMENT_REG_INJECT_VECTOR, FIGMENT_REG_INJECT_EVENT,
                                  FIGMENT_REG_INJECT_SELECT};
constexpr uint32_t kFields64[] = {FIGMENT_REG_INJECT_NUMBER, FIGMENT_REG_INJECT_AFTER,
                                  FIGMENT_REG_INJECT_VALUE, FIGMENT_REG_INJECT_FIRST,
                                  FIGMENT_REG_INJECT_LAST};

TEST(NoInjectionRegisters, are_there_unless_the_property_says_so) {
  Gpu gpu;
  EXPECT_EQ(gpu.read64(FIGMENT_REG_FEATURES) & FIGMENT_FEATURE_INJECT, 0u);
  uint64_t errors = gpu.guest_errors();
  for (uint64_t at = FIGMENT_REG_INJECT_KIND; at < FIGMENT_REG_QUEUE(0); at += 4) {
    for (const unsigned bytes : {4u, 8u}) {
      EXPECT_EQ(gpu.read(at, bytes), 0u);
      gpu.write(at, 1, bytes);
      errors += 2;
      ASSERT_EQ(gpu.guest_errors(), errors) << std::hex << at;
    }
  }
  EXPECT_EQ(gpu.inject_report(), "");
}

class InjectionRegisters : public OneQueue {
 protected:
  InjectionRegisters() : OneQueue(with_injection()) {}

  static GpuOptions with_injection() {
    GpuOptions options;
    options.config.inject = true;
    return options;
  }
  // Whether that command is a guest error.
  bool refused(uint32_t command) {
    const uint64_t before = gpu.guest_errors();
    gpu.write32(FIGMENT_REG_INJECT_COMMAND, command);
    return gpu.guest_errors() != before;
  }
  bool refused() { return refused(FIGMENT_INJECT_ARM); }
};

TEST_F(InjectionRegisters, arm_a_rule_and_count_its_strikes) {
  EXPECT_EQ(gpu.read64(FIGMENT_REG_FEATURES) & FIGMENT_FEATURE_INJECT, FIGMENT_FEATURE_INJECT);
  gpu.write32(FIGMENT_REG_INJECT_KIND, FIGMENT_INJECT_COMPLETION_CORRUPT);
  gpu.write32(FIGMENT_REG_INJECT_WHEN, FIGMENT_INJECT_EVERY);
  gpu.write64(FIGMENT_REG_INJECT_NUMBER, 2);
  gpu.write64(FIGMENT_REG_INJECT_AFTER, 1);
  gpu.write64(FIGMENT_REG_INJECT_VALUE, 0xf0);
  gpu.write32(FIGMENT_REG_INJECT_QUEUE, 0);
  gpu.write32(FIGMENT_REG_INJECT_ENGINE, 1);
  gpu.write64(FIGMENT_REG_INJECT_FIRST, 0x1000);
  gpu.write64(FIGMENT_REG_INJECT_LAST, 0x1fff);
  EXPECT_FALSE(refused());
  EXPECT_EQ(gpu.inject_report(),
            "0: completion-corrupt,every=2,after=1,queue=0,engine=1,address=0x1000-0x1fff,"
            "value=0xf0: struck 0 of 0\n");
  // The fields are still there: another one like it.
  gpu.write32(FIGMENT_REG_INJECT_ENGINE, FIGMENT_INJECT_ANY);
  gpu.write32(FIGMENT_REG_INJECT_EVENT, FIGMENT_EVENT_FENCE);
  gpu.write64(FIGMENT_REG_INJECT_FIRST, 0);
  gpu.write64(FIGMENT_REG_INJECT_LAST, ~0ull);
  EXPECT_FALSE(refused());
  EXPECT_EQ(gpu.read32(FIGMENT_REG_INJECT_RULES), 2u);
  for (int i = 0; i < 5; ++i) run_ok(fence(0));
  gpu.write32(FIGMENT_REG_INJECT_SELECT, 1);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_INJECT_STRIKES), 2u);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_INJECT_SELECT), 1u);
  EXPECT_FALSE(refused(FIGMENT_INJECT_CLEAR));
  EXPECT_EQ(gpu.read64(FIGMENT_REG_INJECT_STRIKES), 0u) << "no such rule";
  EXPECT_EQ(gpu.read32(FIGMENT_REG_INJECT_RULES), 0u);
  EXPECT_EQ(gpu.guest_errors(), 0u);
}

TEST_F(InjectionRegisters, say_all_that_a_rule_has) {
  gpu.write32(FIGMENT_REG_INJECT_KIND, FIGMENT_INJECT_INTERRUPT_LATE);
  gpu.write64(FIGMENT_REG_INJECT_VALUE, 5);
  gpu.write32(FIGMENT_REG_INJECT_VECTOR, 1);
  gpu.write32(FIGMENT_REG_INJECT_EVENT, FIGMENT_EVENT_FAULT);
  EXPECT_FALSE(refused());
  EXPECT_EQ(gpu.inject_report(), "0: interrupt-late,vector=1,event=fault,value=5: struck 0 of 0\n");
}

TEST_F(InjectionRegisters, refuse_what_is_wrong_and_keep_what_was_written) {
  EXPECT_TRUE(refused()) << "no kind yet";
  EXPECT_TRUE(refused(0));
  EXPECT_TRUE(refused(3));
  gpu.write32(FIGMENT_REG_INJECT_KIND, FIGMENT_INJECT_HANG);
  for (const uint32_t field : kFields32) {
    if (field == FIGMENT_REG_INJECT_SELECT) continue;
    const uint32_t good = gpu.read32(field);
    gpu.write32(field, 0x12345);
    EXPECT_TRUE(refused()) << std::hex << field;
    EXPECT_EQ(gpu.read32(field), 0x12345u) << std::hex << field;
    gpu.write32(field, good);
  }
  for (const uint32_t field : {FIGMENT_REG_INJECT_NUMBER, FIGMENT_REG_INJECT_VALUE}) {
    gpu.write64(field, 1);
    EXPECT_TRUE(refused()) << std::hex << field;
    EXPECT_EQ(gpu.read64(field), 1u);
    gpu.write64(field, 0);
  }
  gpu.write64(FIGMENT_REG_INJECT_FIRST, 2);
  gpu.write64(FIGMENT_REG_INJECT_LAST, 1);
  EXPECT_TRUE(refused());
  gpu.write64(FIGMENT_REG_INJECT_LAST, 2);
  EXPECT_EQ(gpu.inject_report(), "");
  const uint64_t errors = gpu.guest_errors();
  for (unsigned i = 0; i < FIGMENT_INJECT_RULES_MAX; ++i) EXPECT_FALSE(refused());
  EXPECT_TRUE(refused()) << "there is no room";
  EXPECT_EQ(gpu.read32(FIGMENT_REG_INJECT_RULES), 16u);
  gpu.write32(FIGMENT_REG_INJECT_SELECT, 15);
  gpu.write32(FIGMENT_REG_INJECT_SELECT, 16);
  EXPECT_EQ(gpu.read32(FIGMENT_REG_INJECT_SELECT), 15u);
  EXPECT_EQ(gpu.guest_errors(), errors + 2);
}

TEST_F(InjectionRegisters, have_reset_values_while_rules_stay) {
  std::vector<uint64_t> before;
  for (const uint32_t field : kFields32) before.push_back(gpu.read32(field));
  for (const uint32_t field : kFields64) before.push_back(gpu.read64(field));
  EXPECT_EQ(before, (std::vector<uint64_t>{0, 0, ~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0, 0, ~0ull}));
  gpu.inject("hang,queue=9");
  for (int round = 0; round < 2; ++round) {
    for (const uint32_t field : kFields32) gpu.write32(field, 1);
    for (const uint32_t field : kFields64) gpu.write64(field, 1);
    if (round == 0) gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
    if (round == 1) gpu.pci_reset();
    std::vector<uint64_t> after;
    for (const uint32_t field : kFields32) after.push_back(gpu.read32(field));
    for (const uint32_t field : kFields64) after.push_back(gpu.read64(field));
    EXPECT_EQ(after, before);
    EXPECT_EQ(gpu.read32(FIGMENT_REG_INJECT_RULES), 1u);
  }
}

}  // namespace

}  // namespace figment::test
