// SPDX-License-Identifier: MIT
//
// Memory that the GPU writes under reclaim: what it has written survives being swapped out, and
// cancels MADV_FREE as a write of a processor does. Swap is a zram device.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "guest.h"

namespace figment::guest {
namespace {

constexpr const char* kSwap = "/dev/zram0";
constexpr std::uint64_t kSwapBytes = 64_MiB;
constexpr std::uint64_t kBytes = 4_MiB;

/// What mkswap writes: version, last page, and the signature at the end of the first page.
bool make_swap(const char* path) {
  std::array<char, kPageBytes> header = {};
  const std::array<std::uint32_t, 2> words = {1, kSwapBytes / kPageBytes - 1};
  std::memcpy(header.data() + 1024, words.data(), sizeof(words));
  std::memcpy(header.data() + kPageBytes - 10, "SWAPSPACE2", 10);
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), header.data(), header.size()) == kPageBytes &&
         ::fsync(file.get()) == 0;
}

class Swapped : public GpuTest, public testing::WithParamInterface<Strategy> {
 protected:
  Swapped() : GpuTest(GetParam()) {}

  void SetUp() override {
    if (!std::filesystem::exists(kSwap)) std::ignore = std::system("modprobe -q zram");
    std::ofstream("/sys/block/zram0/reset") << 1;
    std::ofstream("/sys/block/zram0/disksize") << kSwapBytes;
    if (!std::filesystem::exists(kSwap)) GTEST_SKIP() << "this kernel has no zram to swap to";
    if (!make_swap(kSwap) || ::swapon(kSwap, 0) != 0) {
      GTEST_SKIP() << "cannot swap to zram: " << name(errno);
    }
    on_ = true;
  }
  void TearDown() override {
    if (!on_) return;
    EXPECT_EQ(::swapoff(kSwap), 0) << name(errno);
  }

  void fill(std::uint64_t value) {
    CommandList list;
    ASSERT_DONE(gpu_.run(list.fill({.at = kData, .bytes = kBytes, .value = value})));
  }
  static std::uint64_t wrong(const Mapping& memory, std::uint64_t value) {
    std::uint64_t count = 0;
    for (const std::uint64_t word : memory.as<std::uint64_t>()) count += word != value;
    return count;
  }
  static std::uint64_t resident(const Mapping& memory) {
    std::vector<unsigned char> pages(kBytes / kPageBytes);
    if (::mincore(memory.bytes().data(), kBytes, pages.data()) != 0) fail(errno, "mincore");
    std::uint64_t count = 0;
    for (const unsigned char page : pages) count += page & 1;
    return count;
  }

 private:
  bool on_ = false;
};

INSTANTIATE_TEST_SUITE_P(strategies, Swapped,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault),
                         strategy_name);

TEST_P(Swapped, pages_keep_what_the_gpu_has_written) {
  const Mapping memory = anonymous_memory(kBytes);
  std::memset(memory.bytes().data(), 1, kBytes);
  const Userptr userptr = gpu_.vm.userptr({.at = kData, .memory = memory.bytes()});
  std::uint64_t least = kBytes / kPageBytes;
  for (std::uint64_t round = 1; round <= 4; ++round) {
    fill(round << 32 | 0xbbbb);
    ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_PAGEOUT), 0);
    least = std::min(least, resident(memory));
    EXPECT_EQ(wrong(memory, round << 32 | 0xbbbb), 0u) << "round " << round;
  }
  EXPECT_LT(least, kBytes / kPageBytes) << "nothing was swapped out: this has tested nothing";
}

TEST_P(Swapped, a_write_of_the_gpu_cancels_madv_free) {
  const Mapping memory = anonymous_memory(kBytes);
  const Userptr userptr = gpu_.vm.userptr({.at = kData, .memory = memory.bytes()});
  for (std::uint64_t round = 1; round <= 4; ++round) {
    std::memset(memory.bytes().data(), 1, kBytes);
    ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_FREE), 0);
    fill(round << 32 | 0xcccc);
    ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_PAGEOUT), 0);
    EXPECT_EQ(wrong(memory, round << 32 | 0xcccc), 0u) << "round " << round;
  }
}

}  // namespace
}  // namespace figment::guest
