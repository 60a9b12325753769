// SPDX-License-Identifier: MIT
//
// Save and restore of the device in QEMU, in the middle of running jobs: the same results as without.
//
// Four queues do all that engines can do, on linear page tables, with latencies everywhere. The log
// holds what a driver sees at each step: indexes, acknowledgements, events, messages. It and the
// memory must be the same, however often the machine was saved and went on in another QEMU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "bare_machine.h"
#include "figment_hw.h"
#include "scenario.h"

namespace figment::host {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kBase = 0x100'0000;
constexpr std::uint64_t kTables = kBase;           // levels 3, 2, 1, 0
constexpr std::uint64_t kEvents = kBase + 0x4000;  // 64 entries
constexpr std::uint64_t kDescriptors = kBase + 0x5000;
constexpr std::uint64_t kMessages = kBase + 0x6000;
constexpr std::uint64_t kData = kBase + 0x10'0000;  // addresses 0 to 1 MiB of the device
constexpr std::uint64_t kDataBytes = 1 << 20;
constexpr std::uint64_t kRings = 0x8'0000;  // address of queue 0's; 4 KiB each
constexpr unsigned kQueues = 4;

const std::string kSlow =
    "executor=clock,engines=3,doorbell-ns=0-900,invalidate-ns=100-2500,access-ns=0-700,event-ns=0-1500,"
    "interrupt-ns=0-2000,step-bytes=64-900,tick-ns=50-800,tlb-entries=16,walk-cache-entries=16,"
    "preempt=instruction,faults=on,prefetch-pages=2,preempt-ns=0-900,retention-ns=60000,bytes-per-us=8000,timeslice-ns=3000";

using Words = std::vector<std::uint64_t>;

std::string bytes_of(const void* data, std::size_t bytes) {
  return {static_cast<const char*>(data), bytes};
}

class Driver {
 public:
  explicit Driver(const std::string& properties)
      : machine_(std::make_unique<BareMachine>(properties)) {
    machine_->set_up_pci(kMessages);
    build_tables();
    BareMachine& m = *machine_;
    m.write64(reg(FIGMENT_REG_EVENT_BASE), kEvents);
    m.write32(reg(FIGMENT_REG_EVENT_SIZE_LG2), 6);
    m.write32(reg(FIGMENT_REG_CONTROL), FIGMENT_CONTROL_ENABLE);
    m.write64(reg(FIGMENT_REG_ASID_ROOT(1)), kTables | FIGMENT_ROOT_VALID);
    for (unsigned q = 0; q < kQueues; ++q) {
      figment_descriptor d{};
      d.ring_address = kRings + q * 0x1000;
      d.ring_bytes_lg2 = 12;
      d.asid = 1;
      m.write(kDescriptors + q * 256, bytes_of(&d, sizeof(d)));
      m.write64(queue(q, FIGMENT_QUEUE_DESC), kDescriptors + q * 256);
      m.write32(queue(q, FIGMENT_QUEUE_COMMAND), FIGMENT_QUEUE_START);
    }
  }

  // 900 ns of the machine's life, and a line of the log.
  void step(unsigned n) {
    BareMachine& m = *machine_;
    if (n % 50 == 1) submit(n / 50 + 1);
    if (n % 50 == 20) m.write64(reg(FIGMENT_REG_INVAL_COMMAND), invalidate());
    if (n % 50 == 22) m.write64(reg(FIGMENT_REG_INVAL_COMMAND), invalidate());
    m.pass(900);
    log_ += std::format("{:4}", n);
    for (unsigned q = 0; q < kQueues; ++q) {
      log_ += std::format(" {:x}", m.read64(queue(q, FIGMENT_QUEUE_READ)));
    }
    const std::uint32_t written = m.read32(reg(FIGMENT_REG_EVENT_WRITE));
    log_ += std::format(" inval {} events {} status {} messages {:x}\n",
                        m.read64(reg(FIGMENT_REG_INVAL_DONE)), written,
                        m.read32(reg(FIGMENT_REG_STATUS)), m.read64(kMessages));
    m.write64(kMessages, 0);
    // A driver that comes late to its events.
    if (n % 10 == 9) m.write32(reg(FIGMENT_REG_EVENT_READ), written);
  }

  // The machine goes on in another QEMU.
  void move(const std::string& properties) {
    const TemporaryFolder folder;
    const fs::path file = folder.path() / "machine";
    machine_->save(file);
    const std::uint64_t now = machine_->now_ns();
    machine_ = std::make_unique<BareMachine>(properties, file);
    machine_->resume_at(now);
  }

  // Every queue has come through so many rounds, at least.
  void expect_rounds(std::uint64_t rounds) {
    for (const std::uint64_t at : {0x1000, 0x1010, 0x1040, 0x1050, 0x1058, 0x1068}) {
      EXPECT_GE(machine_->read64(kData + at), rounds) << std::format("{:#x}", at);
    }
  }

  // All that is left of it.
  std::string results() {
    return log_ + machine_->read(kData, kDataBytes) + machine_->read(kBase, 0x7000) +
           machine_->read(BareMachine::kVram, 0x8000);
  }
  const std::string& log() const { return log_; }
  BareMachine& machine() { return *machine_; }

 private:
  static std::uint64_t reg(std::uint64_t offset) { return BareMachine::kRegisters + offset; }
  static std::uint64_t queue(unsigned q, std::uint64_t offset) {
    return reg(FIGMENT_REG_QUEUE(q) + offset);
  }
  static std::uint64_t invalidate() {
    return 1 | FIGMENT_INVAL_KIND_ASID << 16 | FIGMENT_INVAL_EVENT;
  }

  // Addresses from 0: data, then 1 MiB of VRAM.
  void build_tables() {
    const auto entry = [&](std::uint64_t table, unsigned index, std::uint64_t value) {
      machine_->write64(kTables + table * 0x1000 + index * 8, value | FIGMENT_PTE_VALID);
    };
    for (unsigned level = 0; level < 3; ++level) entry(level, 0, kTables + (level + 1) * 0x1000);
    const std::uint64_t leaf = FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE;
    for (unsigned i = 0; i < 256; ++i) {
      entry(3, i, (kData + i * 0x1000) | leaf);
      entry(3, 256 + i, (i * 0x1000) | leaf | FIGMENT_PTE_VRAM);
    }
  }

  void push(unsigned q, const Words& words) {
    for (const std::uint64_t word : words) {
      machine_->write64(kData + kRings + q * 0x1000 + (write_[q] & 0xfff), word);
      write_[q] += 8;
    }
    machine_->write64(BareMachine::kDoorbells + q * FIGMENT_DOORBELL_BYTES, write_[q]);
  }

  void submit(std::uint64_t round) {
    const std::uint64_t vram = 256 * 0x1000;
    const auto fence = [&](std::uint64_t address) {
      return Words{FIGMENT_PACKET(FIGMENT_OP_RELEASE, 3,
                                  FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64 | FIGMENT_RELEASE_EVENT),
                   address, round};
    };
    const auto join = [](std::initializer_list<Words> parts) {
      Words all;
      for (const Words& part : parts) all.insert(all.end(), part.begin(), part.end());
      return all;
    };
    const auto packet = [](unsigned opcode, std::uint32_t flags, const Words& operands) {
      Words words{FIGMENT_PACKET(opcode, operands.size() + 1, flags)};
      words.insert(words.end(), operands.begin(), operands.end());
      return words;
    };
    push(0, join({packet(FIGMENT_OP_WAIT, FIGMENT_WAIT_GE | FIGMENT_WAIT_64, {0x1000, round, ~0ull}),
                  packet(FIGMENT_OP_FILL, 2 | FIGMENT_FILL_INCREMENT, {vram + 0x100, 9000, round}),
                  fence(0x1010)}));
    push(1, join({packet(FIGMENT_OP_COPY, 0, {0x2003, 0x2000, 6000}),
                  packet(FIGMENT_OP_COPY, 0, {0x5000, vram, 5000}), fence(0x1000)}));
    push(2, join({packet(FIGMENT_OP_FILL, 0, {0x2000, 3000, round * 3}),
                  packet(FIGMENT_OP_SPIN, 0, {1700}), packet(FIGMENT_OP_TIMESTAMP, 0, {0x1020}),
                  packet(FIGMENT_OP_ATOMIC, FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN,
                         {0x1028, 5, 0, 0x1030}),
                  fence(0x1040)}));
    push(3, join({fence(0x1050), fence(0x1058), packet(FIGMENT_OP_CHASE, 0, {0x7000, 9, 0x1060}),
                  packet(FIGMENT_OP_COPY, 0, {0x9000, 0x2000, 7000}), fence(0x1068)}));
  }

  std::unique_ptr<BareMachine> machine_;
  std::uint64_t write_[kQueues] = {};
  std::string log_;
};

constexpr unsigned kSteps = 150;

std::string run(const std::string& properties, const std::function<void(Driver&, unsigned)>& before) {
  Driver driver(properties);
  for (unsigned n = 0; n < kSteps; ++n) {
    before(driver, n);
    driver.step(n);
  }
  driver.expect_rounds(2);
  return driver.results();
}

const std::string& undisturbed() {
  static const std::string results = run(kSlow + ",seed=7", [](Driver&, unsigned) {});
  return results;
}

TEST(Machine, with_the_same_seed_does_the_same_and_with_another_something_else) {
  EXPECT_THAT(undisturbed(), HasSubstr(" status 0 "));
  EXPECT_TRUE(run(kSlow + ",seed=7", [](Driver&, unsigned) {}) == undisturbed());
  EXPECT_FALSE(run(kSlow + ",seed=8", [](Driver&, unsigned) {}) == undisturbed());
}

TEST(Machine, saved_and_restored_at_many_instants_of_running_jobs_ends_the_same) {
  unsigned moves = 0;
  const std::string results = run(kSlow + ",seed=7", [&](Driver& driver, unsigned n) {
    // Often when much is going on, and never at the same distance.
    if (n % 50 != 2 && n % 50 != 3 && n % 50 != 21 && n % 7 != 5) return;
    driver.move(kSlow + ",seed=7");
    ++moves;
  });
  EXPECT_GT(moves, 25u);
  EXPECT_TRUE(results == undisturbed());
}

TEST(Machine, restored_without_a_seed_goes_on_with_its_own) {
  const std::string results = run(kSlow + ",seed=7", [&](Driver& driver, unsigned n) {
    if (n == 60) driver.move(kSlow);
  });
  EXPECT_TRUE(results == undisturbed());
}

TEST(Machine, restored_with_another_seed_has_other_luck_and_the_same_each_time) {
  const auto restored = [](const std::string& seed) {
    std::string log;
    run(kSlow + ",seed=7", [&](Driver& driver, unsigned n) {
      if (n == 60) driver.move(kSlow + ",seed=" + seed);
      log = driver.log();
    });
    return log;
  };
  const std::string one = restored("21");
  EXPECT_TRUE(restored("21") == one);
  EXPECT_FALSE(restored("22") == one);
  const std::size_t before = one.find("\n  60");
  ASSERT_NE(before, one.npos);
  EXPECT_EQ(one.substr(0, before), undisturbed().substr(0, before));
  EXPECT_NE(one.substr(before, 4000), undisturbed().substr(before, 4000));
}

// The device's thread has no instants that could be chosen; what the jobs leave is the same anyway.
TEST(Machine, with_a_thread_is_saved_and_restored_too) {
  for (const char* then : {"executor=thread", "executor=clock"}) {
    Driver driver("executor=thread,engines=3,bytes-per-us=500,seed=3");
    for (unsigned n = 0; n < 60; ++n) {
      if (n == 1 || n == 3 || n == 9) driver.move("executor=thread,engines=3,bytes-per-us=500,seed=3");
      if (n == 12) driver.move(std::string{then} + ",engines=3,bytes-per-us=500,seed=3");
      driver.step(n);
    }
    // The thread gets to its work when the host lets it.
    const auto idle = [&] {
      driver.machine().pass(10'000);
      return (driver.machine().read32(BareMachine::kRegisters + FIGMENT_REG_STATUS) &
              FIGMENT_STATUS_IDLE) != 0;
    };
    EXPECT_TRUE(eventually(idle)) << then;
    driver.expect_rounds(2);
  }
}

TEST(Machine, of_another_shape_or_damaged_is_refused_with_a_reason) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "machine";
  {
    Driver driver(kSlow + ",seed=7");
    for (unsigned n = 0; n < 5; ++n) driver.step(n);
    driver.machine().save(file);
  }
  EXPECT_THAT(BareMachine::complaint(kSlow + ",queues=32", file),
              HasSubstr("queues is 64 in the stream, but 32 here"));
  std::string content = read_file(file);
  const std::size_t state = content.find("FIGMODEL");
  ASSERT_NE(state, content.npos);
  content[state + 8] = 9;
  write_file(file, content);
  EXPECT_THAT(BareMachine::complaint(kSlow, file),
              HasSubstr("the stream has version 9, but only 1 is known"));
  content[state] = 'f';
  write_file(file, content);
  EXPECT_THAT(BareMachine::complaint(kSlow, file), HasSubstr("not the state of a Figment model"));
}

}  // namespace
}  // namespace figment::host
