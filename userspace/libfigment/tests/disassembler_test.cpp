// SPDX-License-Identifier: MIT
//
// Packets as CommandList writes them, read back in words; and what no CommandList writes.
#include "figment/disassembler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

#include "figment/command_list.h"
#include "figment_hw.h"

namespace figment {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<std::uint64_t> words_of(const CommandList& list) {
  std::vector<std::byte> bytes(list.bytes());
  list.write_to(bytes);
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

std::vector<std::string> texts_of(const CommandList& list) {
  std::vector<std::string> texts;
  for (const auto& packet : disassemble(words_of(list), 0x1000)) {
    EXPECT_EQ(packet.problem, "") << packet.text;
    texts.push_back(packet.text);
  }
  return texts;
}

TEST(Disassembler, knows_each_packet) {
  CommandList list;
  list.nop(1)
      .nop(5)
      .indirect({.at = GpuVa{0x8000}, .bytes = 0x40})
      .fill({.at = GpuVa{0x2000}, .bytes = 0x40, .value = 7, .element_bytes = 4, .increment = true})
      .fill({.at = GpuVa{0x2000}, .bytes = 3, .value = 0xff, .element_bytes = 1})
      .copy({.to = GpuVa{0x3000}, .from = GpuVa{0x4000}, .bytes = 0x100})
      .atomic({.kind = AtomicKind::add, .at = GpuVa{0x10}, .operand = 2})
      .atomic({.kind = AtomicKind::cas,
               .at = GpuVa{0x10},
               .operand = 3,
               .compare = 4,
               .width = Width::bits32,
               .result = GpuVa{0x20}})
      .wait({.at = GpuVa{0x10}, .compare = Compare::ge, .reference = 5})
      .release({.at = GpuVa{0x18}, .value = 6, .event = true})
      .timestamp(GpuVa{0x28})
      .spin(7us)
      .chase({.from = GpuVa{0x30}, .count = 8, .result = GpuVa{0x38}});
  EXPECT_THAT(
      texts_of(list),
      ElementsAre("NOP", "NOP of 5 qwords", "INDIRECT 0x40 bytes at 0x8000",
                  "FILL 0x40 bytes at 0x2000 with 0x7 and on (4 bytes each)",
                  "FILL 0x3 bytes at 0x2000 with 0xff (1 byte each)",
                  "COPY 0x100 bytes from 0x4000 to 0x3000", "ATOMIC add 0x2 to 0x10 (64 bits)",
                  "ATOMIC if it is 0x4 store 0x3 at 0x10 (32 bits), old value to 0x20",
                  "WAIT until the word at 0x10 & 0xffffffffffffffff >= 0x5 (64 bits)",
                  "RELEASE 0x6 to 0x18 (64 bits), with an event", "TIMESTAMP to 0x28",
                  "SPIN 7000 ns", "CHASE 8 pointers from 0x30, the last one to 0x38"));
}

TEST(Disassembler, says_where_each_packet_is_and_what_it_calls) {
  CommandList list;
  list.nop(2).indirect({.at = GpuVa{0x8000}, .bytes = 0x40}).spin(1ns);
  const auto packets = disassemble(words_of(list), 0x1000);
  ASSERT_THAT(packets, SizeIs(3));
  EXPECT_EQ(packets[1].at, 0x1010u);
  EXPECT_EQ(packets[1].calls, GpuVa{0x8000});
  EXPECT_EQ(packets[1].called_bytes, 0x40u);
  EXPECT_EQ(packets[2].at, 0x1028u);
  EXPECT_FALSE(packets[2].calls);
}

struct Wrong {
  const char* what;
  std::vector<std::uint64_t> words;
  const char* problem;
};
void PrintTo(const Wrong& wrong, std::ostream* out) {
  *out << wrong.what;
}
class Malformed : public testing::TestWithParam<Wrong> {};

INSTANTIATE_TEST_SUITE_P(
    packets, Malformed,
    testing::Values(
        Wrong{"opcode", {FIGMENT_PACKET(0x77, 1, 0), 0}, "opcode 0x77"},
        Wrong{"version", {FIGMENT_PACKET(0, 1, 0) | 9 << 8, 0}, "version 9"},
        Wrong{"no_words", {FIGMENT_PACKET(FIGMENT_OP_NOP, 0, 0), 0}, "0 qwords"},
        Wrong{"length", {FIGMENT_PACKET(FIGMENT_OP_SPIN, 3, 0), 0, 0}, "must have 2"},
        Wrong{"cut", {FIGMENT_PACKET(FIGMENT_OP_FILL, 4, 0), 0}, "2 are left"},
        Wrong{"long_nop", {FIGMENT_PACKET(FIGMENT_OP_NOP, 65535, 0)}, "1 are left"},
        Wrong{"flags", {FIGMENT_PACKET(FIGMENT_OP_SPIN, 2, 1u << 31), 0}, "0x80000000"},
        Wrong{"operation", {FIGMENT_PACKET(FIGMENT_OP_ATOMIC, 5, 3), 0, 0, 0, 0}, "operation"},
        Wrong{"comparison", {FIGMENT_PACKET(FIGMENT_OP_WAIT, 4, 7), 0, 0, 0}, "comparison"}),
    [](const auto& info) { return info.param.what; });

TEST_P(Malformed, packet_is_named_and_ends_the_list) {
  std::vector<std::uint64_t> words = {FIGMENT_PACKET(FIGMENT_OP_NOP, 1, 0)};
  words.insert(words.end(), GetParam().words.begin(), GetParam().words.end());
  const auto packets = disassemble(words, 0);
  ASSERT_THAT(packets, SizeIs(2));
  EXPECT_EQ(packets[0].problem, "");
  EXPECT_THAT(packets[1].problem, HasSubstr(GetParam().problem));
  EXPECT_EQ(packets[1].at, 8u);
}

TEST(Disassembler, takes_anything) {
  EXPECT_THAT(disassemble({}, 0), SizeIs(0));
  std::uint64_t random = 88172645463325252u;
  for (int round = 0; round < 10000; ++round) {
    std::vector<std::uint64_t> words(round % 9);
    for (auto& word : words) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      word = random;
    }
    if (!words.empty()) words[0] &= 0xffff'ffff'0007'000f;
    std::uint64_t at = 0;
    for (const auto& packet : disassemble(words, 0)) {
      EXPECT_EQ(packet.at, at);
      at += packet.qwords * 8;
    }
    EXPECT_LE(at, words.size() * 8);
  }
}

TEST(Names, are_of_the_contract) {
  EXPECT_EQ(code_name(FIGMENT_CODE_NESTING), "NESTING");
  EXPECT_EQ(code_name(FIGMENT_CODE_KILLED), "KILLED");
  EXPECT_EQ(code_name(99), "99");
  EXPECT_THAT(std::string(code_meaning(FIGMENT_CODE_BUS)), HasSubstr("does not answer"));
  EXPECT_EQ(queue_state_name(FIGMENT_QUEUE_ERROR), "ERROR");
  EXPECT_EQ(queue_state_name(0xffffffff), "4294967295");
}

}  // namespace
}  // namespace figment
