// SPDX-License-Identifier: MIT
//
// Processes that fork while Vulkan and the GPU are at work on their memory. The driver of Vulkan
// writes with the CPU, so it is the one that gets copies of pages after a fork(), and the GPU has
// to follow.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <utility>

#include "mesa_test.h"
#include "module_parameter.h"
#include "process.h"

namespace figment::guest {
namespace {

/// A child that looks at its memory when it is told to.
class LateChild {
 public:
  explicit LateChild(const std::function<bool()>& is_right) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(errno, "pipe2");
    told_ = UniqueFd(ends[1]);
    const UniqueFd waits(ends[0]);
    pid_ = ::fork();
    if (pid_ < 0) fail(errno, "fork");
    if (pid_ > 0) return;
    stress::die_with_parent();
    ::close(told_.release());
    char word = 0;
    std::ignore = ::read(waits.get(), &word, 1);
    ::_exit(is_right() ? 0 : 1);
  }
  LateChild(const LateChild&) = delete;
  ~LateChild() {
    if (pid_ > 0) std::ignore = is_right();
  }

  /// Once.
  [[nodiscard]] bool is_right() {
    told_ = UniqueFd();
    return stress::exit_status(std::exchange(pid_, 0), after(kPatience)) == 0;
  }

 private:
  UniqueFd told_;
  pid_t pid_ = 0;
};

// A dma-buf is shared with the child, so that sees the words that its parent's Vulkan writes later.
TEST_F(MesaTest, child_sees_a_copy_that_was_pending_when_it_was_born) {
  const SharedBuffer from = shared();
  const SharedBuffer to = shared();
  write_words(from.words(), kOld);
  const Fence written = write_behind_gate(from);
  vulkan::Semaphore before = imported(written);
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before});
  EXPECT_FALSE(copy.wait(after(kHeld)));
  LateChild child([&] { return count_wrong(to.words(), kNew) == 0; });
  expect_zero(to.words());
  gpu_.open_gate();
  EXPECT_TRUE(copy.wait(after(kPatience)));
  EXPECT_TRUE(child.is_right());
  expect_words(to.words(), kNew);
  EXPECT_DONE(outcome(written));
}

/// Memory of the process, of which Vulkan and the GPU both use the addresses.
class MesaFork : public MesaTest {
 protected:
  struct Range {
    Mapping memory;
    GpuVa at;
    Userptr here;
    vulkan::Buffer there;

    [[nodiscard]] Words words() const { return memory.as<std::uint64_t>(); }
  };
  struct Wrong {
    std::size_t words = 0;  // that the GPU has read of what Vulkan had written
    bool child = false;     // has not kept what was there when it was born
  };

  [[nodiscard]] static Range range(Gpu& gpu, unsigned nth) {
    Mapping memory = anonymous_memory(kSharedBytes);
    const GpuVa at = kData + nth * kSharedBytes;
    Userptr here = gpu.vm.userptr({.at = at, .memory = memory.bytes()});
    vulkan::Buffer there = vulkan().import_memory(memory.bytes());
    return {
        .memory = std::move(memory), .at = at, .here = std::move(here), .there = std::move(there)};
  }
  [[nodiscard]] static CommandList fill(const Range& range, std::uint64_t first) {
    return CommandList{}.fill(
        {.at = range.at, .bytes = kSharedBytes, .value = first, .increment = true});
  }
  [[nodiscard]] Wrong run_round(Gpu& gpu, std::uint64_t first);
};

// What Vulkan waits for is a job of another VM, because fork() waits for those of this one.
MesaFork::Wrong MesaFork::run_round(Gpu& gpu, std::uint64_t first) {
  const Range written = range(gpu, 0);
  const Range copied = range(gpu, 1);
  const Range read = range(gpu, 2);
  write_words(copied.words(), kOld);
  CommandList copy_back;
  copy_back.copy({.to = read.at, .from = copied.at, .bytes = kSharedBytes});
  EXPECT_DONE(gpu.run(copy_back));
  expect_words(read.words(), kOld);

  const Fence gate = gpu_.close_gate(gpu_.queue);
  vulkan::Semaphore before = imported(gate);
  const vulkan::Submission copy =
      vulkan().copy({.to = copied.there, .from = written.there, .wait = &before});
  CommandList slow = fill(written, first);
  slow.spin(std::chrono::milliseconds(20));
  const Fence pending = gpu.start(slow);
  LateChild child([&] { return count_wrong(written.words(), first) == 0; });
  EXPECT_DONE(outcome(pending));
  EXPECT_FALSE(copy.wait(Deadline{}));
  gpu_.open_gate();
  EXPECT_TRUE(copy.wait(after(kPatience)));
  EXPECT_DONE(outcome(gate));

  EXPECT_DONE(gpu.run(copy_back));
  EXPECT_DONE(gpu.run(fill(written, ~first)));
  return {.words = count_wrong(read.words(), first), .child = !child.is_right()};
}

TEST_F(MesaFork, with_a_copy_pending_loses_no_word) {
  Gpu gpu(Strategy::fence);
  for (std::uint64_t round = 0; round < 3; ++round) {
    const Wrong wrong = run_round(gpu, kNew + (round << 32));
    EXPECT_EQ(wrong.words, 0u) << "round " << round;
    EXPECT_FALSE(wrong.child) << "round " << round;
  }
}

// The control: a driver that does not follow the pages.
TEST_F(MesaFork, that_the_driver_does_not_follow_loses_words) {
  const ScopedModuleParameter allow_unsafe("allow_unsafe", "1");
  Gpu gpu(Strategy::unsafe);
  const Wrong wrong = run_round(gpu, kNew);
  EXPECT_GT(wrong.words, 0u);
  EXPECT_TRUE(wrong.child);
}

}  // namespace
}  // namespace figment::guest
