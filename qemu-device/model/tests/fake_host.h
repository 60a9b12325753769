// SPDX-License-Identifier: MIT
// A host for the model without QEMU: guest memory, a clock that is moved by
// hand, a seeded random source, and a record of interrupts and traces.
//
// Guest memory has two areas: RAM, which can be mapped, and a device area,
// which answers only to read and write. Anything else does not answer. The
// host also checks the rules of the interface: what is mapped is given back
// before a call returns, as it was mapped, and no more is touched than that.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "figment/figment_model.h"

namespace figment::test {

struct TracePoint {
  unsigned event = 0;
  std::array<uint64_t, 4> arguments{};
  bool operator==(const TracePoint&) const = default;
};

class FakeHost {
 public:
  static constexpr uint64_t kRamBase = 0x4000'0000;
  static constexpr uint64_t kDeviceBase = 0x9000'0000;
  static constexpr uint64_t kDeviceBytes = 64u << 10;

  struct Options {
    uint64_t ram_bytes = 16u << 20;
    uint64_t vram_bytes = 8u << 20;
    uint64_t seed = 1;
    // Most bytes that one map call covers: RAM in many small regions.
    uint64_t map_bytes_max = UINT64_MAX;
  };

  explicit FakeHost(const Options& options);
  FakeHost() : FakeHost(Options{}) {}
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  figment_model_host interface();

  // Guest memory as a CPU sees it; null when not all of the range answers.
  std::byte* memory(uint64_t bus, size_t bytes);
  template <typename T>
  T load(uint64_t bus) {
    T value;
    std::memcpy(&value, memory(bus, sizeof(T)), sizeof(T));
    return value;
  }
  template <typename T>
  void store(uint64_t bus, const T& value) {
    std::memcpy(memory(bus, sizeof(T)), &value, sizeof(T));
  }

  // Call after every call into the model: complaints about the rules, or "".
  std::string complaints() const;
  // Bytes that the model said it wrote through mappings, since the start.
  uint64_t touched_bytes() const { return touched_bytes_; }
  // How often the model traced this, whether kept or not.
  uint64_t count(figment_trace event) const { return counts_[event]; }
  void forget_traces();

  std::vector<std::byte> ram;
  std::vector<std::byte> device;
  std::vector<std::byte> vram;
  uint64_t now_ns = 1000;
  uint64_t ns_per_look = 0;  // the clock moves by itself when it is read
  std::vector<unsigned> interrupts;
  std::vector<TracePoint> traces;
  bool keep_traces = true;  // a long run only counts them

 private:
  struct Mapping {
    size_t bytes = 0;
    bool for_write = false;
  };

  static FakeHost& of(void* opaque) { return *static_cast<FakeHost*>(opaque); }
  void* map(uint64_t bus, size_t* bytes, bool for_write);
  void unmap(void* pointer, size_t bytes, bool for_write, size_t touched);

  uint64_t map_bytes_max_;
  std::mt19937_64 random_;
  std::multimap<void*, Mapping> maps_;
  std::string broken_rule_;
  uint64_t touched_bytes_ = 0;
  std::array<uint64_t, FIGMENT_TRACE_COUNT> counts_{};
};

}  // namespace figment::test
