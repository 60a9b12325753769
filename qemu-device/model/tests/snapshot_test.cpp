// SPDX-License-Identifier: MIT
// Save and restore: at any instant, with the same end; and of streams that
// nobody should have written.
//
// One script makes every kind of packet run on several queues, with latencies
// everywhere, while the driver invalidates, resets, turns the event ring off,
// and makes mistakes. It is played once as it is, and again with the model
// replaced by one that has loaded its state, at one instant or at all.
#include <algorithm>
#include <cstdio>
#include <functional>

#include "hostile_guest.h"

namespace figment::test {

namespace {

// What can be seen of a device after a run, from outside and inside.
struct Outcome {
  std::vector<std::byte> ram;
  std::vector<std::byte> vram;
  std::vector<TracePoint> traces;
  std::vector<unsigned> interrupts;
  std::vector<std::byte> state;
  uint64_t now_ns = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(Gpu& gpu) {
  // As a CPU reads it: a strict host lets nobody else.
  std::vector<std::byte> ram(gpu.host.ram.size());
  gpu.host.cpu_read(FakeHost::kRamBase, ram.data(), ram.size());
  return {.ram = std::move(ram),
          .vram = gpu.host.vram,
          .traces = gpu.host.traces,
          .interrupts = gpu.host.interrupts,
          .state = gpu.save(),
          .now_ns = gpu.host.now_ns};
}

// The first trace point that differs, for people.
std::string difference(const Outcome& one, const Outcome& other) {
  const auto [at, there] = std::ranges::mismatch(one.traces, other.traces);
  if (at != one.traces.end() || there != other.traces.end()) {
    return "traces part at " + std::to_string(at - one.traces.begin());
  }
  if (one.ram != other.ram) return "RAM differs";
  if (one.vram != other.vram) return "VRAM differs";
  if (one.interrupts != other.interrupts) return "interrupts differ";
  if (one.state != other.state) return "the state at the end differs";
  return "the time differs";
}

constexpr uint32_t kAsid = 1;
constexpr uint64_t kData = 0x10'0000;
constexpr uint64_t kVram = 0x80'0000;  // here the address space has VRAM

GpuOptions script_options() {
  GpuOptions options;
  options.host.ram_bytes = 1 << 20;
  options.host.vram_bytes = 1 << 16;
  options.event_lg2 = FIGMENT_EVENT_SIZE_LG2_MIN;
  options.config.engines = 3;
  options.config.queues = 8;
  options.config.asids = 4;
  options.config.tlb_entries = 16;
  options.config.walk_cache_entries = 8;
  options.config.retention_ns = 40'000;
  options.config.step_bytes = 700;
  options.config.step_bytes_min = 64;
  options.config.timeslice_ns = 3000;
  options.config.bytes_per_us = 4000;
  options.config.poll_ns = 500;
  options.config.doorbell = {.min_ns = 0, .max_ns = 900};
  options.config.invalidate = {.min_ns = 100, .max_ns = 2500};
  options.config.access = {.min_ns = 0, .max_ns = 800};
  options.config.event = {.min_ns = 0, .max_ns = 1500};
  options.config.interrupt = {.min_ns = 0, .max_ns = 2000};
  options.config.preemption = {.min_ns = 0, .max_ns = 1000};
  options.config.preempt = FIGMENT_PREEMPT_INSTRUCTION;
  options.config.faults = true;
  options.config.inject = true;
  options.config.prefetch_pages = 1;
  return options;
}

class Script {
 public:
  static constexpr unsigned kSteps = 1800;

  Script() : gpu(script_options()) {
    data_ = gpu.map_new(kAsid, kData, 16 * kPage);
    gpu.map(kAsid, kVram, 0, 8 * kPage, Gpu::kUser | FIGMENT_PTE_VRAM);
    gpu.map_new(2, kData, 4 * kPage);
    gpu.write64(FIGMENT_REG_ASID_ROOT(2),
                gpu.read64(FIGMENT_REG_ASID_ROOT(2)) | FIGMENT_ROOT_FAULTS);
    for (uint32_t q = 0; q < 7; ++q) {
      rings_.emplace_back(gpu, q,
                          Ring::Options{.asid = q >= 5 ? 2 : kAsid,
                                        .priority = q % 3,
                                        .flags = q == 0 ? FIGMENT_DESC_PRIVILEGED : 0,
                                        .timeslice_ns = q == 1 ? 1000u : 0u});
    }
    // A chain for CHASE, buffers for INDIRECT.
    for (uint64_t i = 0; i < 12; ++i) store(0x1000 + i * 0x88, kData + 0x1000 + (i + 1) * 0x88);
    put(0x3000, fill(kData + 0x5000, 1500, 3, 1) + indirect(kData + 0x3100, 80) + nop(3));
    put(0x3100, indirect(kData + 0x3200, 72) + timestamp(kData + 0x5800) + fence(77) + nop(2));
    put(0x3200, copy(kVram + 0x100, kData + 0x5000, 900) +
                    atomic(FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN, kData + 0x5900, 5, 0,
                           kData + 0x5908));
  }

  // One turn of driver and device.
  void turn(unsigned step) {
    drive(step);
    const figment_model_progress progress = gpu.step();
    if (progress.next_ns <= gpu.host.now_ns) {
      gpu.advance(13);
    } else {
      gpu.host.now_ns = std::min(progress.next_ns, gpu.host.now_ns + 400);
    }
  }

  Gpu gpu;

 private:
  void store(uint64_t offset, uint64_t value) { gpu.host.store<uint64_t>(data_ + offset, value); }
  void put(uint64_t offset, const Words& words) {
    for (const uint64_t word : words) {
      store(offset, word);
      offset += 8;
    }
  }

  void resume(uint32_t q) {
    const uint64_t at = rings_[q].descriptor() + offsetof(figment_descriptor, write);
    gpu.host.store<uint64_t>(at, rings_[q].write());
    gpu.command(q, FIGMENT_QUEUE_RESUME);
  }

  void submit_all(uint64_t round) {
    const uint64_t d = kData;
    // 64-bit WAIT for what queue 1 releases; backward and forward copies; everything else.
    rings_[0].submit(wait(8 | FIGMENT_WAIT_GE, d + 0x6000, round) + fill(kVram, 3000, round, 6) +
                     indirect(d + 0x3000, 80, FIGMENT_INDIRECT_PRIVILEGED) + fence(round));
    rings_[1].submit(copy(d + 0x8003, d + 0x8000, 2500) + copy(d + 0x9000, d + 0x8100, 1300) +
                     release(3, d + 0x6000, round) + fence(round));
    rings_[2].submit(chase(d + 0x1000, 11, d + 0x6010) + spin(1500) + timestamp(d + 0x6018) +
                     atomic(FIGMENT_ATOMIC_CAS | FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN, d + 0x6020, round, round - 1, d + 0x6028) +
                     release(3 | 4, d + 0x6030, round));
    rings_[3].submit(nop(9) + fill(d + 0xa000, 4096, round, 0) + fence(1) + fence(2) + fence(3));
    rings_[4].submit(spin(6000) + copy(kVram + 0x2000, d + 0xa000, 3000) +
                     copy(d + 0xb000, kVram + 0x2000, 64) + fence(round));
    Words many = fill(d + 0x10, 5000, round, 7);
    for (uint64_t i = 0; i < 90; ++i) many = many + fence(i);
    rings_[5].submit(many);
    rings_[6].submit(fill(d + 0x3800, 4096, round, 3));  // half of it is not mapped
  }

  void drive(unsigned step) {
    if (step % 300 == 1) submit_all(step / 300 + 1);
    switch (step % 600) {
      case 20:
        gpu.invalidate(kAsid, kData + 0x8000, kData + 0x9fff, FIGMENT_INVAL_EVENT);
        gpu.invalidate(kAsid, kData, kData, 0);
        break;
      case 80:
      case 95:
      case 480:
        gpu.command(0, FIGMENT_QUEUE_PREEMPT);
        gpu.command(4, FIGMENT_QUEUE_PREEMPT);
        break;
      case 92:
      case 130:
      case 500:
        resume(0);
        resume(4);
        break;
      case 460:
        gpu.command(6, FIGMENT_QUEUE_FAULT_RETRY);
        break;
      case 510:
        gpu.command(6, step < 600 ? FIGMENT_QUEUE_FAULT_KILL : FIGMENT_QUEUE_PREEMPT);
        break;
      case 140:
        gpu.invalidate_asid(2, FIGMENT_INVAL_EVENT);
        gpu.invalidate_all(FIGMENT_INVAL_EVENT);
        break;
      case 180:
        gpu.command(4, FIGMENT_QUEUE_RESET);
        break;
      case 200:
        gpu.doorbell(3, 4);  // a mistake
        break;
      case 230:
        gpu.bring_up();  // the ring is on again
        rings_[4].start();
        break;
      case 330:
        gpu.write32(FIGMENT_REG_CONTROL, 0);
        break;
      case 350:
        gpu.write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
        break;
      case 370:
        gpu.write64(FIGMENT_REG_ID, step);  // another mistake
        gpu.command(3, FIGMENT_QUEUE_RESET);
        gpu.write64(FIGMENT_REG_SCRATCH, step);
        break;
      case 390:
        rings_[3].start();
        break;
      case 420:
        rings_[5].submit(fill(kData + 0x3000, 0x3000, step));  // leaves what is mapped
        break;
      case 520:
        gpu.command(5, FIGMENT_QUEUE_RESET);
        gpu.command(6, FIGMENT_QUEUE_RESET);
        break;
      case 560:
        rings_[5].start();
        rings_[6].start();
        break;
    }
    // Each kind of injection but removal, after which nothing would come.
    switch (step) {
      case 5:
        gpu.inject("interrupt-late,every=3,value=900");
        gpu.inject("interrupt-duplicated,chance=300000,value=700");
        gpu.inject("interrupt-spurious,every=2,value=9000");
        gpu.inject("interrupt-lost,every=4");
        gpu.inject("preempt-slow,every=2,value=1500");
        gpu.inject("event-full,every=9,value=3000");
        gpu.inject("completion-corrupt,every=5,value=0x100");
        gpu.write32(FIGMENT_REG_INJECT_KIND, FIGMENT_INJECT_HANG);
        gpu.write32(FIGMENT_REG_INJECT_QUEUE, 4);
        gpu.write64(FIGMENT_REG_INJECT_AFTER, 3);
        break;
      case 70:
        gpu.write32(FIGMENT_REG_INJECT_COMMAND, FIGMENT_INJECT_ARM);
        gpu.inject("bus-error,queue=3,after=20");
        gpu.inject("vram-error,after=2");
        break;
      case 700:
        gpu.inject_clear();
        gpu.inject("preempt-stuck,queue=4");
        break;
    }
    if (step == 60) gpu.write32(FIGMENT_REG_EVENT_SIZE_LG2, 0);  // events wait
    if (step == 1440) gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
    if (step == 1480) {
      gpu.bring_up();
      for (Ring& ring : rings_) ring.start();
    }
    // For a long time nobody reads events, and the ring fills up.
    if (step % 150 == 149 && (step < 450 || step > 1400)) gpu.events();
  }

  uint64_t data_ = 0;
  std::vector<Ring> rings_;
};

Outcome play(const std::function<bool(unsigned)>& replace_at) {
  Script script;
  for (unsigned step = 0; step < Script::kSteps; ++step) {
    if (replace_at(step)) script.gpu.replace_model();
    script.turn(step);
  }
  return outcome_of(script.gpu);
}

const Outcome& undisturbed() {
  static const Outcome outcome = play([](unsigned) { return false; });
  return outcome;
}

// Otherwise the tests below show little.
TEST(Snapshot, the_script_reaches_everything) {
  uint64_t retired[16] = {};
  uint64_t counts[FIGMENT_TRACE_COUNT] = {};
  for (const TracePoint& point : undisturbed().traces) {
    ++counts[point.event];
    if (point.event == FIGMENT_TRACE_RETIRE) ++retired[point.arguments[1] & 15];
  }
  for (unsigned opcode = 0; opcode < 10; ++opcode) EXPECT_GT(retired[opcode], 2u) << opcode;
  for (uint64_t kind = FIGMENT_INJECT_INTERRUPT_LOST; kind < FIGMENT_INJECT_REMOVED; ++kind) {
    EXPECT_GT(std::ranges::count_if(undisturbed().traces,
                                    [&](const TracePoint& point) {
                                      return point.event == FIGMENT_TRACE_INJECTED &&
                                             point.arguments[0] == kind;
                                    }),
              0)
        << "injection " << kind;
  }
  for (unsigned event = 0; event < FIGMENT_TRACE_COUNT; ++event) {
    EXPECT_GT(counts[event], 0u) << figment_model_api(FIGMENT_MODEL_ABI)->trace_name(event);
  }
  for (unsigned state = 0; state <= FIGMENT_QUEUE_ERROR; ++state) {
    EXPECT_GT(std::ranges::count_if(undisturbed().traces,
                                    [&](const TracePoint& point) {
                                      return point.event == FIGMENT_TRACE_QUEUE_STATE &&
                                             point.arguments[2] == state;
                                    }),
              1)
        << "state " << state;
  }
}

TEST(Snapshot, restored_at_any_one_instant_a_run_ends_the_same) {
  // Each is a run of its own, so only some; all of them are in the next test.
  for (unsigned instant = 0; instant < Script::kSteps; instant += 23) {
    const Outcome outcome = play([&](unsigned step) { return step == instant; });
    ASSERT_TRUE(outcome == undisturbed())
        << "at step " << instant << ": " << difference(undisturbed(), outcome);
  }
}

TEST(Snapshot, restored_at_every_instant_a_run_ends_the_same) {
  const Outcome outcome = play([](unsigned) { return true; });
  EXPECT_TRUE(outcome == undisturbed()) << difference(undisturbed(), outcome);
}

// The same for whatever a guest may do: between any two of its accesses.
TEST(Snapshot, restored_at_every_instant_a_hostile_guest_gets_the_same) {
  const uint64_t first = from_environment("FIGMENT_TEST_SEED", 1);
  for (uint64_t seed = first; seed < first + 15; ++seed) {
    SCOPED_TRACE("FIGMENT_TEST_SEED=" + std::to_string(seed));
    const auto run = [&](bool replace) {
      Hostile guest(seed);
      GpuOptions options = guest.options();
      options.host.ram_bytes = 2 << 20;
      options.config.interrupt = {.min_ns = 0, .max_ns = 3000};
      Gpu gpu(options);
      guest.prepare(gpu);
      for (int round = 0; round < 120; ++round) {
        guest.round(gpu);
        if (replace) gpu.replace_model();
      }
      return outcome_of(gpu);
    };
    const Outcome one = run(false);
    const Outcome other = run(true);
    ASSERT_TRUE(one == other) << difference(one, other);
  }
}

TEST(Snapshot, a_restored_model_saves_the_same_stream) {
  Script script;
  for (unsigned step = 0; step < Script::kSteps; ++step) {
    script.turn(step);
    if (step % 7 != 0) continue;
    const auto stream = script.gpu.save();
    ASSERT_EQ(script.gpu.load(stream), "");
    ASSERT_TRUE(script.gpu.save() == stream) << "at step " << step;
  }
}

std::vector<std::byte> stream_at(unsigned instant) {
  Script script;
  for (unsigned step = 0; step < instant; ++step) script.turn(step);
  return script.gpu.save();
}

TEST(Snapshot, the_stream_says_what_is_in_it) {
  const auto stream = stream_at(150);
  const std::string_view text(reinterpret_cast<const char*>(stream.data()), stream.size());
  EXPECT_TRUE(text.starts_with("FIGMODEL"));
  for (const char* name : {"guest_errors: u64", "roots: list", "doorbell_due_ns: u64",
                           "access: bool", "waiting: list", "engines_waited: u32"}) {
    EXPECT_TRUE(text.contains(name)) << name;
  }
}

TEST(Snapshot, the_pace_may_be_another_after_a_restore) {
  const auto stream = stream_at(150);
  GpuOptions options = script_options();
  options.config.access = {};
  options.config.interrupt = {.min_ns = 5, .max_ns = 5};
  options.config.step_bytes = 1 << 20;
  options.config.step_bytes_min = 0;
  options.config.retention_ns = FIGMENT_MODEL_NEVER;
  Gpu gpu(options);
  EXPECT_EQ(gpu.load(stream), "");
}

TEST(Snapshot, another_shape_is_refused_by_name) {
  const auto stream = stream_at(150);
  const auto refusal = [&](const std::function<void(GpuOptions&)>& change) {
    GpuOptions options = script_options();
    change(options);
    Gpu gpu(options);
    const std::string text = gpu.load(stream);
    expect_works(gpu);
    return text;
  };
  using O = GpuOptions;
  EXPECT_EQ(refusal([](O& o) { o.config.engines = 2; }),
            "engines is 3 in the stream, but 2 here");
  EXPECT_EQ(refusal([](O& o) { o.config.queues = 9; }), "queues is 8 in the stream, but 9 here");
  EXPECT_EQ(refusal([](O& o) { o.config.asids = 5; }), "asids is 4 in the stream, but 5 here");
  EXPECT_EQ(refusal([](O& o) { o.config.inject = false; }),
            "inject is 1 in the stream, but 0 here");
  EXPECT_EQ(refusal([](O& o) { o.config.tlb_entries = 64; }),
            "tlb_entries is 16 in the stream, but 64 here");
  EXPECT_EQ(refusal([](O& o) { o.config.walk_cache_entries = 0; }),
            "walk_cache_entries is 8 in the stream, but 0 here");
  EXPECT_EQ(refusal([](O& o) { o.host.vram_bytes = 1 << 17; }),
            "vram_bytes is 65536 in the stream, but 131072 here");
}

TEST(Snapshot, every_truncated_stream_is_refused_and_leaves_a_device_that_works) {
  const auto stream = stream_at(150);
  Gpu gpu(script_options());
  for (size_t bytes = 0; bytes < stream.size(); bytes += bytes < 200 ? 1 : 11) {
    ASSERT_NE(gpu.load(std::span(stream).first(bytes)), "") << bytes;
  }
  expect_works(gpu);
  auto longer = stream;
  longer.push_back(std::byte{0});
  EXPECT_EQ(gpu.load(longer), "1 bytes are left after the end of the stream");
}

TEST(Snapshot, rules_go_on_counting_in_the_restored_model) {
  Gpu gpu;
  Ring ring(gpu, 0);
  gpu.inject("completion-corrupt,every=3,value=1");
  std::string pattern;
  for (int i = 0; i < 9; ++i) {
    gpu.replace_model();
    ring.submit(fence(0));
    gpu.run_all();
    pattern += gpu.events().at(0).value == 0 ? '.' : 'X';
  }
  EXPECT_EQ(pattern, "..X..X..X");
  EXPECT_EQ(gpu.inject_report(), "0: completion-corrupt,every=3,value=0x1: struck 3 of 9\n");
}

TEST(Snapshot, a_rule_that_cannot_be_is_refused) {
  constexpr uint64_t kAfter = 0x1122334455667788;
  Gpu gpu;
  gpu.inject("hang,every=3,after=" + std::to_string(kAfter));
  const auto stream = gpu.save();
  const auto bytes = std::as_bytes(std::span(&kAfter, 1));
  const auto after = std::ranges::search(stream, bytes).begin() - stream.begin();
  // Places as figment_injection and what is counted for it are in the stream.
  const auto refusal = [&](int place, uint64_t value, size_t width) {
    auto other = stream;
    std::memcpy(&other[static_cast<size_t>(after + place)], &value, width);
    return gpu.load(other);
  };
  EXPECT_EQ(refusal(-16, 0, 4), "rule 0: kind 0 is not from 1 to 12");
  EXPECT_EQ(refusal(-16, 1u << 31, 4), "rule 0: kind 2147483648 is not from 1 to 12");
  EXPECT_EQ(refusal(-12, 3, 4), "rule 0: it strikes in way 3, which there is not");
  EXPECT_EQ(refusal(-8, 0, 8), "rule 0: every is 0, but must be from 1 on");
  EXPECT_EQ(refusal(8, 1, 8), "rule 0: hang takes no value");
  EXPECT_EQ(refusal(16, 64, 4), "rule 0: queue is 64, but must be from 0 to 63");
  EXPECT_EQ(refusal(40, 0, 8), "");  // one address: it may be
  EXPECT_EQ(refusal(32, 1, 8), "");
  EXPECT_EQ(refusal(64, 5, 8), "rule 0 makes opportunities that its kind does not make");
  EXPECT_EQ(refusal(0, 1, 8), "");
  gpu.inject_clear();
  gpu.inject("hang,after=" + std::to_string(kAfter));
  EXPECT_EQ(gpu.load(stream), "");
  EXPECT_EQ(gpu.inject_report(), "0: hang,every=3,after=1234605616436508552: struck 0 of 0\n");
  std::vector<std::byte> many = stream;
  many[static_cast<size_t>(after - 20)] = std::byte{17};
  EXPECT_TRUE(gpu.load(many).contains("more elements than there can be")) << gpu.load(many);
}

TEST(Snapshot, another_version_or_layout_is_refused) {
  Gpu gpu(script_options());
  auto stream = stream_at(150);
  const auto changed = [&](size_t at, char to) {
    auto other = stream;
    other[at] = std::byte(to);
    return gpu.load(other);
  };
  EXPECT_EQ(changed(0, 'f'), "this is not the state of a Figment model");
  EXPECT_EQ(changed(8, 2), "the stream has version 2, but only 1 is known");
  EXPECT_TRUE(changed(20, '!').starts_with("the stream is of a model that holds other things"));
  EXPECT_NE(changed(12, 0), "");  // the size of the layout
  EXPECT_EQ(gpu.load(stream), "");
}

TEST(Snapshot, a_refused_stream_leaves_a_reset_device) {
  Script script;
  for (unsigned step = 0; step < 150; ++step) script.turn(step);
  const auto stream = script.gpu.save();
  EXPECT_NE(script.gpu.load(std::span(stream).first(stream.size() - 1)), "");
  EXPECT_EQ(script.gpu.read32(FIGMENT_REG_CONTROL), 0u);
  EXPECT_EQ(script.gpu.read32(FIGMENT_REG_STATUS), FIGMENT_STATUS_IDLE);
  EXPECT_EQ(script.gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  expect_works(script.gpu);
}

// Streams with damage, from seeds. Each is refused with a reason, or makes a model that is sane:
// no sanitizer report, no broken rule of the host interface, no internal error (save() would be
// empty), and it saves again what it was given.
TEST(Snapshot, a_damaged_stream_is_refused_or_makes_a_sane_model) {
  const uint64_t first = from_environment("FIGMENT_TEST_SEED", 1);
  const uint64_t rounds = from_environment("FIGMENT_TEST_ROUNDS", 40);
  uint64_t refused = 0, accepted = 0;
  for (uint64_t seed = first; seed < first + 40; ++seed) {
    SCOPED_TRACE("FIGMENT_TEST_SEED=" + std::to_string(seed));
    Hostile guest(seed);
    Script script;
    const uint64_t instant = guest.below(1400);
    for (unsigned step = 0; step < instant; ++step) script.turn(step);
    const auto stream = script.gpu.save();
    // What comes after the layout: that is refused as a whole.
    uint32_t layout_bytes;
    std::memcpy(&layout_bytes, stream.data() + 12, 4);
    const size_t begin = 16 + layout_bytes;
    ASSERT_LT(begin, stream.size());
    for (uint64_t round = 0; round < rounds; ++round) {
      auto damaged = stream;
      for (uint64_t n = 1 + guest.below(3); n != 0; --n) {
        const size_t at = begin + guest.below(stream.size() - begin);
        const uint64_t word = guest.value();
        switch (guest.below(3)) {
          case 0:
            damaged[at] ^= std::byte(1u << guest.below(8));
            break;
          case 1:
            damaged[at] = std::byte(guest.below(12));
            break;
          case 2:
            std::memcpy(&damaged[at], &word, std::min<size_t>(8, damaged.size() - at));
            break;
        }
      }
      const std::string reason = script.gpu.load(damaged);
      if (!reason.empty()) {
        ++refused;
        continue;
      }
      ++accepted;
      ASSERT_TRUE(script.gpu.save() == damaged);
      for (int i = 0; i < 12; ++i) {
        script.gpu.run_all(20'000, 300);
        guest.round(script.gpu);
        ASSERT_FALSE(script.gpu.save().empty()) << "internal error";
      }
      if (::testing::Test::HasFailure()) return;
    }
    script.gpu.pci_reset();
    expect_works(script.gpu);
    if (::testing::Test::HasFailure()) return;
  }
  std::printf("%llu streams refused, %llu accepted\n", static_cast<unsigned long long>(refused),
              static_cast<unsigned long long>(accepted));
  EXPECT_GT(refused, 100u);
  EXPECT_GT(accepted, 100u);
}

}  // namespace

}  // namespace figment::test
