// SPDX-License-Identifier: MIT
#include "reset_times.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <system_error>
#include <tuple>

#include "disk_read.h"
#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/queue.h"
#include "job.h"
#include "module_parameter.h"
#include "statistics.h"

namespace figment::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLimit = "job_timeout_ms";
constexpr unsigned kLimitMs = 50;
constexpr GpuVa kCommands{0x1'0000'0000}, kWord{0x2'0000'0000};

// A job that waits for a word that nobody writes, until its time is over.
double queue_reset_ms(const Device& device) {
  const ScopedModuleParameter limit(kLimit, std::to_string(kLimitMs));
  // A queue has the limit that there is when it is made.
  Vm vm = device.vm();
  Queue queue = vm.queue();
  Queue next = vm.queue();
  const Buffer word = device.buffer({.bytes = kPageBytes});
  const Buffer commands = device.buffer({.bytes = kPageBytes});
  CommandList list;
  list.wait({.at = kWord, .reference = 1});
  list.write_to(commands.map().bytes());
  vm.bind({.ops = {Map{.at = kCommands, .buffer = commands}, Map{.at = kWord, .buffer = word}}});
  const double us = microseconds_of([&] {
    const Fence hangs = queue.run({.at = kCommands, .bytes = list.bytes()});
    // It begins when the other has been taken off its engine.
    Syncobj end = device.syncobj();
    end.import_sync_file(hangs.sync_file());
    finish(next.run({.at = GpuVa{}, .wait = {end.binary()}}));
    if (hangs.result() != ETIME) throw std::runtime_error("a job that hangs was not stopped");
  });
  return us / 1000 - kLimitMs;
}

// Of a PCI device: the file that resets it, and why it cannot be used.
struct ResetFile {
  fs::path path;
  std::string why_not;

  explicit ResetFile(const fs::path& device) : path(device / "reset") {
    std::ifstream methods(device / "reset_method");
    std::string method;
    methods >> method;
    if (method != "flr") {
      why_not = std::format("{} offers {}, not flr", device.string(),
                            method.empty() ? "nothing" : method);
    } else if (::access(path.c_str(), W_OK) != 0) {
      why_not = std::format("{}: {}", path.string(), std::strerror(errno));
    }
  }
  void write() const {
    std::ofstream file(path);
    file << 1 << std::flush;
    if (!file) throw std::runtime_error(path.string() + ": the reset has failed");
  }
};

ResetTimes measure(std::string what, std::string why_not, unsigned samples,
                   const std::function<double()>& milliseconds) {
  ResetTimes times{.what = std::move(what), .ms = {}, .why_not = std::move(why_not)};
  if (!times.why_not.empty()) return times;
  for (unsigned turn = 0; turn <= samples; ++turn) {
    const double ms = milliseconds();
    if (turn > 0) times.ms.push_back(ms);
  }
  return times;
}

}  // namespace

std::vector<ResetTimes> reset_times(const Device& device, const std::string& disk,
                                    unsigned samples) {
  std::vector<ResetTimes> all;
  std::string why_not;
  try {
    std::ignore = ScopedModuleParameter(kLimit, std::to_string(kLimitMs));
  } catch (const std::system_error& error) {
    why_not = error.what();
  }
  all.push_back(measure("queue", why_not, samples, [&] { return queue_reset_ms(device); }));

  const ResetFile gpu(fs::path("/sys/bus/pci/devices") / device.node().bus);
  Vm vm = device.vm();
  Queue queue = vm.queue();
  all.push_back(measure("function", gpu.why_not, samples, [&] {
    return microseconds_of([&] {
             gpu.write();
             finish(queue.run({.at = GpuVa{}}));
           }) /
           1000;
  }));

  why_not.clear();
  DiskRead read(disk, why_not);
  // The device of the namespace is the controller, and its device is on the PCI bus.
  const fs::path block = fs::path("/sys/class/block") / fs::path(disk).filename();
  const ResetFile controller(block / "device/device");
  if (why_not.empty()) why_not = controller.why_not;
  all.push_back(measure("disk", why_not, samples, [&] {
    return microseconds_of([&] {
             controller.write();
             read();
           }) /
           1000;
  }));
  return all;
}

}  // namespace figment::bench
