// SPDX-License-Identifier: MIT
#include "measure.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <iterator>
#include <random>
#include <stdexcept>

#include "disk_read.h"
#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/error.h"
#include "figment/queue.h"
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
  DiskRead read(disk, result.why_no_reads);
  for (unsigned done = 0; done < samples; done += kTurn) {
    const unsigned turn = std::min(kTurn, samples - done);
    sample(job, turn, result.job_us);
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
