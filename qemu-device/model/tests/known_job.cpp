// SPDX-License-Identifier: MIT
#include "known_job.h"

#include <format>

namespace figment::test {

namespace {

// GPU addresses.
constexpr uint64_t kRing = 0;
constexpr uint64_t kData = kPage;

// Results, as offsets of the data page.
constexpr uint64_t kFilled = 0;
constexpr uint64_t kCopied = 0x100;
constexpr uint64_t kAdded = 0x200;
constexpr uint64_t kReleased = 0x208;
constexpr uint64_t kBlockBytes = 64;

}  // namespace

KnownJobs::KnownJobs(Gpu& gpu, uint64_t base, uint32_t asid, uint32_t queue)
    : gpu_(gpu), base_(base), asid_(asid), queue_(queue) {
  gpu.host.zero(base, kBytes);
  const uint64_t leaf = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE;
  const uint64_t level0 = base + 3 * kPage;
  gpu.host.store<uint64_t>(level0, base | leaf);
  gpu.host.store<uint64_t>(level0 + 8, data(0) | leaf);
  for (uint64_t table = level0; table < base + 6 * kPage; table += kPage) {
    gpu.host.store<uint64_t>(table + kPage, table | FIGMENT_PTE_VALID);
  }
}

void KnownJobs::start() {
  gpu_.write64(FIGMENT_REG_ASID_ROOT(asid_), (base_ + 6 * kPage) | FIGMENT_ROOT_VALID);
  figment_descriptor d{};
  d.ring_address = kRing;
  d.ring_bytes_lg2 = FIGMENT_RING_BYTES_LG2_MIN;
  d.asid = asid_;
  d.read = d.write = write_;
  gpu_.host.store(base_ + 2 * kPage, d);
  gpu_.write64(FIGMENT_REG_QUEUE(queue_) + FIGMENT_QUEUE_DESC, base_ + 2 * kPage);
  gpu_.command(queue_, FIGMENT_QUEUE_START);
}

void KnownJobs::submit(uint64_t number) {
  number_ = number;
  gpu_.host.zero(data(0), kPage);
  const Words job = fill(kData + kFilled, kBlockBytes, number, 3) +
                    copy(kData + kCopied, kData + kFilled, kBlockBytes) +
                    atomic(FIGMENT_ATOMIC_ADD | FIGMENT_ATOMIC_64, kData + kAdded, number) +
                    release(FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64 | FIGMENT_RELEASE_EVENT,
                            kData + kReleased, number);
  for (const uint64_t word : job) {
    gpu_.host.store<uint64_t>(base_ + write_ % kPage, word);
    write_ += 8;
  }
  gpu_.doorbell(queue_, write_);
}

bool KnownJobs::done() {
  return gpu_.read64(FIGMENT_REG_QUEUE(queue_) + FIGMENT_QUEUE_READ) == write_;
}

std::string KnownJobs::trouble() {
  const std::string who = std::format("known job of queue {}: ", queue_);
  if (const uint32_t state = gpu_.queue_state(queue_); state != FIGMENT_QUEUE_READY) {
    return who + std::format("the queue is in state {}, code {}", state, gpu_.queue_code(queue_));
  }
  if (!done()) return who + "it is not done";
  for (uint64_t offset = 0; offset < kBlockBytes; offset += 8) {
    if (gpu_.host.load<uint64_t>(data(kFilled + offset)) != number_) return who + "FILL";
    if (gpu_.host.load<uint64_t>(data(kCopied + offset)) != number_) return who + "COPY";
  }
  if (gpu_.host.load<uint64_t>(data(kAdded)) != number_) return who + "ATOMIC";
  if (gpu_.host.load<uint64_t>(data(kReleased)) != number_) return who + "RELEASE";
  return "";
}

std::string known_job_trouble(Gpu& gpu, uint64_t base) {
  gpu.inject_clear();
  gpu.bring_up();
  for (uint32_t queue = 0; queue < gpu.config.queues; ++queue) {
    KnownJobs jobs(gpu, base, gpu.config.asids - 1, queue);
    jobs.start();
    jobs.submit(queue + 1000);
    gpu.run_all();
    if (std::string trouble = jobs.trouble(); !trouble.empty()) return trouble;
    const auto events = gpu.events();
    if (events.size() != 1 || events[0].type != FIGMENT_EVENT_FENCE || events[0].queue != queue ||
        events[0].value != queue + 1000) {
      return std::format("known job of queue {}: {} events, or a wrong one", queue, events.size());
    }
  }
  if (!(gpu.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_IDLE)) return "known jobs: not idle after";
  return "";
}

}  // namespace figment::test
