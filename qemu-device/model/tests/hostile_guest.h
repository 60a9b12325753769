// SPDX-License-Identifier: MIT
// A guest that does anything: random register writes, doorbells, descriptors,
// packets, page tables and rules of injection, over and over, from a seed. And what must hold after
// it: a reset makes a device that works.
#pragma once

#include <cstdlib>
#include <random>

#include "gpu.h"
#include "known_job.h"

namespace figment::test {

inline uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

class Hostile {
 public:
  explicit Hostile(uint64_t seed) : random_(seed) {}

  GpuOptions options() {
    GpuOptions options;
    options.host.ram_bytes = 4 << 20;
    options.host.vram_bytes = 1 << 20;
    options.host.strict = true;
    options.host.seed = random_();
    options.host.map_bytes_max = one_in(3) ? 1 + below(10'000) : UINT64_MAX;
    options.event_lg2 = FIGMENT_EVENT_SIZE_LG2_MIN;
    options.config.engines = 1 + static_cast<uint32_t>(below(4));
    options.config.queues = 8;
    options.config.asids = 4;
    options.config.tlb_entries = 16 << below(5);
    options.config.walk_cache_entries = static_cast<uint32_t>(below(3) * 50);
    options.config.retention_ns = one_in(2) ? FIGMENT_MODEL_NEVER : below(100'000);
    options.config.step_bytes = 64 + static_cast<uint32_t>(below(70'000));
    options.config.preempt = static_cast<uint32_t>(below(3));
    options.config.faults = !one_in(3);
    options.config.inject = one_in(6);
    options.config.prefetch_pages = one_in(3) ? static_cast<uint32_t>(below(5)) : 0;
    for (figment_latency* latency :
         {&options.config.doorbell, &options.config.invalidate, &options.config.access,
          &options.config.event, &options.config.preemption}) {
      if (one_in(2)) latency->max_ns = below(20'000);
    }
    return options;
  }

  // Something to destroy: all address spaces map kWorkPages at 0, some of them oddly.
  void prepare(Gpu& gpu) {
    work_ = gpu.allocate(kWorkPages * kPage);
    for (uint32_t asid = 0; asid < 4; ++asid) {
      gpu.map(asid, 0, work_, kWorkPages * kPage);
      roots_[asid] = gpu.read64(FIGMENT_REG_ASID_ROOT(asid));
      if (gpu.config.faults && asid % 2 == 1) roots_[asid] |= FIGMENT_ROOT_FAULTS;
      gpu.write64(FIGMENT_REG_ASID_ROOT(asid), roots_[asid]);
      for (int i = 0; i < 8; ++i) gpu.set_pte(asid, below(kWorkPages) * kPage, 0, entry(gpu));
    }
    for (uint64_t page = 0; page < kWorkPages; ++page) packets(gpu, work_ + page * kPage);
  }

  void round(Gpu& gpu) {
    switch (below(11)) {
      case 0:
        gpu.write(offset(), value(), 1u << below(4));
        break;
      case 1:
        (void)gpu.read(offset(), 1u << below(4));
        break;
      case 2: {
        const uint64_t where = one_in(4) ? value() : below(9) * FIGMENT_DOORBELL_BYTES;
        gpu.doorbell(where, one_in(3) ? value() : below(600) * 8, one_in(9) ? 4 : 8);
        break;
      }
      case 3:
        scribble(gpu);
        break;
      case 4:
        descriptor(gpu);
        break;
      case 5:
        gpu.command(static_cast<uint32_t>(below(8)), static_cast<uint32_t>(below(8)));
        break;
      case 6:
        gpu.write64(FIGMENT_REG_ASID_ROOT(below(4)), one_in(10) ? entry(gpu) : roots_[below(4)]);
        break;
      case 7:
        gpu.advance(below(30'000));
        break;
      case 8:
        if (one_in(3)) gpu.write64(FIGMENT_REG_INVAL_COMMAND, below(1 << 20));
        if (one_in(5)) gpu.bring_up();
        if (one_in(40)) gpu.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
        break;
      case 9:
        (void)gpu.events();
        break;
      case 10:
        if (gpu.config.inject) injection(gpu);
        break;
    }
    const figment_model_progress progress = gpu.run_steps(below(200));
    EXPECT_LE(progress.steps, 200u);
  }

  bool one_in(uint64_t n) { return below(n) == 0; }
  uint64_t below(uint64_t n) { return random_() % n; }

  // Numbers that matter: small, close to limits, or anything.
  uint64_t value() {
    switch (below(6)) {
      case 0:
        return below(8);
      case 1:
        return 1ull << below(64);
      case 2:
        return (1ull << below(64)) - 8;
      case 3:
        return below(1 << 16) * 8;
      case 4:
        return ~below(4096);
      default:
        return random_();
    }
  }

 private:
  uint64_t offset() {
    switch (below(4)) {
      case 0:
        return below(0x480) & ~3ull;
      case 1:
        return FIGMENT_REG_QUEUE(below(8)) + below(0x40);
      case 2:
        return below(FIGMENT_REGISTERS_BYTES);
      default:
        return value();
    }
  }

  uint64_t bus(Gpu& gpu) {
    if (!one_in(6)) return work_ + below(kWorkPages) * kPage;
    return one_in(8) ? FakeHost::kDeviceBase + below(16) * kPage
                     : FakeHost::kRamBase + below(gpu.host.ram.size() / kPage) * kPage;
  }

  // An entry that is mostly right: then it leads somewhere.
  uint64_t entry(Gpu& gpu) {
    uint64_t entry = bus(gpu) | FIGMENT_PTE_VALID;
    if (one_in(3)) entry |= FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE;
    if (one_in(6)) entry = below(300) * kPage | FIGMENT_PTE_VALID | FIGMENT_PTE_VRAM;
    if (one_in(6)) entry ^= 1ull << below(64);
    return entry;
  }

  // Addresses that often meet: the low pages, where tables of any kind lead.
  uint64_t address() { return one_in(20) ? value() : below(kWorkPages * kPage / 8) * 8; }

  // Its length, or what it would be.
  uint64_t packet(Gpu& gpu, uint64_t at) {
    static constexpr uint8_t kQwords[] = {1, 3, 4, 4, 5, 4, 3, 2, 2, 4};
    static constexpr uint8_t kFlags[] = {0, 0, 7, 0, 5, 11, 5, 0, 0, 0};
    const uint64_t opcode = below(one_in(40) ? 256 : 10);
    const uint64_t qwords = opcode < 10 && !one_in(40) ? kQwords[opcode] : below(70'000);
    const uint64_t flags = one_in(40) || opcode >= 10 ? value() : below(16) & kFlags[opcode];
    store(gpu, at, FIGMENT_PACKET(opcode, qwords & 0xffff, flags & 0xffffffff));
    const bool small = opcode == FIGMENT_OP_ATOMIC || opcode == FIGMENT_OP_SPIN;
    for (uint64_t i = 1; i < 5; ++i) {
      const uint64_t operand = i == 2 ? below(1 << 16) * 8 : small && i > 2 ? 0 : address();
      store(gpu, at + i * 8, one_in(20) ? value() : operand);
    }
    // A release without a store has no address; a wait mostly holds at once.
    if (opcode == FIGMENT_OP_RELEASE && !(flags & FIGMENT_RELEASE_WRITE)) store(gpu, at + 8, 0);
    if (opcode == FIGMENT_OP_WAIT && !one_in(8)) store(gpu, at + 24, 0);
    return opcode < 10 ? kQwords[opcode] * 8u : 8;
  }

  void packets(Gpu& gpu, uint64_t page) {
    for (uint64_t i = 0; i + 40 <= kPage;) i += packet(gpu, page + i);
  }

  void store(Gpu& gpu, uint64_t bus, uint64_t word) {
    if (gpu.host.memory(bus, 8)) gpu.host.store<uint64_t>(bus, word);
  }

  // A page of packets, of page-table entries, or of nonsense; some of it in VRAM.
  void scribble(Gpu& gpu) {
    const uint64_t at = bus(gpu);
    switch (below(8)) {
      default:
        packets(gpu, at);
        break;
      case 1:
        for (uint64_t i = 0; i < kPage; i += 8) store(gpu, at + i, entry(gpu));
        break;
      case 2:
        for (uint64_t i = 0; i < kPage; i += 8) {
          store(gpu, at + i, value());
          std::memcpy(&gpu.host.vram[below(gpu.host.vram.size() / 8) * 8], &i, 8);
        }
        break;
    }
  }

  void descriptor(Gpu& gpu) {
    const auto q = static_cast<uint32_t>(below(8));
    if (!one_in(4)) {
      gpu.command(q, FIGMENT_QUEUE_RESET);
      if (one_in(2)) gpu.run_all(50'000, 200);
    }
    figment_descriptor d{};
    d.ring_address = one_in(20) ? value() : below(64) * kPage;
    d.ring_bytes_lg2 = one_in(20) ? static_cast<uint32_t>(value())
                                  : FIGMENT_RING_BYTES_LG2_MIN + static_cast<uint32_t>(below(4));
    d.asid = static_cast<uint32_t>(below(one_in(20) ? 8 : 4));
    d.priority = static_cast<uint32_t>(below(one_in(20) ? 8 : 4));
    d.flags = static_cast<uint32_t>(below(one_in(20) ? 8 : 2));
    d.timeslice_ns = below(5000);
    d.read = one_in(4) ? value() & ~7ull : 0;
    d.write = d.read + (one_in(20) ? value() : below(513) * 8);
    const uint64_t at = bus(gpu) + below(16) * 256;
    if (gpu.host.memory(at, sizeof(d))) gpu.host.store(at, d);
    gpu.write64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_DESC, at);
    gpu.command(q, FIGMENT_QUEUE_START);
  }

  // A rule that is mostly right, or the end of all of them.
  void injection(Gpu& gpu) {
    const auto small = [&](uint64_t n) { return static_cast<uint32_t>(below(n)); };
    const uint32_t kind = small(one_in(20) ? 16 : FIGMENT_INJECT_REMOVED);
    gpu.write32(FIGMENT_REG_INJECT_KIND, kind);
    gpu.write32(FIGMENT_REG_INJECT_WHEN, small(3));
    gpu.write64(FIGMENT_REG_INJECT_NUMBER, one_in(20) ? value() : below(50) * small(2000));
    gpu.write64(FIGMENT_REG_INJECT_AFTER, one_in(20) ? value() : below(50));
    gpu.write64(FIGMENT_REG_INJECT_VALUE, one_in(20) ? value() : below(2) * (1 + below(20'000)));
    gpu.write32(FIGMENT_REG_INJECT_QUEUE, one_in(3) ? small(9) : FIGMENT_INJECT_ANY);
    for (const uint32_t aim :
         {FIGMENT_REG_INJECT_ENGINE, FIGMENT_REG_INJECT_VECTOR, FIGMENT_REG_INJECT_EVENT}) {
      gpu.write32(aim, one_in(20) ? small(9) : FIGMENT_INJECT_ANY);
    }
    gpu.write64(FIGMENT_REG_INJECT_FIRST, one_in(10) ? value() : 0);
    gpu.write64(FIGMENT_REG_INJECT_LAST, one_in(10) ? value() : ~0ull);
    gpu.write32(FIGMENT_REG_INJECT_COMMAND, one_in(5) ? small(4) : FIGMENT_INJECT_ARM);
    gpu.write32(FIGMENT_REG_INJECT_SELECT, small(20));
    (void)gpu.read64(FIGMENT_REG_INJECT_STRIKES);
    // What is gone would stay away.
    if (gpu.removed() && one_in(3)) gpu.inject_clear();
  }

  static constexpr uint64_t kWorkPages = 256;
  uint64_t work_ = 0;
  uint64_t roots_[4] = {};
  std::mt19937_64 random_;
};

// From reset: a known job on every queue, in a corner of its own at the end of RAM; what the guest
// left elsewhere does not matter.
inline void expect_works(Gpu& gpu) {
  const uint64_t end = FakeHost::kRamBase + gpu.host.ram.size();
  EXPECT_EQ(known_job_trouble(gpu, end - KnownJobs::kBytes), "");
}

}  // namespace figment::test
