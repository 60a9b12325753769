// SPDX-License-Identifier: MIT
//
// A GPU as a user of pages.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <format>
#include <optional>
#include <stdexcept>

#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/device.h"
#include "figment/queue.h"
#include "page_user.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr GpuVa kRange{0x1'0000'0000};
constexpr GpuVa kBuffer{0x2'0000'0000};

constexpr auto kStuck = std::chrono::seconds(120);

/// Where fork() waits for a job, or for its queue, nobody can let the job go: no thread of the
/// process is sure to get on while its memory is being copied. There a job is held for so long.
constexpr auto kHold = std::chrono::milliseconds(40);

bool is_waited_for(Strategy strategy) {
  return strategy == Strategy::fence || strategy == Strategy::preempt;
}

constexpr std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

/// The buffer: a page with the gate, then packets, then the marks that were read.
constexpr std::uint64_t kPackets = kPageBytes;

std::uint64_t packet_bytes(std::uint32_t pages) {
  return whole_pages(pages * std::max(sizeof(figment_packet_fill), sizeof(figment_packet_copy)) +
                     sizeof(figment_packet_wait));
}

class GpuUser : public PageUser {
 public:
  explicit GpuUser(const PageUserConfig& config)
      : config_(config),
        device_(Device::open(config.gpu)),
        vm_(device_.vm({.strategy = config.strategy.vm, .svm = config.strategy.svm})),
        buffer_(device_.buffer({.bytes = reads_at() + whole_pages(config.pages * kSectorBytes)})),
        view_(buffer_.map()),
        queue_(vm_.queue()) {
    vm_.map({.at = kBuffer, .buffer = buffer_});
  }
  ~GpuUser() override { let_go(); }

  void take(ComparedMemory memory) override {
    if (config_.strategy.svm) {
      range_ = shared_address(memory.bytes().data());
      if (config_.strategy.vram) {
        vm_.prefer(memory.bytes(), Place::vram);
        vm_.move(memory.bytes(), Place::vram);
      }
    } else {
      userptr_.emplace(
          vm_.userptr({.at = kRange, .memory = memory.bytes(), .access = config_.access}));
    }
  }

  void begin(Sequence n, bool held) override {
    CommandList list;
    if (held && is_waited_for(config_.strategy.vm)) {
      list.spin(kHold);
    } else if (held) {
      list.wait({.at = kBuffer, .compare = Compare::ge, .reference = n});
    }
    for (std::uint32_t page = 0; page < config_.pages; ++page) {
      list.fill({.at = range_ + stamps_at(page),
                 .bytes = kSectorBytes,
                 .value = word_of({Who::user, n}, page)});
    }
    submit(list);
    begun_ = n;
  }

  void let_go() override {
    std::atomic_ref(view_.as<Word>()[0]).store(begun_, std::memory_order_seq_cst);
  }

  void finish() override {
    QueueState state;
    const auto ended = [&] {
      state = queue_.query();
      return state.jobs >= jobs_;
    };
    if (!poll_until(ended, after(kStuck), std::chrono::microseconds(100))) {
      throw std::runtime_error("a job of a GPU that uses pages never ended");
    }
    if (state.errors) {
      throw std::runtime_error(std::format("a job of a GPU that uses pages failed: {}",
                                           std::strerror(state.last_error)));
    }
  }

  std::vector<Word> read() override {
    CommandList list;
    for (std::uint32_t page = 0; page < config_.pages; ++page) {
      list.copy({.to = kBuffer + reads_at() + page * kSectorBytes,
                 .from = range_ + marks_at(page),
                 .bytes = kSectorBytes});
    }
    submit(list);
    finish();
    const auto words = view_.as<Word>().subspan(reads_at() / sizeof(Word));
    return {words.begin(), words.begin() + config_.pages * kSectorWords};
  }

 private:
  [[nodiscard]] std::uint64_t reads_at() const { return kPackets + packet_bytes(config_.pages); }

  void submit(const CommandList& list) {
    list.write_to(view_.bytes().subspan(kPackets, packet_bytes(config_.pages)));
    queue_.submit({.at = kBuffer + kPackets, .bytes = list.bytes()});
    ++jobs_;
  }

  PageUserConfig config_;
  Device device_;
  Vm vm_;
  Buffer buffer_;
  Mapping view_;
  Queue queue_;
  GpuVa range_ = kRange;
  std::optional<Userptr> userptr_;
  std::uint64_t jobs_ = 0;
  Sequence begun_ = 0;
};

}  // namespace

std::unique_ptr<PageUser> make_gpu_user(const PageUserConfig& config) {
  return std::make_unique<GpuUser>(config);
}

}  // namespace figment::stress
