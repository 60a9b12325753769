// SPDX-License-Identifier: MIT
#include "measure.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <iterator>
#include <optional>
#include <random>
#include <stdexcept>

#include "disk_read.h"
#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/error.h"
#include "figment/queue.h"
#include "figment/user_queue.h"
#include "job.h"
#include "statistics.h"

namespace figment::bench {
namespace {

constexpr unsigned kWarmUp = 20;

// An empty job, from SUBMIT to the end of the wait for its fence.
class EmptyJob {
 public:
  explicit EmptyJob(const Device& device)
      : vm_(device.vm()), queue_(vm_.queue()), end_(device.syncobj()) {}

  void operator()() {
    queue_.submit({.at = GpuVa{}, .signal = {end_.binary()}});
    if (!end_.wait(after(kStuck))) throw std::runtime_error("an empty job did not end");
  }

 private:
  Vm vm_;
  Queue queue_;
  Syncobj end_;
};

constexpr GpuVa kWork{0x1'0000'0000};

// The strategy of a VM whose jobs have user fences.
std::optional<Strategy> long_running(const Device& device) {
  for (const Strategy strategy : {Strategy::preempt, Strategy::fault}) {
    if (device.offers(strategy)) return strategy;
  }
  return std::nullopt;
}

// A RELEASE with an event, from SUBMIT to the end of the wait for it.
class UserFenceJob {
 public:
  UserFenceJob(const Device& device, Strategy strategy)
      : device_(device),
        vm_(device.vm({.strategy = strategy})),
        queue_(vm_.queue()),
        memory_(device.buffer({.bytes = 2 * kPageBytes})),
        view_(memory_.map()) {
    vm_.map({.at = kWork, .buffer = memory_});
  }

  void operator()() {
    CommandList list;
    list.release({.at = kWork + kPageBytes, .value = ++count_, .event = true});
    list.write_to(view_.bytes());
    queue_.submit({.at = kWork, .bytes = list.bytes()});
    const UserFence end{.word = &view_.as<std::uint64_t>()[kPageBytes / sizeof(std::uint64_t)],
                        .reference = count_};
    if (!wait(device_.fd(), end, after(kStuck))) {
      throw std::runtime_error("a job of a long-running VM did not end");
    }
  }

 private:
  const Device& device_;
  Vm vm_;
  Queue queue_;
  Buffer memory_;
  Mapping view_;
  std::uint64_t count_ = 0;
};

// The same, by a user queue.
class UserQueueJob {
 public:
  UserQueueJob(const Device& device, Strategy strategy)
      : vm_(device.vm({.strategy = strategy})), queue_(vm_.user_queue({.at = kWork})) {}

  void operator()() {
    if (queue_.wait(queue_.submit({}), after(kStuck)) != WaitEnd::holds) {
      throw std::runtime_error("a job of a user queue did not end");
    }
  }

 private:
  Vm vm_;
  UserQueue queue_;
};

template <typename Work>
void sample(Work& work, unsigned samples, std::vector<double>& us) {
  // Also after a turn of the other: what was asleep meanwhile is no part of the figure.
  for (unsigned n = 0; n < kWarmUp; ++n) work();
  std::generate_n(std::back_inserter(us), samples, [&] { return microseconds_of(work); });
}

}  // namespace

RoundTrips round_trips_us(const Device& device, const std::string& disk, unsigned samples) {
  constexpr unsigned kTurn = 200;
  RoundTrips result;
  EmptyJob job(device);
  std::optional<UserFenceJob> fence_job;
  std::optional<UserQueueJob> queue_job;
  if (const auto strategy = long_running(device)) {
    fence_job.emplace(device, *strategy);
    queue_job.emplace(device, *strategy);
  }
  DiskRead read(disk, result.why_no_reads);
  for (unsigned done = 0; done < samples; done += kTurn) {
    const unsigned turn = std::min(kTurn, samples - done);
    sample(job, turn, result.job_us);
    if (fence_job) sample(*fence_job, turn, result.user_fence_us);
    if (queue_job) sample(*queue_job, turn, result.user_queue_us);
    if (result.why_no_reads.empty()) sample(read, turn, result.read_us);
  }
  return result;
}

std::vector<double> copy_bytes_per_second(const Device& device, Placement to, std::uint64_t bytes,
                                          unsigned samples) {
  // A job moves at least this much, in at most so many packets.
  constexpr std::uint64_t kJobBytes = 32_MiB;
  constexpr std::uint64_t kCopiesMax = 2048;
  constexpr GpuVa kFrom{0x1'0000'0000}, kTo{0x2'0000'0000}, kCommands{0x3'0000'0000};

  Vm vm = device.vm();
  Queue queue = vm.queue();
  const Buffer source = device.buffer({.bytes = bytes});
  const Buffer target = device.buffer({.bytes = bytes, .placement = to});
  const std::uint64_t copies = std::clamp<std::uint64_t>(kJobBytes / bytes, 1, kCopiesMax);
  CommandList list;
  for (std::uint64_t n = 0; n < copies; ++n) {
    list.copy({.to = kTo, .from = kFrom, .bytes = bytes});
  }
  const Buffer commands = device.buffer({.bytes = list.bytes()});
  list.write_to(commands.map().bytes());
  vm.bind({.ops = {Map{.at = kFrom, .buffer = source}, Map{.at = kTo, .buffer = target},
                   Map{.at = kCommands, .buffer = commands}}});

  const Mapping from = source.map();
  std::mt19937_64 random(bytes);
  std::ranges::generate(from.as<std::uint64_t>(), random);
  const auto job = [&] { finish(queue.run({.at = kCommands, .bytes = list.bytes()})); };
  job();
  if (std::memcmp(from.bytes().data(), target.map().bytes().data(), bytes) != 0) {
    throw std::runtime_error(std::format("a COPY of {} bytes did not copy", bytes));
  }
  std::vector<double> rates(samples);
  std::ranges::generate(
      rates, [&] { return static_cast<double>(copies * bytes) / (microseconds_of(job) * 1e-6); });
  return rates;
}

std::vector<double> fork_us(const Device& device, std::uint64_t touched, unsigned samples) {
  Vm vm = device.vm();
  const Mapping memory = anonymous_memory(touched);
  const auto touch = [&] {
    for (std::uint64_t at = 0; at < touched; at += kPageBytes) memory.bytes()[at] ^= std::byte{1};
  };
  touch();
  const Userptr userptr = vm.userptr({.at = GpuVa{0x1'0000'0000}, .memory = memory.bytes()});
  std::vector<double> us(samples);
  std::ranges::generate(us, [&] {
    pid_t child = -1;
    const double took = microseconds_of([&] {
      child = ::fork();
      if (child == 0) ::_exit(0);
    });
    if (child < 0) figment::fail(errno, "fork");
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0) {
      throw std::runtime_error("a child did not end well");
    }
    touch();
    return took;
  });
  return us;
}

}  // namespace figment::bench
