// SPDX-License-Identifier: MIT
#include "flat_gpu.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>

namespace figment::bench {

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHugePage = 2u << 20;
constexpr unsigned kRingLg2 = 16;
constexpr unsigned kEventLg2 = 16;
constexpr uint64_t kRingVa = 1ull << 40;

std::byte* allocate(uint64_t bytes) {
  void* memory = std::aligned_alloc(kHugePage, bytes);
  if (!memory) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  return static_cast<std::byte*>(memory);
}

// Bus addresses are offsets in RAM.
const figment_model_host kHost = {
    .read = [](void*, uint64_t, void*, size_t) { return false; },
    .write = [](void*, uint64_t, const void*, size_t) { return false; },
    .map = [](void* opaque, uint64_t bus, size_t*, bool) -> void* {
      return static_cast<std::byte*>(opaque) + bus;
    },
    .unmap = [](void*, void*, size_t, bool, size_t) {},
    .vram_touched = [](void*, uint64_t, size_t) {},
    .interrupt = [](void*, unsigned) {},
    .now = [](void*) -> uint64_t {
      return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
    },
    .random = [](void*) -> uint64_t { return 0; },
    .trace = [](void*, unsigned, uint64_t, uint64_t, uint64_t, uint64_t) {},
};

}  // namespace

Options::Options() {
  figment_model_api(FIGMENT_MODEL_ABI)->defaults(&config);
}

void FlatGpu::Free::operator()(std::byte* memory) const {
  std::free(memory);
}
void FlatGpu::Destroy::operator()(figment_model* model) const {
  figment_model_api(FIGMENT_MODEL_ABI)->destroy(model);
}

FlatGpu::FlatGpu(const Options& options)
    : ram_bytes_(options.data_bytes + (16u << 20)),
      steps_per_run_(options.steps_per_run),
      ram_(allocate(ram_bytes_)),
      vram_(allocate(kVramBytes)),
      api_(figment_model_api(FIGMENT_MODEL_ABI)) {
  figment_model_host host = kHost;
  host.opaque = ram_.get();
  host.vram = vram_.get();
  host.vram_bytes = kVramBytes;
  char error[200];
  model_.reset(api_->create(&options.config, &host, error, sizeof(error)));
  if (!model_) throw std::runtime_error(error);

  data_at_ = take(options.data_bytes);
  root_ = take(kPage);
  const uint64_t page = options.layout == Layout::huge ? kHugePage : kPage;
  std::vector<uint64_t> order(options.data_bytes / page);
  std::iota(order.begin(), order.end(), 0);
  if (options.layout == Layout::scattered) {
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  }
  const uint64_t leaf = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE;
  const unsigned level = page == kPage ? 0 : 1;
  for (uint64_t i = 0; i < order.size(); ++i) {
    set_pte(kData + i * page, level, (data_at_ + order[i] * page) | leaf);
  }
  for (uint64_t at = 0; at < kVramBytes; at += kHugePage) {
    set_pte(kVram + at, 1, at | leaf | FIGMENT_PTE_VRAM);
  }
  ring_ = take(1u << kRingLg2);
  for (uint64_t at = 0; at < 1u << kRingLg2; at += kPage) {
    set_pte(kRingVa + at, 0, (ring_ + at) | leaf);
  }

  figment_descriptor descriptor{};
  descriptor.ring_address = kRingVa;
  descriptor.ring_bytes_lg2 = kRingLg2;
  descriptor.asid = 1;
  const uint64_t descriptor_at = take(kPage);
  std::memcpy(ram_.get() + descriptor_at, &descriptor, sizeof(descriptor));
  const uint64_t events = take(FIGMENT_EVENT_BYTES << kEventLg2);
  api_->register_write(model_.get(), FIGMENT_REG_ASID_ROOT(1), root_ | FIGMENT_ROOT_VALID, 8);
  api_->register_write(model_.get(), FIGMENT_REG_EVENT_BASE, events, 8);
  api_->register_write(model_.get(), FIGMENT_REG_EVENT_SIZE_LG2, kEventLg2, 4);
  api_->register_write(model_.get(), FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE, 4);
  api_->register_write(model_.get(), FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC, descriptor_at, 8);
  api_->register_write(model_.get(), FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_COMMAND,
                       FIGMENT_QUEUE_START, 4);
}

uint64_t FlatGpu::take(uint64_t bytes) {
  const uint64_t at = used_;
  used_ += (bytes + kPage - 1) / kPage * kPage;
  if (used_ > ram_bytes_) throw std::runtime_error("the flat RAM is too small");
  return at;
}

void FlatGpu::set_pte(uint64_t va, unsigned level, uint64_t entry) {
  uint64_t table = root_;
  for (unsigned at = FIGMENT_PT_LEVELS - 1;; --at) {
    uint64_t* slot = word(table + (va >> (12 + 9 * at) & 511) * 8);
    if (at == level) {
      *slot = entry;
      return;
    }
    if (*slot == 0) *slot = take(kPage) | FIGMENT_PTE_VALID;
    table = *slot & FIGMENT_PTE_ADDRESS;
  }
}

void FlatGpu::store(uint64_t data_offset, uint64_t value) {
  *word(data_at_ + data_offset) = value;
}

void FlatGpu::push(const std::vector<uint64_t>& words) {
  for (const uint64_t value : words) {
    *word(ring_ + (write_ & ((1u << kRingLg2) - 1))) = value;
    write_ += 8;
  }
}

uint64_t FlatGpu::fill_ring(const std::vector<uint64_t>& words) {
  const uint64_t count = ((1u << kRingLg2) / 8) / words.size();
  for (uint64_t i = 0; i < count; ++i) push(words);
  return count;
}

void FlatGpu::drain() {
  api_->doorbell_write(model_.get(), 0, write_, 8);
  while (api_->run(model_.get(), steps_per_run_).next_ns != FIGMENT_MODEL_NEVER) {
  }
  const uint64_t read =
      api_->register_read(model_.get(), FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ, 8);
  if (read != write_) throw std::runtime_error("the queue did not get to its end");
  consume_events();
}

void FlatGpu::consume_events() {
  const uint64_t write = api_->register_read(model_.get(), FIGMENT_REG_EVENT_WRITE, 4);
  api_->register_write(model_.get(), FIGMENT_REG_EVENT_READ, write, 4);
}

}  // namespace figment::bench
