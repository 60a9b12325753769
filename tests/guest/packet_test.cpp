// SPDX-License-Identifier: MIT
//
// Every packet once, from a user's command buffer to memory. What each does in every
// corner is for the unit tests of the device model.
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "guest.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;

class Packet : public GpuTest {
 protected:
  Packet() { gpu_.vm.map({.at = kData, .buffer = buffer_}); }

  std::uint64_t& word(std::uint64_t n) { return view_.as<std::uint64_t>()[n]; }
  static GpuVa at(std::uint64_t n) { return kData + n * 8; }

  Buffer buffer_ = gpu_.device.buffer({.bytes = 1_MiB});
  Mapping view_ = buffer_.map();
  CommandList list_;
};

TEST_F(Packet, nop_is_skipped_with_everything_in_it) {
  list_.nop().nop(100).fill({.at = at(0), .bytes = 8, .value = 1});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(0), 1u);
}

TEST_F(Packet, indirect_runs_another_buffer_and_goes_on) {
  CommandList inner;
  inner.atomic({.kind = AtomicKind::add, .at = at(0), .operand = 5});
  inner.write_to(view_.bytes().subspan(4096));
  list_.indirect({.at = kData + 4096, .bytes = inner.bytes()})
      .indirect({.at = kData + 4096, .bytes = inner.bytes()})
      .atomic({.kind = AtomicKind::add, .at = at(0), .operand = 1});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(0), 11u);
}

class PacketFill : public Packet, public testing::WithParamInterface<unsigned> {};
INSTANTIATE_TEST_SUITE_P(elements, PacketFill, testing::Values(1u, 2u, 4u, 8u));

TEST_P(PacketFill, repeats_its_element) {
  const unsigned bytes = GetParam();
  constexpr std::uint64_t kValue = 0x1122334455667788;
  list_.fill({.at = kData + 8, .bytes = 16, .value = kValue, .element_bytes = bytes});
  EXPECT_DONE(gpu_.run(list_));
  for (unsigned n = 0; n < 16; ++n) {
    EXPECT_EQ(std::to_integer<unsigned>(view_.bytes()[8 + n]), kValue >> n % bytes * 8 & 0xff);
  }
  EXPECT_EQ(word(0), 0u);
  EXPECT_EQ(word(3), 0u);
}

TEST_F(Packet, fill_counts_up) {
  list_.fill({.at = at(0), .bytes = 40, .value = 7, .increment = true});
  EXPECT_DONE(gpu_.run(list_));
  for (std::uint64_t n = 0; n < 5; ++n) EXPECT_EQ(word(n), 7 + n);
}

TEST_F(Packet, fill_covers_many_pages) {
  list_.fill({.at = kData, .bytes = 1_MiB, .value = 3});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_TRUE(std::ranges::all_of(view_.as<std::uint64_t>(), [](auto w) { return w == 3; }));
}

TEST_F(Packet, copy_moves_odd_numbers_of_bytes) {
  for (unsigned n = 0; n < 5000; ++n) view_.bytes()[n] = static_cast<std::byte>(n * 7);
  list_.copy({.to = kData + 100'003, .from = kData + 1, .bytes = 4999});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_TRUE(
      std::ranges::equal(view_.bytes().subspan(1, 4999), view_.bytes().subspan(100'003, 4999)));
  EXPECT_EQ(view_.bytes()[100'002], std::byte{});
  EXPECT_EQ(view_.bytes()[105'002], std::byte{});
}

TEST_F(Packet, copy_may_overlap_itself_either_way) {
  for (const auto& [to, from] : {std::pair(3u, 0u), std::pair(0u, 3u)}) {
    std::vector<std::byte> expected(20'000);
    for (unsigned n = 0; n < expected.size(); ++n) expected[n] = static_cast<std::byte>(n % 251);
    std::ranges::copy(expected, view_.bytes().begin());
    std::vector<std::byte> source(expected.begin() + from, expected.begin() + from + 15'000);
    std::ranges::copy(source, expected.begin() + to);
    list_.clear();
    list_.copy({.to = kData + to, .from = kData + from, .bytes = 15'000});
    EXPECT_DONE(gpu_.run(list_));
    EXPECT_TRUE(std::ranges::equal(expected, view_.bytes().first(expected.size())));
  }
}

TEST_F(Packet, atomic_add_wraps_in_its_width) {
  word(0) = 0xffff'ffff'ffff'ffff;
  word(1) = 0x1'ffff'ffff;
  list_.atomic({.kind = AtomicKind::add, .at = at(0), .operand = 2, .result = at(4)})
      .atomic({.kind = AtomicKind::add,
               .at = at(1),
               .operand = 2,
               .width = Width::bits32,
               .result = at(5)});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(0), 1u);
  EXPECT_EQ(word(1), 0x1'0000'0001u);
  EXPECT_EQ(word(4), 0xffff'ffff'ffff'ffffu);
  EXPECT_EQ(static_cast<std::uint32_t>(word(5)), 0xffff'ffffu);
}

TEST_F(Packet, atomic_cas_stores_only_what_it_expects) {
  word(0) = 10;
  list_.atomic({.kind = AtomicKind::cas, .at = at(0), .operand = 1, .compare = 11, .result = at(4)})
      .atomic({.kind = AtomicKind::cas, .at = at(0), .operand = 2, .compare = 10, .result = at(5)});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(0), 2u);
  EXPECT_EQ(word(4), 10u);
  EXPECT_EQ(word(5), 10u);
}

TEST_F(Packet, atomic_xchg_gives_the_old_value) {
  word(0) = 10;
  list_.atomic({.kind = AtomicKind::xchg, .at = at(0), .operand = 20, .result = at(4)});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(0), 20u);
  EXPECT_EQ(word(4), 10u);
}

TEST_F(Packet, atomic_add_loses_nothing_against_the_cpu) {
  constexpr std::uint64_t kAdds = 2000;
  for (std::uint64_t n = 0; n < kAdds; ++n) {
    list_.atomic({.kind = AtomicKind::add, .at = at(0), .operand = 1});
  }
  const Fence fence = gpu_.start(list_);
  for (std::uint64_t n = 0; n < kAdds; ++n) __atomic_fetch_add(&word(0), 1, __ATOMIC_SEQ_CST);
  EXPECT_DONE(outcome(fence));
  EXPECT_EQ(word(0), 2 * kAdds);
}

struct Comparison {
  Compare compare;
  std::uint64_t holds_at;  // the first of 0, 1, 2, 3 ... at which it holds against 2
};

class PacketWait : public Packet, public testing::WithParamInterface<Comparison> {};
INSTANTIATE_TEST_SUITE_P(comparisons, PacketWait,
                         testing::Values(Comparison{Compare::eq, 2}, Comparison{Compare::gt, 3},
                                         Comparison{Compare::ge, 2}));

TEST_P(PacketWait, goes_on_when_the_comparison_holds) {
  list_.wait({.at = at(0), .compare = GetParam().compare, .reference = 2, .mask = 0xff})
      .fill({.at = at(1), .bytes = 8, .value = 1});
  word(0) = 0xff00;  // masked out
  const Fence fence = gpu_.start(list_);
  for (std::uint64_t n = 0; n < GetParam().holds_at; ++n) {
    __atomic_store_n(&word(0), 0xff00 | n, __ATOMIC_RELEASE);
    EXPECT_FALSE(fence.wait(after(20ms))) << "at " << n;
  }
  EXPECT_EQ(word(1), 0u);
  __atomic_store_n(&word(0), 0xff00 | GetParam().holds_at, __ATOMIC_RELEASE);
  EXPECT_DONE(outcome(fence));
  EXPECT_EQ(word(1), 1u);
}

TEST_F(Packet, wait_knows_ne_lt_and_le) {
  word(0) = 1;
  list_.wait({.at = at(0), .compare = Compare::ne, .reference = 2})
      .wait({.at = at(0), .compare = Compare::lt, .reference = 2})
      .wait({.at = at(0), .compare = Compare::le, .reference = 1})
      .wait({.at = at(0), .compare = Compare::eq, .reference = 1, .width = Width::bits32});
  EXPECT_DONE(gpu_.run(list_));
  for (const auto& [compare, value] :
       {std::pair(Compare::ne, 2u), std::pair(Compare::lt, 2u), std::pair(Compare::le, 3u)}) {
    word(0) = value;
    list_.clear();
    list_.wait({.at = at(0), .compare = compare, .reference = 2});
    const Fence fence = gpu_.start(list_);
    EXPECT_FALSE(fence.wait(after(20ms)));
    __atomic_store_n(&word(0), 1, __ATOMIC_RELEASE);
    EXPECT_DONE(outcome(fence));
  }
}

TEST_F(Packet, release_writes_its_width) {
  word(0) = word(1) = ~std::uint64_t{0};
  list_.release({.at = at(0), .value = 5})
      .release({.at = at(1), .value = 6, .width = Width::bits32});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(0), 5u);
  EXPECT_EQ(word(1), 0xffff'ffff'0000'0006u);
}

TEST_F(Packet, release_event_of_a_user_does_not_end_a_job) {
  // The driver's own fences come by the same kind of event. A user's must not be taken
  // for one, whatever its value.
  for (const std::uint64_t value : {0u, 1u, 2u, 3u, 1000u}) {
    list_.release({.value = value, .event = true});
  }
  list_.release({.value = ~std::uint64_t{0}, .event = true})
      .release({.at = at(0), .value = 1})
      .wait({.at = at(1), .compare = Compare::ne, .reference = 0});
  const Fence fence = gpu_.start(list_);
  while (__atomic_load_n(&word(0), __ATOMIC_ACQUIRE) == 0) std::this_thread::yield();
  EXPECT_FALSE(fence.wait(after(50ms)));
  __atomic_store_n(&word(1), 1, __ATOMIC_RELEASE);
  EXPECT_DONE(outcome(fence));
}

TEST_F(Packet, timestamps_count_nanoseconds_upwards) {
  list_.timestamp(at(0)).spin(5ms).timestamp(at(1));
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_GE(word(1) - word(0), 5'000'000u);
}

TEST_F(Packet, spin_takes_its_time) {
  list_.spin(30ms);
  const auto start = Clock::now();
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_GE(Clock::now() - start, 30ms);
}

TEST_F(Packet, chase_follows_pointers_to_the_end) {
  // A chain over many pages, in no order.
  std::uint64_t previous = 0;
  for (std::uint64_t n = 1; n < 200; ++n) {
    const std::uint64_t next = n * 397 % 256 * 512 + n;
    word(previous) = at(next).value;
    previous = next;
  }
  word(previous) = 0;
  const std::uint64_t result = 256 * 512 - 1;
  list_.chase({.from = at(0), .count = 50, .result = at(result)});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(result), at(50 * 397 % 256 * 512 + 50).value);
  list_.clear();
  list_.chase({.from = at(0), .count = 1'000'000, .result = at(result)});
  EXPECT_DONE(gpu_.run(list_));
  EXPECT_EQ(word(result), 0u);
}

}  // namespace
}  // namespace figment::guest
