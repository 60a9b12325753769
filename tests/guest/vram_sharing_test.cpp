// SPDX-License-Identifier: MIT
//
// A buffer in the VRAM of one GPU that another has, too. It moves to who needs it: to system memory
// for the other, which is told when it goes home.
#include <gmock/gmock.h>

#include <atomic>
#include <optional>
#include <thread>

#include "debugfs_counts.h"
#include "guest.h"
#include "unbound_device.h"

namespace figment::guest {
namespace {

constexpr std::uint64_t kBytes = 256_KiB;
constexpr std::uint64_t kPageWords = kPageBytes / sizeof(std::uint64_t);

class VramSharing : public testing::TestWithParam<Strategy> {
 protected:
  void SetUp() override {
    if (Device::nodes().size() < 2) GTEST_SKIP() << "one GPU only: run with --gpus 2";
    const Device owner = Device::open(0);
    if (owner.info().vram_bytes == 0) GTEST_SKIP() << "the GPU has no VRAM";
    if (!owner.offers(GetParam())) GTEST_SKIP() << "not on offer";
    a_.emplace(VmConfig{.strategy = GetParam()}, 0);
    b_.emplace(VmConfig{.strategy = GetParam()}, 1);
    here_.emplace(a_->device.buffer({.bytes = kBytes, .placement = Placement::vram}));
    dma_buf_ = here_->export_dma_buf();
    there_.emplace(Buffer::import_dma_buf(b_->device.file(), dma_buf_));
    a_->vm.map({.at = kData, .buffer = *here_});
    b_->vm.map({.at = kData, .buffer = *there_});
  }
  /// What is left of files of a GPU that has gone comes before the GPU.
  void TearDown() override {
    here_.reset();
    there_.reset();
    a_.reset();
    b_.reset();
  }
  /// Adds one to a word of each page.
  static CommandList counting(std::uint64_t word) {
    CommandList list;
    for (std::uint64_t page = 0; page < kBytes; page += kPageBytes) {
      list.atomic({.kind = AtomicKind::add, .at = kData + page + word * 8, .operand = 1});
    }
    return list;
  }
  static std::uint64_t wrong(const Mapping& view, std::uint64_t word, std::uint64_t expected) {
    std::uint64_t count = 0;
    for (std::uint64_t at = word; at < kBytes / 8; at += kPageWords) {
      count += view.as<std::uint64_t>()[at] != expected;
    }
    return count;
  }
  static std::uint64_t count(const Gpu& gpu, const char* name) {
    return DebugfsCounts(gpu.device, "buffers")[name];
  }

  std::optional<Gpu> a_;
  std::optional<Gpu> b_;
  std::optional<Buffer> here_;  // of the GPU whose VRAM it is for
  UniqueFd dma_buf_;
  std::optional<Buffer> there_;  // of the other
};

INSTANTIATE_TEST_SUITE_P(strategies, VramSharing,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault,
                                         Strategy::pin),
                         strategy_name);

TEST_P(VramSharing, moves_to_who_needs_it) {
  constexpr unsigned kRounds = 5;
  const Mapping view = map_file(dma_buf_);
  const std::uint64_t invalidations = count(*b_, "import_invalidations");
  const std::uint64_t evictions = count(*a_, "buffer_evictions");
  for (unsigned round = 1; round <= kRounds; ++round) {
    ASSERT_DONE(a_->run(counting(3)));
    ASSERT_DONE(b_->run(counting(3)));
    // A CPU wants it where its exporter has it.
    ASSERT_EQ(wrong(view, 3, 2 * round), 0u) << "after round " << round;
  }
  EXPECT_GE(count(*b_, "import_invalidations"), invalidations + kRounds);
  EXPECT_GE(count(*a_, "buffer_evictions"), evictions + kRounds);
}

// Who has it keeps it: nobody moves what nobody else wants.
TEST_P(VramSharing, stays_with_who_uses_it) {
  ASSERT_DONE(b_->run(counting(0)));
  const std::uint64_t invalidations = count(*b_, "import_invalidations");
  const std::uint64_t evictions = count(*a_, "buffer_evictions");
  for (unsigned round = 0; round < 4; ++round) ASSERT_DONE(b_->run(counting(0)));
  EXPECT_EQ(count(*b_, "import_invalidations"), invalidations);
  EXPECT_EQ(count(*a_, "buffer_evictions"), evictions);
}

// All want it at the same time: both GPUs, another address space of the importer, and a CPU.
TEST_P(VramSharing, is_wanted_by_all_at_the_same_time) {
  constexpr unsigned kRounds = 8;
  Gpu c(VmConfig{.strategy = GetParam()}, 1);
  const Buffer again = Buffer::import_dma_buf(c.device.file(), dma_buf_);
  c.vm.map({.at = kData, .buffer = again});
  const Mapping view = map_file(dma_buf_);
  std::atomic<unsigned> working = 3;
  const auto work = [&](Gpu& gpu, std::uint64_t word) {
    for (unsigned round = 0; round < kRounds; ++round) EXPECT_DONE(gpu.run(counting(word)));
    --working;
  };
  std::thread first(work, std::ref(*a_), 1);
  std::thread second(work, std::ref(*b_), 2);
  std::thread third(work, std::ref(c), 2);
  std::uint64_t touched = 0;
  std::atomic_ref<std::uint64_t> mine(view.as<std::uint64_t>()[7]);
  while (working > 0) {
    EXPECT_EQ(mine++, touched++);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  first.join();
  second.join();
  third.join();
  EXPECT_EQ(mine, touched);
  EXPECT_EQ(wrong(view, 1, kRounds), 0u);
  EXPECT_EQ(wrong(view, 2, 2 * kRounds), 0u);
}

// What a bind relies on stays until it is executed, whoever wants the buffer meanwhile.
TEST_P(VramSharing, waits_for_binds) {
  Gpu gate_of(VmConfig{}, 1);
  const Fence gate = gate_of.close_gate(gate_of.queue);
  Syncobj before = b_->device.syncobj();
  before.import_sync_file(gate.sync_file());
  const Syncobj end = b_->device.syncobj();
  b_->vm.bind({.ops = {Map{.at = kData + kBytes, .buffer = *there_}},
               .wait = {before.binary()},
               .signal = {end.binary()}});
  std::atomic<bool> moved = false;
  std::thread owner([&] {
    EXPECT_DONE(a_->run(counting(4)));
    moved = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(moved);
  gate_of.open_gate();
  owner.join();
  EXPECT_DONE(outcome(gate));
  // Both mappings are there again, with what the owner has written.
  EXPECT_EQ(b_->load(kData + 4 * 8), 1u);
  EXPECT_EQ(b_->load(kData + kBytes + 4 * 8), 1u);
}

TEST_P(VramSharing, ends_with_the_mapping) {
  ASSERT_DONE(b_->run(counting(0)));
  b_->vm.unmap({.at = kData, .bytes = kBytes});
  there_.reset();
  EXPECT_ERRNO(b_->store(kData, 1), EFAULT);
  ASSERT_DONE(a_->run(counting(0)));
  EXPECT_EQ(a_->load(kData), 2u);
}

TEST_P(VramSharing, survives_the_importer) {
  if (!can_be_unbound(b_->device)) GTEST_SKIP() << "can not be bound again";
  ASSERT_DONE(b_->run(counting(0)));
  const UnboundDevice gone(b_->device);
  ASSERT_DONE(a_->run(counting(0)));
  EXPECT_EQ(a_->load(kData), 2u);
}

// Where it is: with the importer, who goes on; or in VRAM, which is gone.
TEST_P(VramSharing, is_lost_with_the_exporter_only_in_vram) {
  if (!can_be_unbound(a_->device)) GTEST_SKIP() << "can not be bound again";
  ASSERT_DONE(b_->run(counting(0)));
  {
    const UnboundDevice gone(a_->device);
    ASSERT_DONE(b_->run(counting(0)));
    EXPECT_EQ(b_->load(kData), 2u);
  }
  TearDown();
  SetUp();
  ASSERT_DONE(a_->run(counting(0)));
  const UnboundDevice gone(a_->device);
  EXPECT_NE(b_->run(counting(0)), 0);
}

}  // namespace
}  // namespace figment::guest
