// SPDX-License-Identifier: MIT
// What each packet does when it is well formed. Malformed ones are in
// packet_errors_test.cpp.
#include <algorithm>
#include <random>

#include "gpu.h"

namespace figment::test {

namespace {

class Packets : public OneQueue {};

TEST_F(Packets, nop_is_skipped_with_its_whole_length) {
  run_ok(nop() + nop(17) + nop(200) + release(FIGMENT_RELEASE_WRITE, kData, 5));
  EXPECT_EQ(data<uint32_t>(0), 5u);
}

TEST_F(Packets, a_packet_may_wrap_around_the_end_of_the_ring) {
  run_ok(nop(509));
  run_ok(atomic(FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_64, kData, 7));
  run_ok(nop(500));
  run_ok(nop(20));
  EXPECT_EQ(data(0), 7u);
}

TEST_F(Packets, fill_writes_elements_of_every_size) {
  run_ok(fill(kData + 1, 3, 0x1122334455667788, 0) + fill(kData + 8, 6, 0x1122334455667788, 1) +
         fill(kData + 16, 8, 0x1122334455667788, 2) + fill(kData + 24, 16, 0x1122334455667788, 3));
  EXPECT_EQ(data(0), 0x88888800u);
  EXPECT_EQ(data(8), 0x778877887788u);
  EXPECT_EQ(data(16), 0x5566778855667788u);
  EXPECT_EQ(data(24), 0x1122334455667788u);
  EXPECT_EQ(data(32), 0x1122334455667788u);
  EXPECT_EQ(data(40), 0u);
}

TEST_F(Packets, fill_with_increment_counts_elements) {
  const uint64_t count = 3 * kPage / 4 + 5;
  run_ok(fill(kData + 4, count * 4, 0xfffffffe, 2 | FIGMENT_FILL_INCREMENT));
  EXPECT_EQ(data<uint32_t>(0), 0u);
  for (uint64_t i = 0; i < count; ++i) {
    ASSERT_EQ(data<uint32_t>(4 + i * 4), static_cast<uint32_t>(0xfffffffe + i)) << i;
  }
  EXPECT_EQ(data<uint32_t>(4 + count * 4), 0u);
}

TEST_F(Packets, fill_and_copy_of_nothing_access_nothing) {
  const uint64_t hole = 0x7777'0000'0000;
  run_ok(fill(hole, 0, 1) + copy(hole, hole, 0) + fill(1ull << 48, 0, 1));
}

TEST_F(Packets, copy_moves_misaligned_data_across_pages) {
  number_bytes();
  const auto before = std::vector(bytes(3, 5 * kPage).begin(), bytes(3, 5 * kPage).end());
  run_ok(copy(kData + 20 * kPage + 1234, kData + 3, 5 * kPage));
  EXPECT_TRUE(std::ranges::equal(bytes(20 * kPage + 1234, 5 * kPage), before));
}

struct Overlap {
  int64_t distance;
  uint64_t bytes;
};
class CopyOverlap : public OneQueue, public ::testing::WithParamInterface<Overlap> {};

TEST_P(CopyOverlap, is_memmove) {
  number_bytes();
  const uint64_t from = 10 * kPage + 77;
  const uint64_t to = from + static_cast<uint64_t>(GetParam().distance);
  std::vector<std::byte> expected(bytes(0, kDataBytes).begin(), bytes(0, kDataBytes).end());
  std::memmove(&expected[to], &expected[from], GetParam().bytes);
  run_ok(copy(kData + to, kData + from, GetParam().bytes));
  EXPECT_TRUE(std::ranges::equal(bytes(0, kDataBytes), expected));
}

INSTANTIATE_TEST_SUITE_P(, CopyOverlap,
                         ::testing::Values(Overlap{1, 1}, Overlap{1, 20 * kPage},
                                           Overlap{-1, 20 * kPage}, Overlap{4095, 25 * kPage},
                                           Overlap{-4097, 25 * kPage}, Overlap{4096, 25 * kPage},
                                           Overlap{-4096, 25 * kPage}, Overlap{0, 9 * kPage},
                                           Overlap{24 * kPage, 24 * kPage + 1},
                                           Overlap{24 * kPage, 24 * kPage}));

// Large enough to go past the caches: other code, the same bytes.
class CopyLarge : public OneQueue, public ::testing::WithParamInterface<int64_t> {};

TEST_P(CopyLarge, is_memmove) {
  constexpr uint64_t kVa = 0x20'0000'0000, kBytes = (5u << 20) + 77, kFrom = (1u << 20) + 3;
  constexpr uint64_t kArea = 12u << 20;
  const uint64_t bus = gpu.map_new(kAsid, kVa, kArea);
  const std::span area(gpu.host.memory(bus, kArea), kArea);
  std::mt19937 random(1);
  std::ranges::generate(area, [&] { return static_cast<std::byte>(random()); });
  std::vector<std::byte> expected(area.begin(), area.end());
  const uint64_t to = kFrom + static_cast<uint64_t>(GetParam());
  std::memmove(&expected[to], &expected[kFrom], kBytes);
  run_ok(copy(kVa + to, kVa + kFrom, kBytes));
  EXPECT_TRUE(std::ranges::equal(area, expected));
}

INSTANTIATE_TEST_SUITE_P(, CopyLarge,
                         ::testing::Values(1, -1, 63, -64, 4096 + 5, -(1 << 20), 5 << 20,
                                           (5 << 20) + 77, (5 << 20) + 4099));

TEST_F(Packets, copy_between_scattered_pages_in_both_memories) {
  // Every second page in VRAM, and backwards in memory.
  const uint64_t va = 0x20'0000'0000;
  for (uint64_t page = 0; page < 8; ++page) {
    const bool in_vram = page % 2 != 0;
    const uint64_t at = in_vram ? 0x10'0000 - page * kPage : gpu.allocate(kPage);
    gpu.map(kAsid, va + page * kPage, at, kPage, Gpu::kUser | (in_vram ? FIGMENT_PTE_VRAM : 0));
  }
  number_bytes();
  run_ok(copy(va + 5, kData + 9, 7 * kPage) + copy(kData + 20 * kPage, va + 5, 7 * kPage));
  EXPECT_TRUE(std::ranges::equal(bytes(9, 7 * kPage), bytes(20 * kPage, 7 * kPage)));
}

TEST_F(Packets, copy_reaches_memory_that_is_not_ram) {
  const uint64_t va = 0x20'0000'0000;
  gpu.map(kAsid, va, FakeHost::kDeviceBase, 4 * kPage);
  number_bytes();
  run_ok(copy(va + 3, kData, 3 * kPage) + copy(kData + 20 * kPage, va + 3, 3 * kPage) +
         copy(va + 4, va + 3, 3 * kPage) + copy(kData + 30 * kPage, va + 4, 3 * kPage));
  EXPECT_TRUE(std::ranges::equal(bytes(0, 3 * kPage), bytes(20 * kPage, 3 * kPage)));
  EXPECT_TRUE(std::ranges::equal(bytes(0, 3 * kPage), bytes(30 * kPage, 3 * kPage)));
}

TEST_F(Packets, small_packets_reach_memory_that_is_not_ram) {
  const uint64_t va = 0x20'0000'0000;
  gpu.map(kAsid, va, FakeHost::kDeviceBase, kPage);
  run_ok(fill(va + 2, 4, 0x0101, 1) +
         atomic(FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN, va + 8, 40, 0,
                va + 16) +
         atomic(FIGMENT_ATOMIC_CAS, va + 8, 0x1234, 40) +
         release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64, va + 24, ~0ull) +
         wait(FIGMENT_WAIT_EQ | FIGMENT_WAIT_64, va + 24, ~0ull));
  EXPECT_EQ(gpu.host.load<uint64_t>(FakeHost::kDeviceBase), 0x010101010000u);
  EXPECT_EQ(gpu.host.load<uint64_t>(FakeHost::kDeviceBase + 8), 0x1234u);
  EXPECT_EQ(gpu.host.load<uint64_t>(FakeHost::kDeviceBase + 16), 0u);
  EXPECT_EQ(gpu.host.load<uint64_t>(FakeHost::kDeviceBase + 24), ~0ull);
}

TEST_F(Packets, atomic_add_cas_xchg_in_both_widths) {
  set_data<uint64_t>(0, 0xffff'ffff'ffff'ffff);
  set_data<uint64_t>(8, 0xffff'ffff'ffff'ffff);
  set_data<uint64_t>(16, 5);
  set_data<uint64_t>(24, 5);
  set_data<uint64_t>(32, 9);
  const uint32_t ret = FIGMENT_ATOMIC_RETURN;
  run_ok(atomic(FIGMENT_ATOMIC_ADD | ret, kData, 2, 0, kData + 64) +
         atomic(FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_64 | ret, kData + 8, 2, 0, kData + 72) +
         atomic(FIGMENT_ATOMIC_CAS | FIGMENT_ATOMIC_64 | ret, kData + 16, 6, 5, kData + 80) +
         atomic(FIGMENT_ATOMIC_CAS | FIGMENT_ATOMIC_64 | ret, kData + 24, 6, 4, kData + 88) +
         atomic(FIGMENT_ATOMIC_XCHG | FIGMENT_ATOMIC_64 | ret, kData + 32, 10, 0, kData + 96));
  EXPECT_EQ(data(0), 0xffff'ffff'0000'0001u) << "32 bits leave the other half alone";
  EXPECT_EQ(data<uint32_t>(64), 0xffff'ffffu);
  EXPECT_EQ(data<uint32_t>(68), 0u);
  EXPECT_EQ(data(8), 1u);
  EXPECT_EQ(data(72), ~0ull);
  EXPECT_EQ(data(16), 6u);
  EXPECT_EQ(data(80), 5u);
  EXPECT_EQ(data(24), 5u);
  EXPECT_EQ(data(88), 5u);
  EXPECT_EQ(data(32), 10u);
  EXPECT_EQ(data(96), 9u);
}

TEST_F(Packets, atomic_with_a_result_over_its_own_target) {
  set_data<uint64_t>(0, 40);
  run_ok(
      atomic(FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN, kData, 2, 0, kData));
  EXPECT_EQ(data(0), 40u) << "the operation happens once, then its result is stored";
}

struct Comparison {
  uint32_t compare;
  bool below, equal, above;
};
class Wait : public OneQueue, public ::testing::WithParamInterface<Comparison> {};

TEST_P(Wait, compares_unsigned_and_masked) {
  const auto holds = [&](uint64_t value) {
    set_data<uint64_t>(0, value);
    set_data<uint64_t>(8, 0);
    ring.submit(wait(GetParam().compare | FIGMENT_WAIT_64, kData, 0x8000'0000'0000'0000,
                     0xffff'0000'0000'0000) +
                release(FIGMENT_RELEASE_WRITE, kData + 8, 1));
    gpu.run_all(20'000);
    const bool held = data(8) == 1;
    set_data<uint64_t>(0, GetParam().below ? 0 : GetParam().equal ? 1ull << 63 : ~0ull);
    gpu.run_all(20'000);
    EXPECT_EQ(data(8), 1u);
    return held;
  };
  EXPECT_EQ(holds(0x7fff'ffff'ffff'ffff), GetParam().below);
  EXPECT_EQ(holds(0x8000'1234'5678'9abc), GetParam().equal);
  EXPECT_EQ(holds(0x8001'0000'0000'0000), GetParam().above);
}

INSTANTIATE_TEST_SUITE_P(, Wait,
                         ::testing::Values(Comparison{FIGMENT_WAIT_EQ, false, true, false},
                                           Comparison{FIGMENT_WAIT_NE, true, false, true},
                                           Comparison{FIGMENT_WAIT_LT, true, false, false},
                                           Comparison{FIGMENT_WAIT_LE, true, true, false},
                                           Comparison{FIGMENT_WAIT_GT, false, false, true},
                                           Comparison{FIGMENT_WAIT_GE, false, true, true}));

TEST_F(Packets, wait_of_32_bits_ignores_the_neighbour) {
  set_data<uint64_t>(0, 0x1234'5678'0000'0007);
  run_ok(wait(FIGMENT_WAIT_EQ, kData, 7));
}

TEST_F(Packets, wait_looks_again_at_the_poll_interval) {
  ring.submit(wait(FIGMENT_WAIT_EQ, kData, 1));
  const uint64_t start = gpu.host.now_ns;
  EXPECT_EQ(gpu.run_now().next_ns, start + gpu.config.poll_ns);
  set_data<uint32_t>(0, 1);
  EXPECT_EQ(gpu.run_now().next_ns, start + gpu.config.poll_ns) << "not before";
  gpu.advance(gpu.config.poll_ns);
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
}

TEST_F(Packets, release_writes_and_reports) {
  run_ok(fill(kData + 64, 8, 1, 3) +
         release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64 | FIGMENT_RELEASE_EVENT, kData,
                 0x1'0000'0002) +
         release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_EVENT, kData + 8, 0x1'0000'0003) +
         release(0, 0, 77));
  EXPECT_EQ(data(0), 0x1'0000'0002u);
  EXPECT_EQ(data(8), 3u);
  const auto events = gpu.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].type, FIGMENT_EVENT_FENCE);
  EXPECT_EQ(events[0].queue, 0);
  EXPECT_EQ(events[0].asid, kAsid);
  EXPECT_EQ(events[0].detail, 0u);
  EXPECT_EQ(events[0].value, 0x1'0000'0002u);
  EXPECT_EQ(events[0].time_ns, gpu.host.now_ns);
  EXPECT_EQ(events[1].value, 0x1'0000'0003u) << "all 64 bits, whatever was stored";
}

TEST_F(Packets, timestamp_stores_the_device_time) {
  gpu.advance(123456);
  run_ok(timestamp(kData));
  EXPECT_EQ(data(0), gpu.host.now_ns);
  EXPECT_EQ(data(0), gpu.read64(FIGMENT_REG_TIME));
}

TEST_F(Packets, spin_keeps_the_engine_busy_for_its_time) {
  ring.submit(spin(5000) + release(FIGMENT_RELEASE_WRITE, kData, 1));
  const uint64_t start = gpu.host.now_ns;
  EXPECT_EQ(gpu.run_now().next_ns, start + 5000);
  gpu.advance(4999);
  EXPECT_EQ(gpu.run_now().next_ns, start + 5000);
  EXPECT_EQ(data(0), 0u);
  EXPECT_NE(gpu.read32(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_ENGINE), ~0u);
  gpu.advance(1);
  gpu.run_now();
  EXPECT_EQ(data(0), 1u);
  run_ok(spin(0));
}

TEST_F(Packets, spin_for_ever_ends_only_with_a_reset) {
  ring.submit(spin(~0ull));
  EXPECT_EQ(gpu.run_now().next_ns, FIGMENT_MODEL_NEVER);
  gpu.advance(1ull << 60);
  gpu.run_now();
  EXPECT_NE(gpu.read32(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_ENGINE), ~0u);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_now();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
}

TEST_F(Packets, chase_follows_pointers_to_the_end_or_the_count) {
  // 100 pointers over all pages, then zero.
  std::mt19937 random(7);
  std::vector<uint64_t> nodes;
  for (uint64_t i = 0; i < 100; ++i) nodes.push_back(8 + i * 2608);
  std::shuffle(nodes.begin(), nodes.end(), random);
  for (size_t i = 0; i + 1 < nodes.size(); ++i) set_data(nodes[i], kData + nodes[i + 1]);
  set_data<uint64_t>(nodes.back(), 0);
  set_data<uint64_t>(0, ~0ull);
  run_ok(chase(kData + nodes[0], ~0ull, kData));
  EXPECT_EQ(data(0), 0u);
  run_ok(chase(kData + nodes[0], 42, kData));
  EXPECT_EQ(data(0), kData + nodes[42]);
  run_ok(chase(kData + nodes[0], 0, kData));
  EXPECT_EQ(data(0), kData + nodes[0]);
  set_data<uint64_t>(0, 5);
  run_ok(chase(kData + nodes[0], ~0ull, 0));
  EXPECT_EQ(data(0), 5u) << "result 0: nowhere";
  run_ok(chase(0, 5, kData));
  EXPECT_EQ(data(0), 0u);
}

TEST_F(Packets, an_endless_chase_stops_nobody_else) {
  set_data<uint64_t>(0, kData);
  Ring other(gpu, 1);
  ring.submit(chase(kData, ~0ull, 0));
  other.submit(release(FIGMENT_RELEASE_WRITE, kData + 8, 1));
  gpu.run_steps(100);
  EXPECT_EQ(data(8), 1u);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 0u);
}

// Nesting

class Nesting : public OneQueue {
 protected:
  void put(uint64_t offset, const Words& words) {
    for (size_t i = 0; i < words.size(); ++i) set_data(offset + i * 8, words[i]);
  }
};

TEST_F(Nesting, indirect_runs_buffers_three_deep_and_goes_on) {
  const auto add = [](uint64_t digit) {
    return atomic(FIGMENT_ATOMIC_XCHG | FIGMENT_ATOMIC_64, kData + digit * 8, digit);
  };
  const Words inner = add(3);
  const Words middle = add(2) + indirect(kData + 0x3000, inner.size() * 8) + add(4);
  const Words outer = add(1) + indirect(kData + 0x2000, middle.size() * 8) + add(5);
  put(0x1000, outer);
  put(0x2000, middle);
  put(0x3000, inner);
  run_ok(indirect(kData + 0x1000, outer.size() * 8) + add(6));
  for (uint64_t digit = 1; digit <= 6; ++digit) EXPECT_EQ(data(digit * 8), digit);
}

TEST_F(Nesting, an_empty_buffer_is_no_error) {
  run_ok(indirect(kData, 0) + indirect(0x7777'0000'0000, 0));
}

TEST_F(Nesting, the_ring_packet_is_retired_when_its_buffer_has_run) {
  put(0x1000, spin(1000) + nop());
  ring.submit(indirect(kData + 0x1000, 24) + nop());
  gpu.run_now();
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 0u);
  gpu.advance(1000);
  gpu.run_now();
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 32u);
  EXPECT_EQ(ring.load().read, 32u);
}

TEST_F(Nesting, a_packet_of_a_buffer_may_cross_a_page_but_touches_no_page_behind_it) {
  // The packet ends with the page; behind it is a hole.
  const uint64_t va = 0x20'0000'0000;
  const uint64_t bus = gpu.map_new(kAsid, va, 2 * kPage);
  const Words store = release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64, kData, 99);
  for (size_t i = 0; i < 3; ++i) {
    gpu.host.store<uint64_t>(bus + kPage - 16 + i * 8, store[i]);
    gpu.host.store<uint64_t>(bus + 2 * kPage - 24 + i * 8, store[i]);
  }
  run_ok(indirect(va + kPage - 16, 24));
  EXPECT_EQ(data(0), 99u);
  set_data<uint64_t>(0, 0);
  // The buffer goes on into the hole; the packet before it still runs.
  run_error(indirect(va + 2 * kPage - 24, 64), FIGMENT_CODE_UNMAPPED, va + 2 * kPage);
  EXPECT_EQ(data(0), 99u);
}

TEST_F(Nesting, privilege_is_lost_in_a_buffer_unless_kept) {
  const uint64_t secret = 0x20'0000'0000;
  const uint64_t bus = gpu.map_new(kAsid, secret, kPage, Gpu::kUser | FIGMENT_PTE_PRIVILEGED);
  const Words store = release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_EVENT, secret, 7);
  put(0x1000, store);
  put(0x2000, indirect(kData + 0x1000, 24, FIGMENT_INDIRECT_PRIVILEGED));
  put(0x3000, indirect(kData + 0x1000, 24));

  run_error(store, FIGMENT_CODE_PERMISSION, secret);

  Ring trusted(gpu, 5, {.asid = kAsid, .flags = FIGMENT_DESC_PRIVILEGED});
  trusted.submit(store);
  trusted.submit(indirect(kData + 0x2000, 24, FIGMENT_INDIRECT_PRIVILEGED));
  gpu.run_all();
  ASSERT_EQ(gpu.queue_state(5), FIGMENT_QUEUE_READY);
  EXPECT_EQ(gpu.host.load<uint32_t>(bus), 7u);
  const auto fences = gpu.events_of(FIGMENT_EVENT_FENCE);
  ASSERT_EQ(fences.size(), 2u);
  EXPECT_EQ(fences[0].detail, FIGMENT_EVENT_FENCE_PRIVILEGED);
  EXPECT_EQ(fences[1].detail, FIGMENT_EVENT_FENCE_PRIVILEGED);

  // Not kept once, lost for good: asking for it again below is an error.
  trusted.submit(indirect(kData + 0x2000, 24));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(5), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(5), FIGMENT_CODE_FIELD);

  Ring another(gpu, 6, {.asid = kAsid, .flags = FIGMENT_DESC_PRIVILEGED});
  another.submit(indirect(kData + 0x3000, 24));
  gpu.run_all();
  EXPECT_EQ(gpu.queue_code(6), FIGMENT_CODE_PERMISSION);
}

TEST_F(Nesting, a_fence_from_an_unprivileged_buffer_says_so) {
  put(0x1000, fence(9));
  Ring trusted(gpu, 5, {.asid = kAsid, .flags = FIGMENT_DESC_PRIVILEGED});
  trusted.submit(indirect(kData + 0x1000, 24));
  gpu.run_all();
  const auto fences = gpu.events_of(FIGMENT_EVENT_FENCE);
  ASSERT_EQ(fences.size(), 1u);
  EXPECT_EQ(fences[0].detail, 0u);
}

// The size of a step decides how long a step takes, and nothing else.

struct StepRun {
  std::vector<std::byte> ram, vram;
  std::vector<uint64_t> fences;
  uint32_t code = 0;
};

StepRun run_with(uint32_t step_bytes, uint64_t map_bytes_max, bool latencies) {
  GpuOptions options;
  options.config.step_bytes = step_bytes;
  options.host.map_bytes_max = map_bytes_max;
  if (latencies) {
    options.config.access = {.min_ns = 10, .max_ns = 500};
    options.config.bytes_per_us = 1000;
  }
  Gpu gpu(options);
  const uint64_t data = 0x10'0000, bytes = 128 * kPage;
  const uint64_t bus = gpu.map_new(1, data, bytes);
  gpu.map(1, data + bytes, 0x10'0000, 64 * kPage, Gpu::kUser | FIGMENT_PTE_VRAM);
  Ring ring(gpu, 0);
  ring.submit(fill(data + 1, 70001, 0x55, FIGMENT_FILL_INCREMENT) +
              fill(data + 0x18004, 40004, 0x1234567, 2 | FIGMENT_FILL_INCREMENT) +
              copy(data + 0x20001, data + 3, 100003) + copy(data + 0x20801, data + 0x20001, 99999) +
              copy(data + 0x1ff01, data + 0x20001, 99999) +
              copy(data + bytes + 5, data + 0x10007, 150001) +
              copy(data + bytes + 6, data + bytes + 5, 150001) +
              atomic(FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_RETURN, data + 0x40, 5, 0, data + 0x80) +
              chase(data + 0x60000, 3, data + 0x50000) +
              release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_EVENT, data + 0x70000, 1) +
              fill(data + bytes - 4096, 1 << 20, 0xaa));
  gpu.host.store<uint64_t>(bus + 0x60000, data + 0x60008);
  gpu.host.store<uint64_t>(bus + 0x60008, data + 0x60010);
  gpu.host.store<uint64_t>(bus + 0x60010, data + 0x60000);
  gpu.run_all(UINT64_MAX / 2);
  StepRun result;
  result.code = gpu.queue_code(0);
  for (const auto& event : gpu.events_of(FIGMENT_EVENT_FENCE)) result.fences.push_back(event.value);
  const std::byte* at = gpu.host.memory(bus, bytes);
  result.ram.assign(at, at + bytes);
  result.vram = gpu.host.vram;
  return result;
}

TEST(StepBytes, change_nothing_but_the_number_of_steps) {
  const StepRun reference = run_with(1 << 20, UINT64_MAX, false);
  EXPECT_EQ(reference.code, FIGMENT_CODE_UNMAPPED) << "the last fill leaves the mapping";
  EXPECT_EQ(reference.fences, std::vector<uint64_t>{1});
  for (const bool latencies : {false, true}) {
    for (const uint32_t step_bytes : {64u, 65u, 127u, 4096u, 5000u, 65536u, 1u << 20}) {
      for (const uint64_t map_bytes_max : {UINT64_MAX, uint64_t{1000}, uint64_t{4097}}) {
        SCOPED_TRACE(std::to_string(step_bytes) + " bytes a step, maps of " +
                     std::to_string(map_bytes_max));
        const StepRun run = run_with(step_bytes, map_bytes_max, latencies);
        EXPECT_EQ(run.code, reference.code);
        EXPECT_EQ(run.fences, reference.fences);
        EXPECT_TRUE(run.ram == reference.ram);
        EXPECT_TRUE(run.vram == reference.vram);
      }
    }
  }
}

}  // namespace

}  // namespace figment::test
