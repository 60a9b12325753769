// SPDX-License-Identifier: MIT
//
// Jobs that go wrong: the error on the fence, and that nothing else suffers. Each is
// a sandwich: healthy, faulty, healthy; on the same queue and beside another one.
#include <array>
#include <vector>

#include "figment_hw.h"
#include "guest.h"
#include "module_parameter.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;

struct BadJob {
  const char* what;
  int error;
  std::uint32_t code;
  std::function<void(CommandList&)> write;
};
void PrintTo(const BadJob& param, std::ostream* out) {
  *out << param.what;
}

std::uint64_t packet(unsigned opcode, unsigned qwords, std::uint32_t flags = 0) {
  return FIGMENT_PACKET(opcode, qwords, flags);
}

void raw_words(CommandList& list, std::vector<std::uint64_t> words) {
  list.raw(words);
}

class BadJobOf : public GpuTest, public testing::WithParamInterface<BadJob> {
 protected:
  BadJobOf() {
    gpu_.vm.map({.at = kData, .buffer = buffer_, .bytes = kPageBytes});
    gpu_.vm.map({.at = kData + kPageBytes,
                 .buffer = buffer_,
                 .offset = kPageBytes,
                 .access = Access::read_only});
  }

  Buffer buffer_ = gpu_.device.buffer({.bytes = 2 * kPageBytes});
  Mapping view_ = buffer_.map();
};

INSTANTIATE_TEST_SUITE_P(
    jobs, BadJobOf,
    testing::Values(
        BadJob{"writes_where_nothing_is_mapped", EFAULT, FIGMENT_CODE_UNMAPPED,
               [](auto& list) { list.fill({.at = kHole, .bytes = 8}); }},
        BadJob{"reads_where_nothing_is_mapped", EFAULT, FIGMENT_CODE_UNMAPPED,
               [](auto& list) { list.copy({.to = kData, .from = kHole, .bytes = 8}); }},
        BadJob{"writes_what_is_read_only", EFAULT, FIGMENT_CODE_PERMISSION,
               [](auto& list) { list.fill({.at = kData + kPageBytes, .bytes = 8}); }},
        BadJob{"runs_over_the_end_of_a_mapping", EFAULT, FIGMENT_CODE_PERMISSION,
               [](auto& list) { list.fill({.at = kData + kPageBytes / 2, .bytes = kPageBytes}); }},
        BadJob{"calls_commands_where_nothing_is_mapped", EFAULT, FIGMENT_CODE_UNMAPPED,
               [](auto& list) { list.indirect({.at = kHole, .bytes = 8}); }},
        BadJob{"follows_a_wild_pointer", EFAULT, FIGMENT_CODE_UNMAPPED,
               [](auto& list) { list.chase({.from = kHole, .count = 1}); }},
        BadJob{"holds_an_unknown_opcode", EINVAL, FIGMENT_CODE_OPCODE,
               [](auto& list) { raw_words(list, {packet(0x77, 1)}); }},
        BadJob{"holds_an_unknown_version", EINVAL, FIGMENT_CODE_VERSION,
               [](auto& list) { raw_words(list, {packet(FIGMENT_OP_NOP, 1) | 9 << 8}); }},
        BadJob{"holds_a_packet_without_words", EINVAL, FIGMENT_CODE_LENGTH,
               [](auto& list) { raw_words(list, {packet(FIGMENT_OP_NOP, 0)}); }},
        BadJob{"holds_a_packet_that_is_too_long", EINVAL, FIGMENT_CODE_LENGTH,
               [](auto& list) { raw_words(list, {packet(FIGMENT_OP_SPIN, 3), 0, 0}); }},
        BadJob{"ends_in_the_middle_of_a_packet", EINVAL, FIGMENT_CODE_LENGTH,
               [](auto& list) { raw_words(list, {packet(FIGMENT_OP_FILL, 4), 0}); }},
        BadJob{"sets_reserved_flags", EINVAL, FIGMENT_CODE_FIELD,
               [](auto& list) { raw_words(list, {packet(FIGMENT_OP_SPIN, 2, 1u << 31), 0}); }},
        BadJob{"stores_a_word_across_its_alignment", EINVAL, FIGMENT_CODE_FIELD,
               [](auto& list) { list.release({.at = kData + 4, .value = 1}); }},
        BadJob{"wraps_the_address_space", EINVAL, FIGMENT_CODE_FIELD,
               [](auto& list) {
                 list.copy({.to = kData, .from = GpuVa{~std::uint64_t{0} - 7}, .bytes = 64});
               }},
        BadJob{"claims_privilege", EINVAL, FIGMENT_CODE_FIELD,
               [](auto& list) {
                 list.indirect({.at = kData, .bytes = 8, .flags = FIGMENT_INDIRECT_PRIVILEGED});
               }}),
    [](const auto& info) { return info.param.what; });

TEST_P(BadJobOf, fails_alone) {
  Queue other = gpu_.vm.queue();
  CommandList good;
  good.atomic({.kind = AtomicKind::add, .at = kData + 64, .operand = 1});
  CommandList bad;
  GetParam().write(bad);

  EXPECT_DONE(gpu_.run(good));
  const Fence gate = gpu_.close_gate(other);
  const Fence before = gpu_.start(good);
  const Fence faulty = gpu_.start(bad);
  const Fence next = gpu_.start(good);
  EXPECT_DONE(outcome(before));
  EXPECT_ERRNO(outcome(faulty), GetParam().error);
  EXPECT_DONE(outcome(next));
  EXPECT_DONE(gpu_.run(good));
  EXPECT_FALSE(gate.wait(Deadline{})) << "the other queue has lost its job";
  gpu_.open_gate();
  EXPECT_DONE(outcome(gate));

  EXPECT_EQ(view_.as<std::uint64_t>()[8], 4u);
  const QueueState state = gpu_.queue.query();
  EXPECT_EQ(state.jobs, 5u);
  EXPECT_EQ(state.errors, 1u);
  EXPECT_ERRNO(state.last_error, GetParam().error);
  EXPECT_EQ(state.last_code, GetParam().code);
  EXPECT_EQ(other.query().errors, 0u);
}

TEST_F(GpuTest, address_that_went_wrong_is_told) {
  EXPECT_ERRNO(gpu_.store(kHole + 24, 1), EFAULT);
  EXPECT_EQ(gpu_.queue.query().last_address, (kHole + 24).value);
}

TEST_F(GpuTest, job_without_readable_commands_fails) {
  EXPECT_ERRNO(outcome(gpu_.queue.run({.at = kHole, .bytes = 64})), EFAULT);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(GpuTest, job_that_calls_itself_fails) {
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData, .buffer = buffer});
  CommandList self;
  self.indirect({.at = kData, .bytes = sizeof(figment_packet_indirect)});
  self.write_to(buffer.map().bytes());
  EXPECT_ERRNO(outcome(gpu_.queue.run({.at = kData, .bytes = self.bytes()})), EINVAL);
  EXPECT_EQ(gpu_.queue.query().last_code, unsigned{FIGMENT_CODE_NESTING});
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(GpuTest, garbage_fails_and_does_no_harm) {
  // Whatever it is, the queue must take its next job, and the other one its own.
  std::uint64_t random = 88172645463325252u;
  Queue other = gpu_.vm.queue();
  for (int round = 0; round < 100; ++round) {
    CommandList list;
    std::array<std::uint64_t, 16> words;
    for (auto& word : words) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      word = random;
    }
    // A known opcode now and then, so that more than the first check is met.
    if (round % 2) words[0] = packet(round / 2 % 10, 1 + round % 5, round % 16);
    list.raw(words);
    const int error = gpu_.run(list);
    EXPECT_TRUE(error == EINVAL || error == EFAULT) << "round " << round << ": " << name(error);
    EXPECT_DONE(outcome(other.run({.at = GpuVa{}})));
  }
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

// Jobs that take too long. A short timeout is asked for, so that the tests need not
// wait for the usual one; it counts for queues that are made afterwards.
class JobTimeout : public testing::Test {
 protected:
  ScopedModuleParameter timeout_{"job_timeout_ms", "300"};
  Gpu gpu_;
};

TEST_F(JobTimeout, is_told_by_the_device) {
  EXPECT_EQ(gpu_.device.info().job_timeout_ms, 300u);
}

struct LongJob {
  const char* what;
  std::function<void(CommandList&)> write;
};
void PrintTo(const LongJob& param, std::ostream* out) {
  *out << param.what;
}

class JobTimeoutOf : public JobTimeout, public testing::WithParamInterface<LongJob> {};

INSTANTIATE_TEST_SUITE_P(
    jobs, JobTimeoutOf,
    testing::Values(LongJob{"spins", [](auto& list) { list.spin(std::chrono::hours(1)); }},
                    LongJob{"waits_for_ever",
                            [](auto& list) {
                              list.wait({.at = kData, .compare = Compare::ne, .reference = 0});
                            }},
                    LongJob{"chases_a_circle",
                            [](auto& list) {
                              list.fill({.at = kData + 8, .bytes = 8, .value = kData.value + 8})
                                  .chase({.from = kData + 8, .count = ~std::uint64_t{0}});
                            }}),
    [](const auto& info) { return info.param.what; });

TEST_P(JobTimeoutOf, stops_the_job_and_nothing_else) {
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData, .buffer = buffer});
  Queue other = gpu_.vm.queue();
  CommandList bad;
  GetParam().write(bad);
  CommandList good;
  good.atomic({.kind = AtomicKind::add, .at = kData + 64, .operand = 1});
  const Fence stuck = gpu_.start(bad);
  const Fence next = gpu_.start(good);
  while (!stuck.wait(Deadline{})) EXPECT_DONE(gpu_.run_on(other, good));
  EXPECT_ERRNO(outcome(stuck), ETIME);
  EXPECT_DONE(outcome(next));
  EXPECT_DONE(gpu_.run(good));
  const QueueState state = gpu_.queue.query();
  EXPECT_EQ(state.errors, 1u);
  EXPECT_ERRNO(state.last_error, ETIME);
  EXPECT_EQ(state.last_code, unsigned{FIGMENT_CODE_NONE});
}

TEST_F(JobTimeout, does_not_count_the_time_in_the_line) {
  // Twenty jobs of a good part of the timeout each: the last waits far longer than it.
  std::vector<Fence> fences;
  CommandList list;
  list.spin(60ms);
  for (int n = 0; n < 20; ++n) fences.push_back(gpu_.start(list));
  for (const auto& fence : fences) EXPECT_DONE(outcome(fence));
}

}  // namespace
}  // namespace figment::guest
