// SPDX-License-Identifier: MIT
//
// What the guest tests share: a GPU that is ready to take packets, ioctls whose
// error is a value and not an exception, and children that are tests of their own.
//
// Two tiers. A test that is about bad input calls raw() and compares the errno; every
// other test uses libfigment, where an unexpected error throws and fails the test
// with the ioctl in words.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <format>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/device.h"
#include "figment/error.h"
#include "figment/queue.h"
#include "figment/strategy.h"
#include "figment/sync.h"
#include "figment/user_queue.h"
#include "figment/vm.h"

namespace figment {

// How parameters and addresses are printed.
void PrintTo(const GpuVa& at, std::ostream* out);
void PrintTo(Placement placement, std::ostream* out);
void PrintTo(Strategy strategy, std::ostream* out);

namespace guest {

/// For INSTANTIATE_TEST_SUITE_P.
inline std::string strategy_name(const testing::TestParamInfo<Strategy>& strategy) {
  return std::string(info(strategy.param).name);
}

/// Longer than anything that works takes: tests have no tight time limits.
constexpr auto kPatience = std::chrono::seconds(120);

/// One ioctl. 0, or the errno.
template <typename Request>
[[nodiscard]] int raw(int fd, unsigned long number, Request& request) {
  return ioctl_errno(fd, number, &request);
}
/// For requests whose answer does not matter.
template <typename Request>
[[nodiscard]] int raw(int fd, unsigned long number, Request&& request) {
  return ioctl_errno(fd, number, &request);
}

template <typename T>
[[nodiscard]] std::uint64_t user_pointer(const T* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

/// The only element of an array of the uAPI.
template <typename T>
[[nodiscard]] drm_figment_array array_of(const T& element) {
  return {sizeof(T), 1, user_pointer(&element)};
}

/// An address where nothing is ever mapped.
constexpr GpuVa kHole{0x7f'0000'0000};
/// Where tests map what they are about: 4 GiB, far from everything else.
constexpr GpuVa kData{0x10'0000'0000};

/// A device, a VM, one queue, and space for commands; and memory of its own to read
/// and write through.
class Gpu {
 public:
  explicit Gpu(Strategy strategy = Strategy::fence) : Gpu(VmConfig{.strategy = strategy}) {}
  /// On the n-th GPU.
  explicit Gpu(const VmConfig& config, unsigned nth = 0);

  Device device;
  Vm vm;
  Queue queue;

  /// Hands `list` to `queue` (or to `on`). std::system_error when SUBMIT refuses it.
  [[nodiscard]] Fence start(const CommandList& list, std::vector<SyncPoint> wait = {});
  [[nodiscard]] Fence start_on(Queue& on, const CommandList& list,
                               std::vector<SyncPoint> wait = {});
  /// How a job of `list` ended: 0 or its errno. An error of SUBMIT itself counts the same, since
  /// the driver may find out at either time. In any VM, also one without fences.
  [[nodiscard]] int run(const CommandList& list) { return run_on(queue, list); }
  [[nodiscard]] int run_on(Queue& on, const CommandList& list);

  /// The GPU writes the word at `at`: how that ended.
  [[nodiscard]] int store(GpuVa at, std::uint64_t value);
  /// The GPU reads the word at `at`: what it got, or throws std::system_error.
  [[nodiscard]] std::uint64_t load(GpuVa at);
  /// How reading the word at `at` ended.
  [[nodiscard]] int try_load(GpuVa at);

  /// A job that stays on the GPU until open_gate(). One at a time.
  [[nodiscard]] Fence close_gate(Queue& on);
  /// The packet that it does so with, behind those of `list`.
  [[nodiscard]] CommandList gate(CommandList list = {});
  void open_gate();

  /// For long-running VMs: a job of `list` whose end finish() waits for. One at a time.
  void begin_on(Queue& on, CommandList list);
  [[nodiscard]] int finish_on(Queue& on, Deadline deadline = after(kPatience));

 private:
  static constexpr std::uint64_t kCommandBytes = 1_MiB;

  [[nodiscard]] Job place(const CommandList& list);

  bool long_running_;
  QueueErrors errors_before_;
  std::uint64_t ends_ = 0;
  Buffer commands_;
  Mapping commands_view_;
  std::uint64_t next_command_ = 0;
  Buffer words_;  // word 0: target of load(); word 1: gate; word 2: user fence of begin_on()
  Mapping words_view_;
};

/// The end of a job, waited for with patience: 0 or its errno.
[[nodiscard]] int outcome(const Fence& fence);

/// Runs `life` in a child process and returns its value, 0 .. 255; -1 when the child
/// crashed or hung. The child has its own copy of everything but the device file, and
/// no destructor runs in it.
[[nodiscard]] int in_child(const std::function<int()>& life);

/// errno in words, for test output: EXPECT_EQ(name(error), name(EFAULT)).
[[nodiscard]] std::string name(int error);

/// Passes when `error` (an errno, or 0) is the expected one, and prints both in words.
#define EXPECT_ERRNO(error, expected) \
  EXPECT_EQ(::figment::guest::name(error), ::figment::guest::name(expected))
#define EXPECT_DONE(error) EXPECT_ERRNO(error, 0)
#define ASSERT_DONE(error) ASSERT_EQ(::figment::guest::name(error), ::figment::guest::name(0))

/// Every test about a working GPU begins with one.
class GpuTest : public testing::Test {
 protected:
  explicit GpuTest(Strategy strategy = Strategy::fence) : gpu_(strategy) {}
  explicit GpuTest(const VmConfig& config) : gpu_(config) {}

  Gpu gpu_;
};

}  // namespace guest
}  // namespace figment
