// SPDX-License-Identifier: MIT
//
// Each packet, word by word, against the structures of figment_hw.h.
#include "figment/command_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace figment {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

/// The words of `list` seen as a packet of the contract.
template <typename Packet>
Packet as(const CommandList& list) {
  EXPECT_EQ(list.bytes(), sizeof(Packet));
  Packet packet = {};
  std::memcpy(&packet, list.words().data(), sizeof(packet));
  return packet;
}

std::uint64_t opcode(std::uint64_t header) {
  return header & FIGMENT_PACKET_OPCODE;
}
std::uint64_t version(std::uint64_t header) {
  return (header & FIGMENT_PACKET_VERSION) >> 8;
}
std::uint64_t qwords(std::uint64_t header) {
  return (header & FIGMENT_PACKET_QWORDS) >> 16;
}
std::uint64_t flags(std::uint64_t header) {
  return (header & FIGMENT_PACKET_FLAGS) >> 32;
}

TEST(CommandList, starts_empty) {
  const CommandList list;
  EXPECT_EQ(list.bytes(), 0u);
}

TEST(CommandList, nop_counts_its_header) {
  CommandList list;
  list.nop().nop(3);
  EXPECT_THAT(list.words(), ElementsAre(0x1'0000u, 0x3'0000u, 0u, 0u));
}

TEST(CommandList, nop_without_a_header_is_refused) {
  CommandList list;
  EXPECT_THROW(list.nop(0), std::invalid_argument);
  EXPECT_EQ(list.bytes(), 0u);
}

TEST(CommandList, indirect_names_a_buffer) {
  CommandList list;
  list.indirect({.at = GpuVa{0x1000}, .bytes = 64, .flags = FIGMENT_INDIRECT_PRIVILEGED});
  const auto packet = as<figment_packet_indirect>(list);
  EXPECT_EQ(opcode(packet.header), unsigned{FIGMENT_OP_INDIRECT});
  EXPECT_EQ(version(packet.header), unsigned{FIGMENT_PACKET_VERSION_0});
  EXPECT_EQ(qwords(packet.header), 3u);
  EXPECT_EQ(flags(packet.header), FIGMENT_INDIRECT_PRIVILEGED);
  EXPECT_EQ(packet.address, 0x1000u);
  EXPECT_EQ(packet.bytes, 64u);
}

struct Element {
  unsigned bytes;
  std::uint32_t lg2;
};

class CommandListFill : public testing::TestWithParam<Element> {};

TEST_P(CommandListFill, says_its_element) {
  CommandList list;
  list.fill({.at = GpuVa{0x2000}, .bytes = 48, .value = 0x1122, .element_bytes = GetParam().bytes});
  const auto packet = as<figment_packet_fill>(list);
  EXPECT_EQ(opcode(packet.header), unsigned{FIGMENT_OP_FILL});
  EXPECT_EQ(qwords(packet.header), 4u);
  EXPECT_EQ(flags(packet.header), GetParam().lg2);
  EXPECT_EQ(packet.address, 0x2000u);
  EXPECT_EQ(packet.bytes, 48u);
  EXPECT_EQ(packet.value, 0x1122u);
}

INSTANTIATE_TEST_SUITE_P(elements, CommandListFill,
                         testing::Values(Element{1, 0}, Element{2, 1}, Element{4, 2},
                                         Element{8, 3}));

TEST(CommandList, fill_can_count_up) {
  CommandList list;
  list.fill({.bytes = 8, .element_bytes = 4, .increment = true});
  EXPECT_EQ(flags(as<figment_packet_fill>(list).header), 2u | FIGMENT_FILL_INCREMENT);
}

TEST(CommandList, fill_of_three_byte_elements_is_refused) {
  CommandList list;
  EXPECT_THROW(list.fill({.element_bytes = 3}), std::invalid_argument);
  EXPECT_THROW(list.fill({.element_bytes = 0}), std::invalid_argument);
  EXPECT_THROW(list.fill({.element_bytes = 16}), std::invalid_argument);
  EXPECT_EQ(list.bytes(), 0u);
}

TEST(CommandList, copy_has_destination_before_source) {
  CommandList list;
  list.copy({.to = GpuVa{0x3000}, .from = GpuVa{0x4000}, .bytes = 5});
  const auto packet = as<figment_packet_copy>(list);
  EXPECT_EQ(opcode(packet.header), unsigned{FIGMENT_OP_COPY});
  EXPECT_EQ(qwords(packet.header), 4u);
  EXPECT_EQ(flags(packet.header), 0u);
  EXPECT_EQ(packet.destination, 0x3000u);
  EXPECT_EQ(packet.source, 0x4000u);
  EXPECT_EQ(packet.bytes, 5u);
}

TEST(CommandList, atomic_without_result_writes_none) {
  CommandList list;
  list.atomic(
      {.kind = AtomicKind::xchg, .at = GpuVa{0x5000}, .operand = 9, .width = Width::bits32});
  const auto packet = as<figment_packet_atomic>(list);
  EXPECT_EQ(opcode(packet.header), unsigned{FIGMENT_OP_ATOMIC});
  EXPECT_EQ(qwords(packet.header), 5u);
  EXPECT_EQ(flags(packet.header), unsigned{FIGMENT_ATOMIC_XCHG});
  EXPECT_EQ(packet.address, 0x5000u);
  EXPECT_EQ(packet.operand, 9u);
  EXPECT_EQ(packet.compare, 0u);
  EXPECT_EQ(packet.result, 0u);
}

TEST(CommandList, atomic_adds_when_not_told_otherwise) {
  CommandList list;
  list.atomic({.at = GpuVa{0x5000}, .operand = 1});
  const auto packet = as<figment_packet_atomic>(list);
  EXPECT_EQ(flags(packet.header), FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_64);
  EXPECT_EQ(packet.operand, 1u);
}

TEST(CommandList, atomic_with_result_says_where) {
  CommandList list;
  list.atomic({.kind = AtomicKind::cas,
               .at = GpuVa{0x5000},
               .operand = 9,
               .compare = 8,
               .result = GpuVa{0x6000}});
  const auto packet = as<figment_packet_atomic>(list);
  EXPECT_EQ(flags(packet.header), FIGMENT_ATOMIC_CAS | FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN);
  EXPECT_EQ(packet.compare, 8u);
  EXPECT_EQ(packet.result, 0x6000u);
}

TEST(CommandList, wait_says_comparison_and_width) {
  CommandList list;
  list.wait({.at = GpuVa{0x7000}, .compare = Compare::ge, .reference = 3, .mask = 0xff});
  const auto packet = as<figment_packet_wait>(list);
  EXPECT_EQ(opcode(packet.header), unsigned{FIGMENT_OP_WAIT});
  EXPECT_EQ(qwords(packet.header), 4u);
  EXPECT_EQ(flags(packet.header), FIGMENT_WAIT_GE | FIGMENT_WAIT_64);
  EXPECT_EQ(packet.address, 0x7000u);
  EXPECT_EQ(packet.reference, 3u);
  EXPECT_EQ(packet.mask, 0xffu);
}

TEST(CommandList, release_writes_only_when_told_where) {
  CommandList list;
  list.release({.at = GpuVa{0x8000}, .value = 4});
  auto packet = as<figment_packet_release>(list);
  EXPECT_EQ(opcode(packet.header), unsigned{FIGMENT_OP_RELEASE});
  EXPECT_EQ(qwords(packet.header), 3u);
  EXPECT_EQ(flags(packet.header), FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64);
  EXPECT_EQ(packet.address, 0x8000u);
  EXPECT_EQ(packet.value, 4u);

  list.clear();
  list.release({.value = 5, .width = Width::bits32, .event = true});
  packet = as<figment_packet_release>(list);
  EXPECT_EQ(flags(packet.header), FIGMENT_RELEASE_EVENT);
  EXPECT_EQ(packet.address, 0u);
}

TEST(CommandList, release_of_a_user_fence_writes_and_tells) {
  CommandList list;
  list.release({.at = GpuVa{0x8000}, .value = 4, .event = true});
  EXPECT_EQ(flags(as<figment_packet_release>(list).header),
            FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64 | FIGMENT_RELEASE_EVENT);
}

TEST(CommandList, timestamp_spin_and_chase_have_their_operands) {
  CommandList list;
  list.timestamp(GpuVa{0x9000});
  EXPECT_EQ(opcode(as<figment_packet_timestamp>(list).header), unsigned{FIGMENT_OP_TIMESTAMP});
  EXPECT_EQ(as<figment_packet_timestamp>(list).address, 0x9000u);

  list.clear();
  list.spin(2ms);
  EXPECT_EQ(opcode(as<figment_packet_spin>(list).header), unsigned{FIGMENT_OP_SPIN});
  EXPECT_EQ(as<figment_packet_spin>(list).ns, 2'000'000u);

  list.clear();
  list.chase({.from = GpuVa{0xa000}, .count = 7, .result = GpuVa{0xb000}});
  const auto packet = as<figment_packet_chase>(list);
  EXPECT_EQ(opcode(packet.header), unsigned{FIGMENT_OP_CHASE});
  EXPECT_EQ(packet.address, 0xa000u);
  EXPECT_EQ(packet.count, 7u);
  EXPECT_EQ(packet.result, 0xb000u);
}

TEST(CommandList, packets_follow_each_other) {
  CommandList list;
  list.spin(1ns).timestamp(GpuVa{8});
  EXPECT_THAT(list.words(), ElementsAre(FIGMENT_PACKET(FIGMENT_OP_SPIN, 2, 0), 1u,
                                        FIGMENT_PACKET(FIGMENT_OP_TIMESTAMP, 2, 0), 8u));
}

TEST(CommandList, raw_words_stay_as_they_are) {
  CommandList list;
  const std::uint64_t words[] = {~std::uint64_t{0}, 1};
  list.raw(words);
  EXPECT_THAT(list.words(), ElementsAre(~std::uint64_t{0}, 1u));
}

TEST(CommandList, does_not_write_past_a_short_buffer) {
  CommandList list;
  list.spin(1ns);
  std::byte memory[24] = {};
  memory[16] = std::byte{0x5a};
  EXPECT_THROW(list.write_to(std::span(memory).first(15)), std::length_error);
  list.write_to(memory);
  EXPECT_EQ(std::memcmp(memory, list.words().data(), 16), 0);
  EXPECT_EQ(memory[16], std::byte{0x5a});
}

}  // namespace
}  // namespace figment
