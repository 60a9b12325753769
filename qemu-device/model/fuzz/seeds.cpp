// SPDX-License-Identifier: MIT
#include "seeds.h"

#include <format>

#include "actions.h"
#include "bytes.h"
#include "figment_hw.h"
#include "world.h"

namespace figment::fuzz {

namespace {

// The first byte of a configuration: see Setting.
enum Shape : uint8_t { kKernel = 0, kTenant = 1, kPciAtEnd = 2, kFourEngines = 3 << 2 };
// The others. Latencies of up to 5 us for everything, or none.
constexpr uint8_t kNoLatency = 0;
constexpr uint8_t kLatencies = 0b10101010;
constexpr uint8_t kCaches = 0b0110'1111;  // large ones, steps of 64 KiB
constexpr uint8_t kNoCaches = 0b0101'0000;
constexpr uint8_t kWholeMaps = 0;
constexpr uint8_t kTinyMaps = 7;
constexpr uint8_t kBetweenPackets = FIGMENT_PREEMPT_COMMAND << 3;  // with a kind of maps
constexpr uint8_t kBetweenAccesses = FIGMENT_PREEMPT_INSTRUCTION << 3;
constexpr uint8_t kInjection = 0x80;  // with a kind of maps
constexpr uint8_t kFaults = 0x80;    // with a shape
constexpr uint8_t kPrefetch = 0x80;  // with caches

// The encoding of World, as calls.
class Script : public Writer {
 public:
  Script(uint8_t shape, uint8_t latencies, uint8_t caches, uint8_t maps) {
    u8(shape).u8(latencies).u8(caches).u8(maps);
  }

  Script& value(uint64_t value) {
    if (value < 256) {
      u8(kSmall).u8(value);
    } else {
      u8(kRaw).u64(value);
    }
    return *this;
  }
  // GPU address: a page below kMappedPages, and a multiple of 8.
  Script& at(uint64_t page, uint64_t offset = 0) {
    u8(page).u8(offset / 8);
    return *this;
  }
  Script& entry(uint64_t raw) {
    u8(7).u8(0);
    return value(raw);
  }
  Script& act(Action action) {
    u8(action);
    return *this;
  }
  Script& start(unsigned queue, unsigned shape) {
    act(kStart).u8(queue).u8(shape);
    return *this;
  }
  // Operands follow.
  Script& submit(unsigned queue, unsigned opcode, unsigned flags) {
    act(kSubmit).u8(queue).u8(opcode).u8(flags).u8(0);
    return *this;
  }
  Script& packet(uint64_t page, uint64_t word, unsigned opcode, unsigned flags) {
    act(kPacket).u16(page * 512 + word).u8(opcode).u8(flags).u8(0);
    return *this;
  }
  Script& run(unsigned steps) {
    act(kRun).u8(steps - 1);
    return *this;
  }
  Script& advance(uint64_t ns) {
    act(kAdvance).u16(ns).u8(0);
    return *this;
  }
  // Let latencies pass.
  Script& settle(unsigned rounds) {
    for (unsigned i = 0; i < rounds; ++i) advance(6000).run(8);
    return *this;
  }
  Script& meanwhile(unsigned in, uint64_t page, uint64_t word) {
    act(kMeanwhile).u8(in).u16(page * 512 + word);
    return *this;
  }
  Script& write(unsigned which, uint64_t to, unsigned bytes = 4) {
    act(kWriteRegister).u8(which).u8(bytes == 8 ? 1 : 0);
    return value(to);
  }
};

// Places in the table of World::register_offset().
constexpr unsigned kControl = 8, kEventSize = 15, kInvalCommand = 22, kInject = 25;

constexpr uint64_t kData = kDataPage;
constexpr uint8_t kAtomic64 = FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN;

Script& every_packet(Script& s, unsigned queue) {
  s.submit(queue, FIGMENT_OP_NOP, 0);
  s.submit(queue, FIGMENT_OP_FILL, 3 | FIGMENT_FILL_INCREMENT).at(kData).value(9000).value(7);
  s.submit(queue, FIGMENT_OP_FILL, 0).at(kVramPage, 8).value(5000).value(0x55);
  s.submit(queue, FIGMENT_OP_COPY, 0).at(kData + 4, 8).at(kData).value(9001);
  s.submit(queue, FIGMENT_OP_COPY, 0).at(kData, 16).at(kData).value(9001);  // last byte first
  s.submit(queue, FIGMENT_OP_COPY, 0).at(kDevicePage, 8).at(kVramPage).value(5000);
  s.submit(queue, FIGMENT_OP_ATOMIC, kAtomic64).at(kData, 8).value(3).value(0).at(kData, 16);
  s.submit(queue, FIGMENT_OP_ATOMIC, FIGMENT_ATOMIC_CAS).at(kDevicePage).value(3).value(0).value(0);
  s.submit(queue, FIGMENT_OP_ATOMIC, FIGMENT_ATOMIC_XCHG).at(kData, 8).value(3).value(0).value(0);
  s.submit(queue, FIGMENT_OP_TIMESTAMP, 0).at(kData, 64);
  s.submit(queue, FIGMENT_OP_SPIN, 0).value(500);
  s.submit(queue, FIGMENT_OP_CHASE, 0).at(kData + 30).value(5).at(kData, 24);
  for (unsigned compare = FIGMENT_WAIT_EQ; compare <= FIGMENT_WAIT_GE; ++compare) {
    const unsigned reference = compare == FIGMENT_WAIT_NE || compare == FIGMENT_WAIT_LT ? 1 : 0;
    s.submit(queue, FIGMENT_OP_WAIT, compare | FIGMENT_WAIT_64).at(kData + 30);
    s.value(compare == FIGMENT_WAIT_GT ? 0 : reference).value(compare == FIGMENT_WAIT_GT ? 1 : 255);
  }
  return s;
}

}  // namespace

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  const auto add = [&](const std::string& name, const Script& script) {
    all.push_back({.name = name, .bytes = script.bytes()});
  };

  for (const uint8_t maps : {kWholeMaps, kTinyMaps}) {
    for (const uint8_t latencies : {kNoLatency, kLatencies}) {
      Script s(kTenant, latencies, maps == kTinyMaps ? kNoCaches : kCaches, maps);
      s.start(0, 1);
      every_packet(s, 0).run(64).settle(20);
      s.submit(0, FIGMENT_OP_RELEASE, 7).at(kData, 128).value(5);
      s.settle(5).act(kReadEvents).u8(0);
      add(latencies ? (maps ? "packets_tiny_maps_late" : "packets_late")
                    : (maps ? "packets_tiny_maps" : "packets"),
          s);
    }
  }
  {
    Script s(kTenant, kNoLatency, kCaches, kWholeMaps);
    s.start(0, 0);
    s.packet(kBufferPage, 0, FIGMENT_OP_INDIRECT, 0).at(kBufferPage, 64).value(24);
    s.packet(kBufferPage, 8, FIGMENT_OP_INDIRECT, 0).at(kBufferPage, 128).value(24);
    s.packet(kBufferPage, 16, FIGMENT_OP_INDIRECT, 0).at(kBufferPage).value(24);  // too deep
    s.submit(0, FIGMENT_OP_INDIRECT, 0).at(kBufferPage).value(24).run(30);
    s.act(kCommand).u8(0).u8(FIGMENT_QUEUE_RESET);
    s.start(0, 0x10);
    s.submit(0, FIGMENT_OP_INDIRECT, 1).at(kBufferPage, 64).value(24).run(30);
    add("indirect", s);
  }
  {
    Script s(kTenant, kNoLatency, kCaches, kWholeMaps);
    for (unsigned q = 0; q < kGuestQueues; ++q) s.start(q, q | 3 << 2);
    s.act(kStore).u16(kData * 512).value(kData * 4096);  // a pointer to itself
    s.submit(0, FIGMENT_OP_CHASE, 0).at(kData).value(~0ull).value(0);
    s.submit(1, FIGMENT_OP_WAIT, FIGMENT_WAIT_NE).at(kData + 1).value(0).value(~0ull);
    s.submit(2, FIGMENT_OP_SPIN, 0).value(~0ull);
    s.run(64).settle(3);
    add("endless", s);
  }
  {
    Script s(kTenant, kNoLatency, kNoCaches, kWholeMaps);
    s.start(0, 0);
    s.act(kTableEntry).u8(0).u16(1).u8(2).u8(0);  // level 3 to itself
    s.submit(0, FIGMENT_OP_FILL, 0).u8(0xc0).value(1ull << 39).value(4096).value(1);
    s.run(8);
    s.start(0, 0);
    s.act(kTableEntry).u8(3).u16(20).u8(5).u8(3);      // a page of registers
    s.act(kTableEntry).u8(2).u16(2).u8(5 + 16).u8(3);  // a table in registers
    s.act(kTableEntry).u8(3).u16(21).u8(3).u8(15);     // the last page of VRAM
    s.act(kTableEntry).u8(3).u16(22).u8(3).u8(16);     // past it
    s.act(kTableEntry).u8(2).u16(3).u8(4).u8(200);     // a table past it
    for (const unsigned page : {20, 21, 22}) {
      s.submit(0, FIGMENT_OP_FILL, 0).at(page).value(8192).value(1).run(8);
      s.start(0, 0);
    }
    s.submit(0, FIGMENT_OP_TIMESTAMP, 0).u8(0xc0).value(2ull << 21).run(8).start(0, 0);
    s.submit(0, FIGMENT_OP_TIMESTAMP, 0).u8(0xc0).value(3ull << 21).run(8);
    s.start(0, 0).submit(0, FIGMENT_OP_COPY, 0).at(0x40).at(kHolePage).value(64).run(8);
    s.start(0, 0)
        .submit(0, FIGMENT_OP_COPY, 0)
        .at(kReadOnlyPage)
        .at(kPrivilegedPage)
        .value(64)
        .run(8);
    s.start(0, 0x10)
        .submit(0, FIGMENT_OP_COPY, 0)
        .at(kReadOnlyPage)
        .at(kPrivilegedPage)
        .value(64)
        .run(8);
    add("page_tables", s);
  }
  {
    Script s(kTenant, kNoLatency, kNoCaches, kTinyMaps);
    s.start(0, 0).start(1, 0);
    for (unsigned in = 1; in < 60; in += 6) s.meanwhile(in, kRingPage, in % 8).value(~0ull);
    s.submit(0, FIGMENT_OP_FILL, 3).at(kData).value(64).value(1).run(8);
    for (unsigned in = 1; in < 60; in += 6) s.meanwhile(in, kTablePage + 3, kData).value(in * 4096);
    s.submit(1, FIGMENT_OP_FILL, 3).at(kData).value(64).value(1).run(8);
    add("memory_changes", s);
  }
  {
    Script s(kKernel | kFourEngines, kNoLatency, kCaches, kTinyMaps);
    for (unsigned in = 0; in < 120; in += 3) {
      s.meanwhile(in, kDescriptorPage, 1).value(0x00000003'000000ffull << 8);
      s.start(0, 0).submit(0, FIGMENT_OP_NOP, 0).run(2);
    }
    s.meanwhile(20, kDescriptorPage, 0).value(~0ull).start(0, 0).run(8);
    add("descriptors_change", s);
  }
  {
    Script s(kTenant, kLatencies, kCaches, kWholeMaps);
    s.start(0, 0).start(1, 1);
    for (unsigned i = 0; i < 3; ++i) {
      s.submit(0, FIGMENT_OP_FILL, 3).at(kData).value(16384).value(i);
      s.act(kInvalidate).u8(0x80 | 0x40 | 1 << 3);
      s.act(kInvalidate).u8(0x80).value(0).value(kMappedPages * 4096 - 1);
      s.act(kInvalidate).u8(2 << 3).advance(3000);
      s.act(kCommand).u8(0).u8(FIGMENT_QUEUE_RESET).start(0, 0);
    }
    for (unsigned i = 0; i < 90; ++i) {
      s.submit(1, FIGMENT_OP_RELEASE, FIGMENT_RELEASE_EVENT).value(0).value(i);
    }
    s.settle(8);
    add("event_ring_full", s);
  }
  {
    Script s(kKernel | kFourEngines, kLatencies, kCaches, kWholeMaps);
    for (unsigned q = 0; q < kQueues; ++q) {
      s.start(q, q).submit(q, FIGMENT_OP_FILL, 3).at(kData + q).value(4096).value(q);
    }
    s.advance(2000).act(kReset).run(4).act(kReset).advance(9000);
    // The address space and the ring address of the known job.
    s.act(kBringUp).start(0, 3).submit(0, FIGMENT_OP_NOP, 0).settle(4);
    add("reset_of_a_used_address_space", s);
    s.start(0, 0x40);
    every_packet(s, 0).settle(10).act(kPciReset).act(kBringUp).start(1, 0xc0);
    every_packet(s, 1).advance(100).act(kReset);
    add("resets", s);
  }
  {
    Script s(kKernel | kPciAtEnd, kNoLatency, kCaches, kWholeMaps);
    for (unsigned which = 0; which < 41; ++which) {
      s.write(which, 1).write(which, 1, 8).act(kReadRegister).u8(which);
      s.write(which, ~0ull, 8);
      s.act(kWriteRegister).u8(which).u8(0xc0 | which).value(which);
    }
    s.write(kControl, 1).write(kEventSize, 0).write(kEventSize, 6).write(kInvalCommand, 1 << 16, 8);
    s.act(kRoot).u8(0).entry(~0ull).act(kRoot).u8(1).u8(4).u8(3);
    s.start(0, 0).submit(0, FIGMENT_OP_TIMESTAMP, 0).at(kData).run(4);
    s.start(1, 1).submit(1, FIGMENT_OP_TIMESTAMP, 0).at(kData).run(4);
    s.act(kDoorbell).u8(31).value(4).act(kDoorbell).u8(63).value(0x1008);
    add("registers", s);
  }
  for (uint32_t kind = FIGMENT_INJECT_INTERRUPT_LOST; kind <= FIGMENT_INJECT_REMOVED; ++kind) {
    Script s(kKernel, kLatencies, kCaches, kInjection | kBetweenAccesses);
    const bool takes_none = kind == FIGMENT_INJECT_INTERRUPT_LOST || kind == FIGMENT_INJECT_HANG ||
                            kind == FIGMENT_INJECT_PREEMPT_STUCK ||
                            kind == FIGMENT_INJECT_BUS_ERROR || kind == FIGMENT_INJECT_VRAM_ERROR ||
                            kind == FIGMENT_INJECT_REMOVED;
    s.write(kInject, kind).write(kInject + 1, FIGMENT_INJECT_CHANCE);
    s.write(kInject + 2, FIGMENT_INJECT_CHANCE_MAX / 4, 8).write(kInject + 3, 3, 8);
    s.write(kInject + 4, takes_none ? 0 : 2000, 8).write(kInject + 11, FIGMENT_INJECT_ARM);
    s.start(0, 0).start(1, 1);
    every_packet(s, 0).settle(5).act(kCommand).u8(0).u8(FIGMENT_QUEUE_PREEMPT);
    every_packet(s, 1).settle(10).act(kReadRegister).u8(kInject + 14);
    s.write(kInject + 11, FIGMENT_INJECT_CLEAR);
    add(std::format("injection_{}", kind), s);
  }
  for (const uint8_t shape : {kTenant, kKernel}) {
    Script s(shape, kLatencies, kCaches, kWholeMaps);
    s.start(0, 1).start(1, 2);
    for (unsigned i = 0; i < 6; ++i) {
      s.submit(0, FIGMENT_OP_COPY, 0).at(kData, 16).at(kData).value(16384);
      s.submit(1, FIGMENT_OP_RELEASE, 7).at(kData, 128).value(i);
      s.act(kInvalidate).u8(0x80 | 1 << 3).advance(1000 * i);
      s.act(kSaveAndLoad).u8(0).advance(700).act(kCommand).u8(i % 2).u8(FIGMENT_QUEUE_RESET);
      s.act(kSaveAndLoad).u8(0).start(i % 2, 1);
    }
    add(shape == kTenant ? "saved_tenant" : "saved_kernel", s);
    if (shape == kTenant) continue;
    for (unsigned place = 0; place < 2000; place += 37) {
      s.act(kSaveAndLoad).u8(1).u16(place).u8(0xff).start(0, 1);
      s.submit(0, FIGMENT_OP_TIMESTAMP, 0).at(kData).run(3);
    }
    s.act(kSaveAndLoad).u8(0x81).u16(9).u8(0x7f).u16(100);
    add("streams_tampered_with", s);
  }
  for (const uint8_t preempt : {kBetweenPackets, kBetweenAccesses}) {
    Script s(kTenant | kFaults, kLatencies, kNoCaches | kPrefetch, preempt | kTinyMaps);
    const auto command = [&](unsigned queue, unsigned which) -> Script& {
      return s.act(kCommand).u8(queue).u8(which);
    };
    // Address space 1 is one with faults, and page 64 of it is missing.
    s.start(0, 0).start(1, 1);
    every_packet(s, 0);
    for (unsigned i = 0; i < 12; ++i) {
      command(0, FIGMENT_QUEUE_PREEMPT).advance(300 * i);
      s.submit(0, FIGMENT_OP_SPIN, 0).value(200);
      command(0, FIGMENT_QUEUE_RESUME).run(1 + i);
      s.submit(1, FIGMENT_OP_COPY, 0).at(kMappedPages - 5).at(kData).value(16384).run(4);
      command(1, i % 3 == 0 ? FIGMENT_QUEUE_PREEMPT : FIGMENT_QUEUE_FAULT_RETRY).advance(900);
      s.act(kTableEntry).u8(3).u16(kMappedPages + i % 4).u8(kData).u8(3);
      command(1, FIGMENT_QUEUE_FAULT_RETRY).settle(1);
      command(1, FIGMENT_QUEUE_RESUME).run(3);
      if (i % 5 == 4) {
        command(1, FIGMENT_QUEUE_FAULT_KILL).start(1, 1);
        s.act(kSaveAndLoad).u8(0);
      }
    }
    add(preempt == kBetweenPackets ? "preempted_between_packets" : "preempted_anywhere", s);
  }
  {
    // The save area comes back from the guest: each word of it with other bits.
    Script s(kKernel | kFaults, kNoLatency, kCaches, kBetweenAccesses | kWholeMaps);
    for (unsigned word = 0; word < 24; ++word) {
      s.start(0, 0).submit(0, FIGMENT_OP_FILL, 3).at(kData).value(4096).value(word).run(2);
      s.submit(0, FIGMENT_OP_SPIN, 0).value(~0ull >> word).run(1 + word % 4);
      s.act(kCommand).u8(0).u8(FIGMENT_QUEUE_PREEMPT).run(2);
      s.act(kStore).u16(kDescriptorPage * 512 + 8 + word).value(word * 0x0101'0101'0101);
      s.act(kCommand).u8(0).u8(FIGMENT_QUEUE_RESUME).run(8);
    }
    add("save_areas", s);
  }
  {
    // Nobody reads the reports, and there is no ring for them: they have to wait in the device.
    Script s(kKernel, kNoLatency, kCaches, kWholeMaps);
    s.write(kEventSize, 0);
    s.act(kInvalidate).u8(0x80 | 0x40 | 1 << 3);
    for (unsigned q = 0; q < kQueues; ++q) {
      s.start(q, q).submit(q, FIGMENT_OP_RELEASE, FIGMENT_RELEASE_EVENT).value(0).value(1).run(2);
      for (unsigned i = 0; i < 3; ++i) {
        s.act(kDoorbell).u8(0x80 | q).value(4).run(2).start(q, q);
      }
    }
    add("reports_without_a_ring", s);
  }
  {
    Script s(kTenant, kLatencies, kCaches, kWholeMaps);
    for (const uint64_t write : {8ull, 4096ull, ~0ull, 4ull, 4104ull, 1ull << 63}) {
      s.start(0, 0).act(kDoorbell).u8(0x80).value(write);
      s.start(1, 0x40).act(kDoorbell).u8(1).value(write).advance(100);
      s.act(kDoorbell).u8(1).value(0).settle(2);
    }
    add("doorbells", s);
  }
  return all;
}

}  // namespace figment::fuzz
