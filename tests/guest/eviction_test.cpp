// SPDX-License-Identifier: MIT
//
// More buffers than there is VRAM: some have to go, and come back when somebody wants them. Nobody
// notices but by the time that it takes.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cgroup.h"
#include "debugfs_counts.h"
#include "guest.h"
#include "page_kind.h"
#include "unbound_device.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;

/// Buffers of a quarter of VRAM: some of it is in use otherwise, so three fit for certain.
constexpr unsigned kFit = 3;
constexpr unsigned kMany = 6;

class Eviction : public testing::Test {
 protected:
  void SetUp() override {
    if (bytes_ == 0) GTEST_SKIP() << "the GPU has no VRAM";
  }
  [[nodiscard]] static Buffer buffer(const Device& device) {
    return device.buffer({.bytes = device.info().vram_bytes / 4, .placement = Placement::vram});
  }
  [[nodiscard]] static std::vector<Buffer> buffers(const Device& device, unsigned count) {
    std::vector<Buffer> all;
    for (unsigned n = 0; n < count; ++n) all.push_back(buffer(device));
    return all;
  }
  [[nodiscard]] GpuVa place(unsigned n) const { return kData + n * bytes_; }
  /// A job of `gpu` that counts in each of its first `count` buffers.
  [[nodiscard]] CommandList counting(unsigned count) const {
    CommandList list;
    for (unsigned n = 0; n < count; ++n) {
      list.atomic({.kind = AtomicKind::add, .at = place(n), .operand = 1});
    }
    return list;
  }
  void map(Gpu& gpu, const std::vector<Buffer>& all) const {
    for (unsigned n = 0; n < all.size(); ++n) gpu.vm.map({.at = place(n), .buffer = all[n]});
  }
  [[nodiscard]] std::uint64_t count(const char* name) const {
    return DebugfsCounts(device_, "buffers")[name];
  }

  const Device device_ = Device::open();
  const std::uint64_t bytes_ = device_.info().vram_bytes / 4;
};

std::uint64_t word_of(unsigned buffer, std::uint64_t page) {
  return (std::uint64_t{buffer} + 1) << 40 | page;
}

TEST_F(Eviction, keeps_what_a_cpu_has_written) {
  const std::uint64_t evictions = count("buffer_evictions");
  const auto all = buffers(device_, kMany);
  std::vector<Mapping> views;
  for (const Buffer& one : all) views.push_back(one.map());
  const std::uint64_t pages = bytes_ / kPageBytes;
  constexpr std::uint64_t kWords = kPageBytes / sizeof(std::uint64_t);
  std::uint64_t wrong = 0;
  for (unsigned n = 0; n < kMany; ++n) {
    const auto words = views[n].as<std::uint64_t>();
    for (std::uint64_t page = 0; page < pages; ++page) {
      // Whatever was in VRAM before.
      wrong += words[page * kWords] != 0;
      words[page * kWords + page % kWords] = word_of(n, page);
    }
  }
  EXPECT_EQ(wrong, 0u) << "words of new buffers";
  for (unsigned n = 0; n < kMany; ++n) {
    const auto words = views[n].as<std::uint64_t>();
    for (std::uint64_t page = 0; page < pages; ++page) {
      wrong += words[page * kWords + page % kWords] != word_of(n, page);
    }
  }
  EXPECT_EQ(wrong, 0u) << "words";
  EXPECT_GE(count("buffer_evictions"), evictions + kMany - 4);
  EXPECT_GT(count("buffer_restorations"), 0u);
}

TEST_F(Eviction, vram_comes_back_with_the_buffers) {
  for (int round = 0; round < 2; ++round) {
    const std::uint64_t evictions = count("buffer_evictions");
    std::ignore = buffers(device_, kFit);
    EXPECT_EQ(count("buffer_evictions"), evictions) << "round " << round;
  }
}

class EvictionOf : public Eviction, public testing::WithParamInterface<Strategy> {
 protected:
  void SetUp() override {
    Eviction::SetUp();
    if (!device_.offers(GetParam())) GTEST_SKIP() << "not on offer";
  }
};

INSTANTIATE_TEST_SUITE_P(strategies, EvictionOf,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault,
                                         Strategy::pin),
                         strategy_name);

// Each has nearly all of VRAM; what one has written is there after the other was at work.
TEST_P(EvictionOf, two_vms_take_turns) {
  constexpr unsigned kRounds = 4;
  Gpu one(GetParam());
  Gpu other(GetParam());
  const auto of_one = buffers(one.device, kFit);
  const auto of_other = buffers(other.device, kFit);
  map(one, of_one);
  map(other, of_other);
  const std::uint64_t restorations = count("buffer_restorations");
  for (unsigned round = 0; round < kRounds; ++round) {
    ASSERT_DONE(one.run(counting(kFit)));
    ASSERT_DONE(other.run(counting(kFit)));
  }
  EXPECT_GE(count("buffer_restorations"), restorations + kRounds);
  for (Gpu* gpu : {&one, &other}) {
    for (unsigned n = 0; n < kFit; ++n) EXPECT_EQ(gpu->load(place(n)), kRounds) << n;
  }
}

// Both at the same time, and a CPU that writes to a buffer of one of them.
TEST_P(EvictionOf, comes_at_any_moment) {
  constexpr unsigned kRounds = 6;
  Gpu one(GetParam());
  Gpu other(GetParam());
  const auto of_one = buffers(one.device, kFit);
  const auto of_other = buffers(other.device, kFit);
  map(one, of_one);
  map(other, of_other);
  std::atomic<bool> done = false;
  std::uint64_t lost = 0;
  std::thread cpu([&] {
    const Mapping view = of_one[0].map();
    const auto words = view.as<std::uint64_t>();
    for (std::uint64_t n = 1; !done; ++n) {
      std::atomic_ref word(words[5 + n % 1000 * 512]);
      word.store(n);
      std::this_thread::sleep_for(100us);
      lost += word.load() != n;
    }
  });
  std::thread jobs([&] {
    for (unsigned n = 0; n < kRounds; ++n) EXPECT_DONE(other.run(counting(kFit)));
  });
  for (unsigned n = 0; n < kRounds; ++n) EXPECT_DONE(one.run(counting(kFit)));
  jobs.join();
  done = true;
  cpu.join();
  EXPECT_EQ(lost, 0u);
  for (Gpu* gpu : {&one, &other}) {
    for (unsigned n = 0; n < kFit; ++n) EXPECT_EQ(gpu->load(place(n)), kRounds) << n;
  }
}

// A job may want any buffer of its VM; a device that asks for what it needs has no such limit.
TEST_P(EvictionOf, one_vm_with_more_than_there_is) {
  Gpu gpu(GetParam());
  const auto all = buffers(gpu.device, kMany);
  map(gpu, all);
  if (GetParam() == Strategy::fault) {
    for (int round = 0; round < 2; ++round) EXPECT_DONE(gpu.run(counting(kMany)));
    for (unsigned n = 0; n < kMany; ++n) EXPECT_EQ(gpu.load(place(n)), 2u) << n;
    return;
  }
  EXPECT_ERRNO(gpu.run(counting(1)), ENOSPC);
  for (unsigned n = kFit; n < kMany; ++n) gpu.vm.unmap({.at = place(n), .bytes = bytes_});
  EXPECT_DONE(gpu.run(counting(kFit)));
  for (unsigned n = 0; n < kFit; ++n) EXPECT_EQ(gpu.load(place(n)), 1u) << n;
}

// What is bound in two places, read-only in one, and in part.
TEST_P(EvictionOf, all_mappings_come_back) {
  Gpu gpu(GetParam());
  const Buffer shared = buffer(gpu.device);
  gpu.vm.map({.at = place(0), .buffer = shared});
  gpu.vm.map({.at = place(1), .buffer = shared, .access = Access::read_only});
  gpu.vm.unmap({.at = place(0) + 1_MiB, .bytes = 1_MiB});
  ASSERT_DONE(gpu.store(place(0), 7));
  ASSERT_DONE(gpu.store(place(0) + 2_MiB, 8));
  const std::uint64_t evictions = count("buffer_evictions");
  std::ignore = buffers(device_, kFit + 1);
  EXPECT_GT(count("buffer_evictions"), evictions);
  EXPECT_EQ(gpu.load(place(0)), 7u);
  EXPECT_EQ(gpu.load(place(1)), 7u);
  EXPECT_EQ(gpu.load(place(1) + 2_MiB), 8u);
  EXPECT_ERRNO(gpu.store(place(1), 9), EFAULT);
  EXPECT_ERRNO(gpu.try_load(place(0) + 1_MiB), EFAULT);
}

// Jobs that are under way have a right to their buffers.
TEST_F(Eviction, waits_for_jobs) {
  Gpu gpu;
  const auto all = buffers(gpu.device, kFit);
  map(gpu, all);
  const Buffer rest = buffer(device_);
  const Fence gate = gpu.close_gate(gpu.queue);
  Queue behind = gpu.vm.queue();
  const Fence later = gpu.start_on(behind, counting(kFit), {gate.point()});
  // There is no room left, and those of the jobs came first.
  auto more = std::async(std::launch::async, [&] { return buffer(device_); });
  EXPECT_EQ(more.wait_for(300ms), std::future_status::timeout);
  gpu.open_gate();
  EXPECT_EQ(more.wait_for(kPatience), std::future_status::ready);
  EXPECT_DONE(outcome(later));
  for (unsigned n = 0; n < kFit; ++n) EXPECT_EQ(gpu.load(place(n)), 1u) << n;
}

// Who is at the limit of a cgroup has buffers of its own evicted, however much VRAM there is.
TEST_F(Eviction, keeps_a_cgroup_below_its_limit) {
  std::optional<stress::Cgroup> cgroup;
  try {
    cgroup.emplace("dmem");
  } catch (const stress::Lacks& lacks) {
    GTEST_SKIP() << lacks.what();
  }
  const std::string region = std::format("drm/{}/vram", device_.node().bus);
  const auto limit = [&](std::uint64_t bytes) {
    ASSERT_DONE(cgroup->set("dmem.max", std::format("{} {}", region, bytes)));
  };
  const auto used = [&] {
    const std::string text = cgroup->get("dmem.current");
    const auto at = text.find(region);
    return at == text.npos ? 0 : std::stoull(text.substr(at + region.size() + 1));
  };
  limit(2 * bytes_);
  cgroup->enter();
  const std::uint64_t evictions = count("buffer_evictions");
  const auto all = buffers(device_, kFit);
  EXPECT_EQ(count("buffer_evictions"), evictions + 1);
  EXPECT_EQ(used(), 2 * bytes_);
  limit(bytes_);
  EXPECT_EQ(used(), bytes_);
  drm_figment_bo_create too_much = {.size = 2 * bytes_, .flags = DRM_FIGMENT_BO_VRAM};
  EXPECT_ERRNO(raw(device_.fd(), DRM_IOCTL_FIGMENT_BO_CREATE, too_much), ENOSPC);
}

TEST_F(Eviction, does_not_outlive_the_device) {
  if (!can_be_unbound(device_)) GTEST_SKIP() << "can not be bound again";
  const auto all = buffers(device_, kMany);
  UnboundDevice(device_).bind();
  Gpu gpu;
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
}

}  // namespace
}  // namespace figment::guest
