// SPDX-License-Identifier: MIT
#include "explore.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>

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

// One process that takes seeds until there are none. A process and not a thread: starting children
// from one thread while others run is no place for surprises.
class Worker {
 public:
  Worker(SharedPage& shared, const SeedRange& seeds, bool all,
         const std::function<SeedResult(std::uint64_t)>& attempt) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    results_ = Fd(ends[0]);
    const Fd writer(ends[1]);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getppid() != parent) _exit(1);
    _exit(work(shared, seeds, all, attempt, writer));
  }
  Worker(Worker&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        results_(std::move(other.results_)),
        pending_(std::move(other.pending_)) {}
  Worker& operator=(Worker&&) = delete;
  ~Worker() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  int fd() const { return results_.get(); }
  bool open() const { return open_; }

  // What has come; at its end the process has to have ended well.
  std::vector<SeedResult> take() {
    std::array<char, 65536> buffer;
    const ssize_t n = read(results_.get(), buffer.data(), buffer.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (n <= 0) finish();
    if (n > 0) pending_.append(buffer.data(), static_cast<std::size_t>(n));
    std::vector<SeedResult> results;
    for (std::size_t end; (end = pending_.find('\n')) != pending_.npos; pending_.erase(0, end + 1)) {
      results.push_back(SeedResult::decode(pending_.substr(0, end)));
    }
    return results;
  }

 private:
  static int work(SharedPage& shared, const SeedRange& seeds, bool all,
                  const std::function<SeedResult(std::uint64_t)>& attempt, const Fd& writer) {
    try {
      while (!shared->stop) {
        const std::uint64_t index = shared->next++;
        if (index >= seeds.count()) break;
        const SeedResult result = attempt(seeds.at(index));
        if (result.status != 0 && !all) shared->stop = true;
        const std::string line = result.encode() + "\n";
        for (std::string_view rest = line; !rest.empty();) {
          const ssize_t n = write(writer.get(), rest.data(), rest.size());
          if (n < 0 && errno != EINTR) return 1;
          if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
        }
      }
      return 0;
    } catch (const Interrupted&) {
      return 1;
    } catch (const std::exception& error) {
      const std::string line = std::string{"figment: "} + error.what() + "\n";
      return write(STDERR_FILENO, line.data(), line.size()) < 0 ? 2 : 1;
    }
  }

  void finish() {
    open_ = false;
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      // When a signal asked all of us to end, that is the reason.
      check_signals();
      throw Failure("explore: a process that runs seeds did not end well");
    }
  }

  pid_t pid_ = -1;
  Fd results_;
  bool open_ = true;
  std::string pending_;
};

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
  for (std::uint64_t i = 0; i < jobs; ++i) workers.emplace_back(shared, seeds, limits.all, attempt);

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
      for (SeedResult& result : workers[i].take()) {
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
