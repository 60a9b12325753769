// SPDX-License-Identifier: MIT
// A GPU on a host that costs nothing: flat guest RAM, the machine's clock, no
// traces. What a benchmark measures is then the model.
//
// Address space 1 maps the data area, identity by page or scattered, in 4 KiB
// or 2 MiB pages; queue 0 has a ring of 64 KiB.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "figment/figment_model.h"
#include "figment_hw.h"

namespace figment::bench {

enum class Layout { contiguous, scattered, huge };

struct Options {
  figment_model_config config;
  uint64_t data_bytes = 64u << 20;
  Layout layout = Layout::contiguous;
  uint64_t steps_per_run = 256;  // 1: as a host does that holds its lock for one step
  Options();
};

class FlatGpu {
 public:
  static constexpr uint64_t kData = 1ull << 32;  // GPU address of the data area, in RAM
  static constexpr uint64_t kVram = 2ull << 32;  // and of VRAM
  static constexpr uint64_t kVramBytes = 64u << 20;

  explicit FlatGpu(const Options& options = {});
  FlatGpu(const FlatGpu&) = delete;
  FlatGpu& operator=(const FlatGpu&) = delete;

  std::byte* data() { return ram_.get() + data_at_; }
  void store(uint64_t data_offset, uint64_t value);

  // Put one packet into the ring.
  void push(const std::vector<uint64_t>& words);
  // The same until the ring is full; how often it fits.
  uint64_t fill_ring(const std::vector<uint64_t>& words);
  // Announce what is in the ring and work until it is retired.
  void drain();

 private:
  uint64_t take(uint64_t bytes);
  void set_pte(uint64_t va, unsigned level, uint64_t entry);
  uint64_t* word(uint64_t at) { return reinterpret_cast<uint64_t*>(ram_.get() + at); }
  void consume_events();

  struct Free {
    void operator()(std::byte* memory) const;
  };
  struct Destroy {
    void operator()(figment_model* model) const;
  };
  uint64_t ram_bytes_;
  uint64_t steps_per_run_;
  std::unique_ptr<std::byte, Free> ram_;
  std::unique_ptr<std::byte, Free> vram_;
  const struct figment_model_api* api_;
  std::unique_ptr<figment_model, Destroy> model_;
  uint64_t used_ = 0;
  uint64_t data_at_ = 0;
  uint64_t root_ = 0;
  uint64_t ring_ = 0;
  uint64_t write_ = 0;
};

}  // namespace figment::bench
