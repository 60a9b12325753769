// SPDX-License-Identifier: MIT
#include <filesystem>
#include <format>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>

#include "fault_readers.h"
#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/queue.h"
#include "statistics.h"

namespace figment::bench {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);
// Outside of what a process can have at the same addresses.
constexpr GpuVa kCommands{0x10'0000}, kTarget{0x1000'0000}, kSource{0x4000'0000};

class GpuReader : public Reader {
 public:
  GpuReader(const Device& device, const VmConfig& config, unsigned queues, std::uint64_t bytes)
      : device_(device),
        config_(config),
        queue_count_(queues),
        target_(device.buffer({.bytes = bytes})),
        done_(device.buffer({})),
        copied_(target_.map()),
        words_(done_.map()) {}

  // A space of its own for each: nothing of the last one is known to the device any more.
  void begin(std::span<std::byte> memory) override {
    vm_.emplace(device_.vm(config_));
    for (unsigned n = 0; n < queue_count_; ++n) queues_.push_back(vm_->queue());
    vm_->bind({.ops = {Map{.at = kTarget, .buffer = target_},
                       Map{.at = kTarget + target_.bytes(), .buffer = done_}}});
    source_ = config_.svm ? shared_address(memory.data()) : kSource;
    if (!config_.svm) userptr_.emplace(vm_->userptr({.at = kSource, .memory = memory}));
  }

  double read(const Reading& reading) override {
    std::vector<CommandList> lists(queue_count_);
    if (reading.at_once) {
      lists.front().copy({.to = kTarget, .from = source_, .bytes = reading.memory.size()});
    } else {
      for (std::size_t n = 0; n < reading.order.size(); ++n) {
        const std::uint64_t at = reading.order[n] * reading.page_bytes;
        lists[n % queue_count_].copy(
            {.to = kTarget + at, .from = source_ + at, .bytes = reading.page_bytes});
      }
    }
    ++round_;
    std::uint64_t bytes = 0;
    std::vector<std::uint64_t> starts;
    for (unsigned n = 0; n < queue_count_; ++n) {
      lists[n].release({.at = kTarget + target_.bytes() + n * 8, .value = round_, .event = true});
      starts.push_back(bytes);
      bytes += lists[n].bytes();
    }
    const Buffer commands = device_.buffer({.bytes = (bytes + kPageBytes - 1) & ~(kPageBytes - 1)});
    const Mapping code = commands.map();
    for (unsigned n = 0; n < queue_count_; ++n) lists[n].write_to(code.bytes().subspan(starts[n]));
    vm_->map({.at = kCommands, .buffer = commands});

    std::vector<QueueErrors> before;
    for (const Queue& queue : queues_) before.push_back(queue.errors());
    const std::uint64_t faults = count_faults();
    const double us = microseconds_of([&] {
      for (unsigned n = 0; n < queue_count_; ++n) {
        queues_[n].submit({.at = kCommands + starts[n], .bytes = lists[n].bytes()});
      }
      for (unsigned n = 0; n < queue_count_; ++n) {
        const UserFence fence{.word = &words_.as<std::uint64_t>()[n], .reference = round_};
        if (wait(device_.fd(), fence, before[n], after(kStuck)) != WaitEnd::holds) {
          throw std::runtime_error("a job that reads pages did not end well");
        }
      }
    });
    faults_ = count_faults() - faults;
    vm_->unmap({.at = kCommands, .bytes = commands.bytes()});
    return us * 1e-6;
  }

  void end() override {
    queues_.clear();
    userptr_.reset();
    vm_.reset();
  }

  [[nodiscard]] std::span<std::byte> copied() const override { return copied_.bytes(); }
  [[nodiscard]] std::optional<std::uint64_t> faults() const override { return faults_; }

 private:
  // Of all queues there are: nobody else is at work. From the driver's own table.
  [[nodiscard]] std::uint64_t count_faults() const {
    const std::string path = std::format("/sys/kernel/debug/dri/{}/queues", device_.node().bus);
    std::ifstream table(path);
    std::string line;
    std::getline(table, line);
    std::size_t column = std::numeric_limits<std::size_t>::max();
    std::istringstream names(line);
    std::string word;
    for (std::size_t n = 0; names >> word; ++n) {
      if (word == "faults") column = n;
    }
    if (column == std::numeric_limits<std::size_t>::max()) {
      throw std::runtime_error(path + " does not tell faults");
    }
    std::uint64_t sum = 0;
    while (std::getline(table, line)) {
      std::istringstream values(line);
      for (std::size_t n = 0; n <= column && values >> word; ++n) {
        if (n == column) sum += std::stoull(word);
      }
    }
    return sum;
  }

  const Device& device_;
  VmConfig config_;
  unsigned queue_count_;
  Buffer target_, done_;
  Mapping copied_, words_;
  std::optional<Vm> vm_;
  std::optional<Userptr> userptr_;
  std::vector<Queue> queues_;
  GpuVa source_;
  std::uint64_t round_ = 0;
  std::uint64_t faults_ = 0;
};

}  // namespace

std::unique_ptr<Reader> gpu_reader(const Device& device, const VmConfig& config, unsigned queues,
                                   std::uint64_t bytes) {
  return std::make_unique<GpuReader>(device, config, queues, bytes);
}

}  // namespace figment::bench
