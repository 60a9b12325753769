// SPDX-License-Identifier: MIT
#include "engine_scaling.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <stdexcept>

#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/queue.h"
#include "job.h"
#include "statistics.h"

namespace figment::bench {
namespace {

constexpr unsigned kJobs = 64;  // of all queues together
constexpr auto kSpin = std::chrono::milliseconds(1);
constexpr std::uint64_t kCopyBytes = 4_MiB;

// A queue with a job that it can be given again and again, and memory of its own.
class BusyQueue {
 public:
  BusyQueue(const Device& device, Busy with)
      : vm_(device.vm()),
        queue_(vm_.queue()),
        from_(device.buffer({.bytes = kCopyBytes})),
        to_(device.buffer({.bytes = kCopyBytes})),
        commands_(device.buffer({.bytes = kPageBytes})) {
    CommandList list;
    if (with == Busy::spin) {
      list.spin(kSpin);
    } else {
      list.copy({.to = kTo, .from = kFrom, .bytes = kCopyBytes});
    }
    bytes_ = list.bytes();
    list.write_to(commands_.map().bytes());
    vm_.bind({.ops = {Map{.at = kFrom, .buffer = from_}, Map{.at = kTo, .buffer = to_},
                      Map{.at = kCommands, .buffer = commands_}}});
    std::mt19937_64 random(1);
    std::ranges::generate(from_.map().as<std::uint64_t>(), random);
  }

  [[nodiscard]] Fence start() { return queue_.run({.at = kCommands, .bytes = bytes_}); }
  [[nodiscard]] bool has_copied() const {
    return std::memcmp(from_.map().bytes().data(), to_.map().bytes().data(), kCopyBytes) == 0;
  }

 private:
  static constexpr GpuVa kFrom{0x1'0000'0000}, kTo{0x2'0000'0000}, kCommands{0x3'0000'0000};

  Vm vm_;
  Queue queue_;
  Buffer from_, to_, commands_;
  std::uint64_t bytes_ = 0;
};

double jobs_per_second(std::vector<BusyQueue>& queues, std::size_t used) {
  std::vector<Fence> fences;
  fences.reserve(kJobs);
  const double us = microseconds_of([&] {
    for (unsigned n = 0; n < kJobs; ++n) fences.push_back(queues[n % used].start());
    for (const Fence& fence : fences) finish(fence);
  });
  return kJobs / (us * 1e-6);
}

}  // namespace

std::string_view name_of(Busy with) {
  return with == Busy::spin ? "spin" : "copy";
}

EngineScaling engine_scaling(const Device& device, Busy with, unsigned samples) {
  EngineScaling result{.engines = device.info().engines, .one = {}, .all = {}};
  std::vector<BusyQueue> queues;
  for (unsigned n = 0; n < result.engines; ++n) queues.emplace_back(device, with);
  for (unsigned turn = 0; turn <= samples; ++turn) {
    const double one = jobs_per_second(queues, 1);
    const double all = jobs_per_second(queues, queues.size());
    if (turn == 0) continue;
    result.one.push_back(one);
    result.all.push_back(all);
  }
  const bool right = with == Busy::spin || std::ranges::all_of(queues, &BusyQueue::has_copied);
  if (!right) throw std::runtime_error("engines side by side did not copy");
  return result;
}

}  // namespace figment::bench
