// SPDX-License-Identifier: MIT
#include "growth_row.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <format>
#include <fstream>
#include <functional>
#include <stdexcept>

#include "figment/device.h"
#include "figment/error.h"
#include "growth_tenant.h"
#include "kernel_log.h"
#include "process.h"
#include "shared.h"

namespace figment::stress {
namespace {

/// For one order; what waits for something in a tenant gives up sooner and tells why.
constexpr auto kStuck = std::chrono::seconds(900);

/// Idle and busy forks take turns in so many blocks: a machine that becomes slower meanwhile does
/// so for both.
constexpr std::uint64_t kBlocks = 4;

enum class Order : std::uint32_t { ready, open, resume, pause, fork, traced_fork, finish };

struct Answer {
  double bind_us = 0;
  ForkCost cost;
};

Answer carry_out(Tenant& tenant, Order order) {
  Answer answer;
  switch (order) {
    case Order::ready:
      break;
    case Order::open:
      answer.bind_us = tenant.open();
      break;
    case Order::resume:
      tenant.resume();
      break;
    case Order::pause:
      tenant.pause();
      break;
    case Order::fork:
      answer.cost = tenant.fork_once(false);
      break;
    case Order::traced_fork:
      answer.cost = tenant.fork_once(true);
      break;
    case Order::finish:
      tenant.finish();
      break;
  }
  return answer;
}

[[noreturn]] void become_tenant(const TenantConfig& config, WorkerShared& shared, int orders) {
  die_with_parent();
  try {
    Tenant tenant(config, shared);
    Order order;
    while (::recv(orders, &order, sizeof(order), 0) == sizeof(order)) {
      const Answer answer = carry_out(tenant, order);
      if (::send(orders, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer)) break;
    }
  } catch (const std::exception& error) {
    shared.failure.set(error.what());
  }
  ::_exit(shared.failure ? 1 : 0);
}

/// A tenant, as the coordinator knows it.
class Process {
 public:
  explicit Process(const TenantConfig& config) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      fail(errno, "socketpair");
    }
    orders_ = UniqueFd(ends[0]);
    const UniqueFd theirs(ends[1]);
    pid_ = ::fork();
    if (pid_ < 0) fail(errno, "fork of a process of the measurement");
    if (pid_ == 0) {
      orders_ = UniqueFd();
      become_tenant(config, *shared_, theirs.get());
    }
    const timeval stuck = {.tv_sec = kStuck.count(), .tv_usec = 0};
    ::setsockopt(orders_.get(), SOL_SOCKET, SO_RCVTIMEO, &stuck, sizeof(stuck));
  }
  Process(const Process&) = delete;

  /// std::runtime_error: it did not carry it out; says why.
  Answer tell(Order order) {
    send(order);
    return answer();
  }
  void send(Order order) {
    if (::send(orders_.get(), &order, sizeof(order), MSG_NOSIGNAL) != sizeof(order)) give_up();
  }
  Answer answer() {
    Answer answer;
    if (::recv(orders_.get(), &answer, sizeof(answer), 0) != sizeof(answer)) give_up();
    return answer;
  }
  /// Lets it go; how it ended, if that was not well.
  std::optional<std::string> end() {
    // Processes that were started later have a copy of it: to close ours is not enough.
    ::shutdown(orders_.get(), SHUT_RDWR);
    orders_ = UniqueFd();
    return reap(pid_, after(kStuck));
  }
  [[nodiscard]] WorkerShared& shared() { return *shared_; }

 private:
  [[noreturn]] void give_up() {
    const std::string why = shared_->failure.get();
    throw std::runtime_error(why.empty() ? "a process of the measurement has died" : why);
  }

  SharedObject<WorkerShared> shared_;
  UniqueFd orders_;
  pid_t pid_ = -1;
};

using Processes = std::vector<std::unique_ptr<Process>>;

/// All of them do it at the same time.
void tell_all(Processes& processes, Order order) {
  for (auto& process : processes) process->send(order);
  for (auto& process : processes) (void)process->answer();
}

/// Forks of one state: so many, or as many as time allows.
class Budget {
 public:
  Budget(const GrowthConfig& config) : config_(config) {}

  [[nodiscard]] bool allows(std::uint64_t done) const {
    return done < config_.min_forks || (done < config_.forks && used_ < config_.time);
  }
  void charge(Clock::duration time) { used_ += time; }

 private:
  const GrowthConfig& config_;
  Clock::duration used_{0};
};

void fork_some(Processes& processes, Budget& budget, std::uint64_t upto, std::vector<double>& times,
               const std::function<void(const ForkCost&)>& more) {
  while (times.size() < upto && budget.allows(times.size())) {
    const auto start = Clock::now();
    const ForkCost cost = processes[times.size() % processes.size()]->tell(Order::fork).cost;
    budget.charge(Clock::now() - start);
    times.push_back(cost.fork_us);
    if (more) more(cost);
  }
}

void trace_some(Process& process, std::uint64_t forks, NotifierSeries& series) {
  for (std::uint64_t n = 0; n < forks; ++n) {
    const NotifierTimes times = process.tell(Order::traced_fork).cost.notifier;
    series.count.push_back(static_cast<double>(times.count));
    series.total_us.push_back(static_cast<double>(times.total_ns) / 1000);
    series.waited_us.push_back(static_cast<double>(times.waited_ns) / 1000);
  }
}

void measure(const GrowthConfig& config, Processes& processes, GrowthResult& result) {
  tell_all(processes, Order::ready);
  Budget none(config);
  fork_some(processes, none, config.forks, result.none_us, {});

  for (auto& process : processes) {
    result.bind_us.push_back(process->tell(Order::open).bind_us);
  }
  result.traced = NotifierTimer::is_there();
  Budget idle(config);
  Budget busy(config);
  for (std::uint64_t block = 1; block <= kBlocks; ++block) {
    const std::uint64_t upto = (config.forks * block + kBlocks - 1) / kBlocks;
    fork_some(processes, idle, upto, result.idle_us,
              [&](const ForkCost& cost) { result.first_job_us.push_back(cost.first_job_us); });
    if (result.traced && block == kBlocks) {
      trace_some(*processes.front(), config.traced_forks, result.idle_notifiers);
    }
    tell_all(processes, Order::resume);
    fork_some(processes, busy, upto, result.busy_us,
              [&](const ForkCost& cost) { result.rewrite_us.push_back(cost.rewrite_us); });
    if (result.traced && block == kBlocks) {
      trace_some(*processes.front(), config.traced_forks, result.busy_notifiers);
    }
    tell_all(processes, Order::pause);
  }
  tell_all(processes, Order::finish);
}

std::uint64_t available_bytes() {
  std::ifstream info("/proc/meminfo");
  std::string name;
  std::uint64_t kilobytes = 0;
  for (std::string rest; info >> name >> kilobytes; std::getline(info, rest)) {
    if (name == "MemAvailable:") return kilobytes * 1024;
  }
  return 0;
}

/// Why this cannot be measured here; empty: it can.
std::string lacks(const GrowthConfig& config) {
  const Device device = Device::open(config.gpu);
  const GrowthPoint& point = config.point;
  if (config.strategy.svm && point.ranges > 1) return "shared virtual memory has no ranges to bind";
  if (!device.offers(config.strategy.vm)) return "the device does not offer it";
  const unsigned queues = 2 * point.processes;
  if (device.info().queues < queues) {
    return std::format("it needs {} queues, and the device has {}", queues, device.info().queues);
  }
  const std::uint64_t available = available_bytes();
  if (available < needed_bytes(point)) {
    return std::format("it needs {} MiB of memory, and {} MiB are free", needed_bytes(point) >> 20,
                       available >> 20);
  }
  return "";
}

}  // namespace

GrowthResult run_growth_row(const GrowthConfig& config) {
  GrowthResult result{
      .axis = std::string(config.axis), .strategy = config.strategy, .point = config.point};
  result.skipped = lacks(config);
  if (!result.skipped.empty()) return result;

  KernelLog log;
  Processes processes;
  try {
    for (unsigned number = 0; number < config.point.processes; ++number) {
      processes.push_back(
          std::make_unique<Process>(TenantConfig{.strategy = config.strategy,
                                                 .point = config.point,
                                                 .gpu = config.gpu,
                                                 .seed = config.seed * 64 + number}));
    }
    measure(config, processes, result);
  } catch (const std::exception& error) {
    result.failures.emplace_back(error.what());
  }
  for (auto& process : processes) {
    const auto trouble = process->end();
    if (trouble && result.failures.empty()) result.failures.push_back(*trouble);
    WorkerShared& shared = process->shared();
    result.jobs += shared.jobs;
    result.gpu_words += shared.gpu_words;
    result.corrupt_words += shared.corrupt_words;
    if (result.first_corruption.empty()) result.first_corruption = shared.corruption.get();
  }
  for (auto& report : log.take_reports()) {
    ++result.kernel_reports;
    result.failures.push_back("kernel: " + report);
  }
  return result;
}

std::vector<std::string> complaints(const GrowthResult& row) {
  std::vector<std::string> found = row.failures;
  if (!row.skipped.empty()) return found;
  if (found.empty() && (row.none_us.empty() || row.idle_us.empty() || row.busy_us.empty())) {
    found.emplace_back("no fork was made");
  }
  if (found.empty() && row.gpu_words == 0) found.emplace_back("no GPU word was checked");
  // Its first fork with a child that stays makes copies of pages that the GPU goes on to write.
  if (found.empty() && !row.strategy.safe && row.corrupt_words == 0) {
    found.emplace_back("the control corrupted nothing: the detector is blind");
  }
  if (row.strategy.safe && row.corrupt_words) {
    found.push_back(std::format("{} words are corrupt; the first: {}", row.corrupt_words,
                                row.first_corruption));
  }
  return found;
}

}  // namespace figment::stress
