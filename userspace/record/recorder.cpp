// SPDX-License-Identifier: MIT
#include "recorder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "figment/error.h"

namespace figment::record {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTracing = "/sys/kernel/tracing";
constexpr const char* kDriver = "/sys/bus/pci/drivers/figment";

// Beside those of the driver itself. Of fences, not how they are made and freed: there are many.
constexpr const char* kEvents[] = {
    "dma_fence/dma_fence_signaled", "dma_fence/dma_fence_wait_start",
    "dma_fence/dma_fence_wait_end", "gpu_scheduler",
    "sched/sched_process_fork",     "sched/sched_process_exec",
    "sched/sched_process_exit",
};

// A return that finds no place is not seen: as many as may fork at a time, and more.
constexpr const char* kProbes[] = {
    "p:figment_record/fork_begin kernel_clone\n",
    "r64:figment_record/fork_end kernel_clone child=$retval:s32\n",
};

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) fail(errno, "writing the recording");
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
}

// 0, or errno. One write is one probe.
int add_probe(std::string_view probe) {
  const UniqueFd fd(
      ::open((std::string{kTracing} + "/kprobe_events").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd) return errno;
  return ::write(fd.get(), probe.data(), probe.size()) < 0 ? errno : 0;
}

std::vector<std::string> gpus() {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(kDriver, none)) {
    // The others are files of the driver.
    const std::string name = entry.path().filename();
    if (entry.is_symlink() && name.contains(':')) found.push_back(name);
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

ForkProbes::ForkProbes() {
  for (const char* const probe : kProbes) {
    const int error = add_probe(probe);
    // A recorder that was killed has left them.
    if (error != 0 && error != EEXIST) why_not_ = std::strerror(error);
  }
}

ForkProbes::~ForkProbes() {
  // Nobody has them enabled any more: the instance is gone.
  for (const char* const name : {"fork_begin", "fork_end"}) {
    add_probe(std::format("-:figment_record/{}\n", name));
  }
}

Recorder::Recorder(int to, unsigned buffer_kib) : to_(to), gpus_(gpus()) {
  if (!fs::exists(std::string{kTracing} + "/events/figment")) {
    throw std::runtime_error("there are no tracepoints of the driver: it is not loaded");
  }
  say("# figment-record 1\n");
  for (const std::string& gpu : gpus_) say(std::format("# gpu {}\n", gpu));
  trace_.set("buffer_size_kb", std::to_string(buffer_kib));
  trace_.set("trace_clock", "mono");
  trace_.set("options/record-tgid", "1");
  for (const char* const event : kEvents) trace_.set(std::format("events/{}/enable", event), "1");
  if (probes_.why_not().empty()) {
    trace_.set("events/figment_record/enable", "1");
  } else {
    say(std::format("# no times of fork(): {}\n", probes_.why_not()));
  }
  trace_.set("events/figment/enable", "1");
  look();
}

void Recorder::say(std::string_view text) const {
  write_all(to_, text);
}

// Reading the file is what makes the driver compare the clocks, and trace the result.
void Recorder::read_clocks() {
  for (const std::string& gpu : gpus_) {
    std::ifstream file(std::format("/sys/kernel/debug/dri/{}/clock", gpu));
    // One that is gone has no time any more; what it did before is on the clock already.
    std::string ignored;
    std::getline(file, ignored);
  }
}

void Recorder::look() {
  read_clocks();
  say(trace_.take());
}

std::uint64_t Recorder::end(int status) {
  read_clocks();
  trace_.set("tracing_on", "0");
  say(trace_.take());
  const std::uint64_t lost = trace_.lost();
  say(std::format("# lost {}\n# status {}\n", lost, status));
  return lost;
}

}  // namespace figment::record
