// SPDX-License-Identifier: MIT
// Malformed packets: each stops its queue with the right code at the right
// address, does nothing, and disturbs no other queue.
#include <algorithm>
#include <cctype>

#include "gpu.h"

namespace figment::test {

namespace {

constexpr uint64_t kEnd = 1ull << 48;
constexpr uint64_t k = 0x10'0000;  // OneQueue::kData

struct Malformed {
  const char* what;
  Words words;
  uint32_t code;
};

uint64_t header(uint64_t opcode, uint64_t qwords, uint64_t flags = 0, uint64_t version = 0) {
  return FIGMENT_PACKET(opcode, qwords, flags) | version << 8;
}

void PrintTo(const Malformed& malformed, std::ostream* out) {
  *out << malformed.what;
}

class PacketErrors : public OneQueue, public ::testing::WithParamInterface<Malformed> {};

TEST_P(PacketErrors, stop_the_queue_and_nothing_else) {
  Ring other(gpu, 1);
  const auto before = std::vector(bytes(0, kDataBytes).begin(), bytes(0, kDataBytes).end());
  run_ok(nop(3));
  run_error(GetParam().words, GetParam().code, ring.ring_va() + 24);
  EXPECT_TRUE(std::ranges::equal(bytes(0, kDataBytes), before)) << "it did something";
  other.submit(release(FIGMENT_RELEASE_WRITE, kData, 1));
  run_ok(release(FIGMENT_RELEASE_WRITE, kData + 8, 1));
  EXPECT_EQ(data<uint32_t>(0), 1u);
  EXPECT_EQ(data<uint32_t>(8), 1u);
}

const Malformed kMalformed[] = {
    {"opcode 10", {header(10, 1)}, FIGMENT_CODE_OPCODE},
    {"opcode 255", {header(255, 4), 1, 2, 3}, FIGMENT_CODE_OPCODE},
    {"opcode before length", {header(255, 0)}, FIGMENT_CODE_OPCODE},
    {"version 1", {header(FIGMENT_OP_NOP, 1, 0, 1)}, FIGMENT_CODE_VERSION},
    {"version before opcode", {header(255, 1, 0, 255)}, FIGMENT_CODE_VERSION},

    {"nop of no length", {header(FIGMENT_OP_NOP, 0)}, FIGMENT_CODE_LENGTH},
    {"nop past what is announced", {header(FIGMENT_OP_NOP, 2)}, FIGMENT_CODE_LENGTH},
    {"nop longer than the ring", {header(FIGMENT_OP_NOP, 65535)}, FIGMENT_CODE_LENGTH},
    {"fill past what is announced", {header(FIGMENT_OP_FILL, 4), k, 8}, FIGMENT_CODE_LENGTH},
    {"fill too short", {header(FIGMENT_OP_FILL, 3), k, 8}, FIGMENT_CODE_LENGTH},
    {"fill too long", {header(FIGMENT_OP_FILL, 5), k, 8, 1, 0}, FIGMENT_CODE_LENGTH},
    {"fill much too long", Words{header(FIGMENT_OP_FILL, 40), k, 8, 1} + Words(36, 0),
     FIGMENT_CODE_LENGTH},
    {"indirect too short", {header(FIGMENT_OP_INDIRECT, 2), k}, FIGMENT_CODE_LENGTH},
    {"copy too short", {header(FIGMENT_OP_COPY, 3), k, k}, FIGMENT_CODE_LENGTH},
    {"atomic too short", {header(FIGMENT_OP_ATOMIC, 4), k, 1, 0}, FIGMENT_CODE_LENGTH},
    {"wait too short", {header(FIGMENT_OP_WAIT, 3), k, 0}, FIGMENT_CODE_LENGTH},
    {"release too short", {header(FIGMENT_OP_RELEASE, 2), k}, FIGMENT_CODE_LENGTH},
    {"timestamp too short", {header(FIGMENT_OP_TIMESTAMP, 1)}, FIGMENT_CODE_LENGTH},
    {"spin too short", {header(FIGMENT_OP_SPIN, 1)}, FIGMENT_CODE_LENGTH},
    {"chase too short", {header(FIGMENT_OP_CHASE, 3), k, 1}, FIGMENT_CODE_LENGTH},

    {"nop with flags", {header(FIGMENT_OP_NOP, 1, 1)}, FIGMENT_CODE_FIELD},
    {"indirect with unknown flags", indirect(k, 8, 2), FIGMENT_CODE_FIELD},
    {"indirect asks for privilege", indirect(k, 8, 1), FIGMENT_CODE_FIELD},
    {"indirect at 4", indirect(k + 4, 8), FIGMENT_CODE_FIELD},
    {"indirect of 4 bytes", indirect(k, 4), FIGMENT_CODE_FIELD},
    {"indirect past the end", indirect(kEnd - 8, 16), FIGMENT_CODE_FIELD},
    {"indirect that overflows", indirect(k, ~7ull), FIGMENT_CODE_FIELD},
    {"fill with unknown flags", fill(k, 8, 1, 8), FIGMENT_CODE_FIELD},
    {"fill with a high flag", fill(k, 8, 1, 1u << 31), FIGMENT_CODE_FIELD},
    {"fill not aligned", fill(k + 2, 8, 1, 2), FIGMENT_CODE_FIELD},
    {"fill of a part", fill(k, 12, 1, 3), FIGMENT_CODE_FIELD},
    {"fill past the end", fill(kEnd - 8, 16, 1, 3), FIGMENT_CODE_FIELD},
    {"fill that overflows", fill(k, ~0ull, 1), FIGMENT_CODE_FIELD},
    {"fill in another world", fill(1ull << 63, 8, 1), FIGMENT_CODE_FIELD},
    {"fill nowhere of nothing", fill(kEnd + 8, 0, 1), FIGMENT_CODE_FIELD},
    {"copy with flags", {header(FIGMENT_OP_COPY, 4, 1), k, k, 8}, FIGMENT_CODE_FIELD},
    {"copy from past the end", copy(k, kEnd - 8, 9), FIGMENT_CODE_FIELD},
    {"copy to past the end", copy(kEnd - 8, k, 9), FIGMENT_CODE_FIELD},
    {"copy that overflows", copy(k, k + 4096, ~0ull - 4096), FIGMENT_CODE_FIELD},
    {"atomic with unknown flags", atomic(16, k, 1), FIGMENT_CODE_FIELD},
    {"atomic of kind 3", atomic(3, k, 1), FIGMENT_CODE_FIELD},
    {"atomic not aligned", atomic(0, k + 2, 1), FIGMENT_CODE_FIELD},
    {"atomic 64 not aligned", atomic(FIGMENT_ATOMIC_64, k + 4, 1), FIGMENT_CODE_FIELD},
    {"atomic past the end", atomic(0, kEnd, 1), FIGMENT_CODE_FIELD},
    {"add with compare", atomic(FIGMENT_ATOMIC_ADD, k, 1, 1), FIGMENT_CODE_FIELD},
    {"result without return", atomic(0, k, 1, 0, k), FIGMENT_CODE_FIELD},
    {"result not aligned", atomic(FIGMENT_ATOMIC_RETURN, k, 1, 0, k + 1), FIGMENT_CODE_FIELD},
    {"result past the end", atomic(FIGMENT_ATOMIC_RETURN, k, 1, 0, kEnd), FIGMENT_CODE_FIELD},
    {"wait for comparison 6", wait(6, k, 0), FIGMENT_CODE_FIELD},
    {"wait with unknown flags", wait(16, k, 0), FIGMENT_CODE_FIELD},
    {"wait not aligned", wait(FIGMENT_WAIT_64, k + 4, 0), FIGMENT_CODE_FIELD},
    {"wait past the end", wait(0, ~3ull, 0), FIGMENT_CODE_FIELD},
    {"release with unknown flags", release(8, 0, 1), FIGMENT_CODE_FIELD},
    {"release nowhere with an address", release(FIGMENT_RELEASE_EVENT, k, 1), FIGMENT_CODE_FIELD},
    {"release not aligned", release(FIGMENT_RELEASE_WRITE, k + 2, 1), FIGMENT_CODE_FIELD},
    {"release past the end", release(FIGMENT_RELEASE_WRITE, kEnd, 1), FIGMENT_CODE_FIELD},
    {"timestamp with flags", {header(FIGMENT_OP_TIMESTAMP, 2, 1), k}, FIGMENT_CODE_FIELD},
    {"timestamp not aligned", timestamp(k + 4), FIGMENT_CODE_FIELD},
    {"timestamp past the end", timestamp(kEnd), FIGMENT_CODE_FIELD},
    {"spin with flags", {header(FIGMENT_OP_SPIN, 2, 1), 0}, FIGMENT_CODE_FIELD},
    {"chase with flags", {header(FIGMENT_OP_CHASE, 4, 1), k, 0, 0}, FIGMENT_CODE_FIELD},
    {"chase not aligned", chase(k + 4, 1, 0), FIGMENT_CODE_FIELD},
    {"chase past the end", chase(kEnd, 1, 0), FIGMENT_CODE_FIELD},
    {"chase with a crooked result", chase(k, 1, k + 4), FIGMENT_CODE_FIELD},
    {"chase with a result past the end", chase(k, 1, ~7ull), FIGMENT_CODE_FIELD},
};

INSTANTIATE_TEST_SUITE_P(, PacketErrors, ::testing::ValuesIn(kMalformed), [](const auto& info) {
  std::string name = info.param.what;
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

class PacketErrorsInBuffers : public OneQueue {
 protected:
  void put(uint64_t offset, const Words& words) {
    for (size_t i = 0; i < words.size(); ++i) set_data(offset + i * 8, words[i]);
  }
};

TEST_F(PacketErrorsInBuffers, a_packet_must_end_inside_its_buffer) {
  put(0x1000, fill(kData, 8, 1));
  run_error(indirect(kData + 0x1000, 24), FIGMENT_CODE_LENGTH, kData + 0x1000);
  put(0x1000, nop(3));
  run_error(indirect(kData + 0x1000, 16), FIGMENT_CODE_LENGTH, kData + 0x1000);
}

TEST_F(PacketErrorsInBuffers, the_address_is_that_of_the_packet_in_its_buffer) {
  put(0x1000, nop(2) + Words{header(99, 1)});
  run_error(indirect(kData + 0x1000, 24), FIGMENT_CODE_OPCODE, kData + 0x1010);
}

TEST_F(PacketErrorsInBuffers, nesting_ends_three_buffers_below_the_ring) {
  // Each buffer calls the next; the third must not.
  put(0x1000, indirect(kData + 0x2000, 24));
  put(0x2000, indirect(kData + 0x3000, 24));
  put(0x3000, indirect(kData + 0x4000, 24));
  put(0x4000, nop(3));
  run_error(indirect(kData + 0x1000, 24), FIGMENT_CODE_NESTING, kData + 0x3000);
  // A buffer that calls itself ends the same way.
  put(0x1000, indirect(kData + 0x1000, 24));
  run_error(indirect(kData + 0x1000, 24), FIGMENT_CODE_NESTING, kData + 0x1000);
}

TEST_F(PacketErrorsInBuffers, a_chase_into_nonsense_says_where) {
  set_data(0, uint64_t{0x1234'5678'9abc});
  run_error(chase(kData, 5, 0), FIGMENT_CODE_FIELD, 0x1234'5678'9abc);
  set_data(0, uint64_t{1} << 48);
  run_error(chase(kData, 5, 0), FIGMENT_CODE_FIELD, 1ull << 48);
  set_data(0, uint64_t{0x7777'0000'0000});
  run_error(chase(kData, 5, 0), FIGMENT_CODE_UNMAPPED, 0x7777'0000'0000);
}

TEST_F(PacketErrorsInBuffers, an_atomic_whose_result_faults_has_happened_once) {
  set_data<uint64_t>(0, 5);
  run_error(atomic(FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_RETURN, kData, 1, 0, 0x7777'0000'0000),
            FIGMENT_CODE_UNMAPPED, 0x7777'0000'0000);
  EXPECT_EQ(data(0), 6u);
}

TEST_F(PacketErrorsInBuffers, a_packet_that_is_rewritten_while_it_runs_runs_as_it_was_fetched) {
  ring.submit(spin(1000) + release(FIGMENT_RELEASE_WRITE, kData, 1));
  gpu.run_now();
  gpu.host.store<uint64_t>(ring.ring_bus(), ~0ull);
  gpu.host.store<uint64_t>(ring.ring_bus() + 8, ~0ull);
  gpu.run_all();
  EXPECT_EQ(data<uint32_t>(0), 1u);
}

}  // namespace

}  // namespace figment::test
