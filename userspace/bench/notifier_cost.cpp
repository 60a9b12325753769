// SPDX-License-Identifier: MIT
#include "notifier_cost.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <optional>
#include <stdexcept>

#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/error.h"
#include "figment/queue.h"
#include "notifier_timer.h"
#include "statistics.h"

namespace figment::bench {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);
constexpr GpuVa kCommands{0x10'0000}, kWord{0x20'0000}, kData{0x4000'0000};

// Maps memory into the GPU, and has it reach each page, so that there is something to take away.
class Reached {
 public:
  Reached(const Device& device, const VmConfig& config, std::span<std::byte> memory)
      : device_(device), vm_(device.vm(config)), queue_(vm_.queue()), word_(device.buffer({})) {
    if (!config.svm) userptr_.emplace(vm_.userptr({.at = kData, .memory = memory}));
    const GpuVa at = config.svm ? shared_address(memory.data()) : kData;
    CommandList list;
    list.fill({.at = at, .bytes = memory.size(), .value = 1})
        .release({.at = kWord, .value = 1, .event = true});
    const Buffer commands = device.buffer({.bytes = kPageBytes});
    list.write_to(commands.map().bytes());
    vm_.bind(
        {.ops = {Map{.at = kWord, .buffer = word_}, Map{.at = kCommands, .buffer = commands}}});
    const Mapping word = word_.map();
    const UserFence fence{.word = word.as<std::uint64_t>().data(), .reference = 1};
    const QueueErrors before = queue_.errors();
    if (info(config.strategy).long_running) {
      queue_.submit({.at = kCommands, .bytes = list.bytes()});
      if (wait(device_.fd(), fence, before, after(kStuck)) == WaitEnd::holds) return;
    } else {
      const Fence end = queue_.run({.at = kCommands, .bytes = list.bytes()});
      if (end.wait(after(kStuck)) && end.result() == 0) return;
    }
    throw std::runtime_error("a job that fills memory did not end well");
  }

 private:
  const Device& device_;
  Vm vm_;
  Queue queue_;
  Buffer word_;
  std::optional<Userptr> userptr_;
};

void take_away(TakenBy how, std::span<std::byte> memory, double& us) {
  pid_t child = -1;
  int result = 0;
  us = microseconds_of([&] {
    switch (how) {
      case TakenBy::munmap:
        result = ::munmap(memory.data(), memory.size());
        break;
      case TakenBy::mprotect:
        result = ::mprotect(memory.data(), memory.size(), PROT_READ);
        break;
      case TakenBy::fork:
        child = ::fork();
        if (child == 0) ::_exit(0);
        result = child < 0 ? -1 : 0;
        break;
    }
  });
  if (result != 0) fail(errno, std::string(name_of(how)));
  int status = 0;
  if (child > 0 && (::waitpid(child, &status, 0) != child || status != 0)) {
    throw std::runtime_error("a child did not end well");
  }
}

double microseconds(std::uint64_t ns) {
  return static_cast<double>(ns) * 1e-3;
}

struct Contestant {
  NotifierCost cost;
  std::optional<VmConfig> config;
  bool watches = false;  // has a notifier at all
};

std::vector<Contestant> contestants(const Device& device, const std::string& no_trace) {
  std::vector<Contestant> all;
  all.push_back({.cost = {.who = "no GPU", .why_not = "no notifier"}, .config = std::nullopt});
  const auto gpu = [&](std::string who, const VmConfig& config, bool watches) {
    Contestant one{.cost = {.who = std::move(who)}, .config = config, .watches = watches};
    if (!watches) one.cost.why_not = "no notifier";
    if (watches) one.cost.why_not = no_trace;
    all.push_back(std::move(one));
  };
  for (const auto& each : kStrategies) {
    if (!device.offers(each.strategy)) continue;
    const bool watches = each.strategy != Strategy::pin && each.strategy != Strategy::unsafe;
    gpu(std::string(each.name), {.strategy = each.strategy}, watches);
    if (each.strategy == Strategy::fault) {
      gpu("svm", {.strategy = Strategy::fault, .svm = true}, true);
    }
  }
  return all;
}

void take_turn(const Device& device, Contestant& one, NotifierTimer* timer, TakenBy how,
               std::uint64_t bytes, std::uint64_t page_bytes) {
  const Mapping memory = anonymous_memory(bytes, kHugePageBytes);
  const std::span<std::byte> all = memory.bytes();
  const bool huge = page_bytes == kHugePageBytes;
  if (::madvise(all.data(), all.size(), huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0) {
    fail(errno, "madvise");
  }
  std::memset(all.data(), 1, all.size());
  std::optional<Reached> reached;
  if (one.config) reached.emplace(device, *one.config, all);

  if (timer) timer->begin();
  double us = 0;
  take_away(how, all, us);
  const double per_1000 = 1000.0 / (static_cast<double>(bytes) / kPageBytes);
  one.cost.call_us.push_back(us * per_1000);
  if (one.watches && timer) {
    const auto start = reinterpret_cast<std::uintptr_t>(all.data());
    const NotifierTimes times = timer->end({.start = start, .end = start + all.size()});
    if (times.count == 0) {
      throw std::runtime_error(
          std::format("{} of memory of {}: no notifier has run", name_of(how), one.cost.who));
    }
    one.cost.notifications += times.count;
    one.cost.cpu_us.push_back(microseconds(times.total_ns - times.waited_ns) * per_1000);
    one.cost.waited_us.push_back(microseconds(times.waited_ns) * per_1000);
  }
  // What is given back below must be ours.
  if (how == TakenBy::munmap &&
      ::mmap(all.data(), all.size(), PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
             0) != all.data()) {
    fail(errno, "mmap");
  }
}

}  // namespace

std::string_view name_of(TakenBy how) {
  switch (how) {
    case TakenBy::munmap:
      return "munmap";
    case TakenBy::mprotect:
      return "mprotect";
    case TakenBy::fork:
      return "fork";
  }
  return "";
}

std::vector<NotifierCost> notifier_costs(const Device& device, TakenBy how, std::uint64_t bytes,
                                         std::uint64_t page_bytes, unsigned turns) {
  std::optional<NotifierTimer> timer;
  if (NotifierTimer::is_there()) timer.emplace("figment-bench");
  std::vector<Contestant> all =
      contestants(device, timer ? "" : "no tracepoint figment_notifier_done");
  // The first turn warms up and is not counted.
  for (unsigned turn = 0; turn <= turns; ++turn) {
    for (std::size_t n = 0; n < all.size(); ++n) {
      take_turn(device, all[(n + turn) % all.size()], timer ? &*timer : nullptr, how, bytes, page_bytes);
    }
    if (turn != 0) continue;
    for (Contestant& one : all) {
      one.cost.cpu_us.clear();
      one.cost.waited_us.clear();
      one.cost.call_us.clear();
      one.cost.notifications = 0;
    }
  }
  std::vector<NotifierCost> costs;
  for (Contestant& one : all) costs.push_back(std::move(one.cost));
  return costs;
}

}  // namespace figment::bench
