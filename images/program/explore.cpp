// SPDX-License-Identifier: MIT
#include "explore.h"

#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>

#include "worker.h"

namespace figment::host {

namespace {

// What the processes share: who takes which seed.
struct Shared {
  std::atomic<std::uint64_t> next = 0;
  std::atomic<bool> stop = false;
};

class SharedPage {
 public:
  SharedPage() {
    void* const page =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    shared_ = new (page) Shared;
  }
  SharedPage(const SharedPage&) = delete;
  ~SharedPage() { munmap(shared_, sizeof(Shared)); }
  Shared* operator->() { return shared_; }

 private:
  Shared* shared_;
};

// Takes seeds until there are none.
void run_seeds(SharedPage& shared, const SeedRange& seeds, bool all,
               const std::function<SeedResult(std::uint64_t)>& attempt, const SendLine& send) {
  while (!shared->stop) {
    const std::uint64_t index = shared->next++;
    if (index >= seeds.count()) break;
    const SeedResult result = attempt(seeds.at(index));
    if (result.status != 0 && !all) shared->stop = true;
    send(result.encode());
  }
}

}  // namespace

std::string SeedResult::encode() const {
  return nlohmann::json{{"seed", seed}, {"status", status}, {"why", why}}.dump(
      -1, ' ', true, nlohmann::json::error_handler_t::replace);
}

SeedResult SeedResult::decode(const std::string& line) {
  const auto json = nlohmann::json::parse(line);
  return {.seed = json.at("seed"), .status = json.at("status"), .why = json.at("why")};
}

double Exploration::per_hour() const {
  return time.count() == 0 ? 0
                           : static_cast<double>(explored) * 3'600'000 /
                                 static_cast<double>(time.count());
}

Exploration explore(const SeedRange& seeds, const ExploreLimits& limits,
                    const std::function<SeedResult(std::uint64_t seed)>& attempt,
                    const std::function<void(const Exploration&)>& progress) {
  const auto started = Clock::now();
  SharedPage shared;
  std::vector<Worker> workers;
  workers.reserve(limits.jobs);
  const std::uint64_t jobs = std::min<std::uint64_t>(limits.jobs, seeds.count());
  for (std::uint64_t i = 0; i < jobs; ++i) {
    workers.emplace_back("explore: a process that runs seeds", [&](const SendLine& send) {
      run_seeds(shared, seeds, limits.all, attempt, send);
    });
  }

  Exploration known;
  while (std::ranges::any_of(workers, &Worker::open)) {
    std::vector<pollfd> fds{{.fd = signal_fd(), .events = POLLIN, .revents = 0}};
    for (const Worker& worker : workers) {
      fds.push_back({.fd = worker.open() ? worker.fd() : -1, .events = POLLIN, .revents = 0});
    }
    // Wakes now and then for the deadline and to show that it lives.
    if (poll(fds.data(), fds.size(), 1000) < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    if (fds[0].revents) check_signals();
    for (std::size_t i = 0; i < workers.size(); ++i) {
      if (!fds[i + 1].revents) continue;
      for (const std::string& line : workers[i].take()) {
        SeedResult result = SeedResult::decode(line);
        ++known.explored;
        if (result.status != 0) known.failures.push_back(std::move(result));
      }
    }
    known.time = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started);
    if (progress) progress(known);
    if (Clock::now() >= limits.deadline) {
      known.timed_out = true;
      break;  // the workers' destructors end what is under way
    }
  }
  std::ranges::sort(known.failures, {}, &SeedResult::seed);
  if (!known.failures.empty()) {
    known.until_first = (known.failures.front().seed - seeds.at(0)) / seeds.shards + 1;
  }
  return known;
}

std::string last_lines(const std::string& text, std::size_t count) {
  std::size_t at = text.size();
  if (text.ends_with('\n')) --at;
  for (std::size_t lines = 0; lines < count; ++lines) {
    if (at == 0) return text;
    at = text.rfind('\n', at - 1);
    if (at == text.npos) return text;
  }
  return text.substr(at + 1);
}

std::string last_device_events(const std::string& trace, std::size_t count) {
  std::string told;
  for (std::size_t at = 0; at < trace.size();) {
    const std::size_t end = std::min(trace.find('\n', at), trace.size());
    const std::string_view line(trace.data() + at, end - at);
    at = end + 1;
    if (line.contains(" tlb_hit ") || line.contains(" walk ") || line.contains(" schedule ") ||
        line.contains(" deschedule ")) {
      continue;
    }
    told.append(line).push_back('\n');
  }
  return last_lines(told, count);
}

}  // namespace figment::host
