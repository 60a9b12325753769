// SPDX-License-Identifier: MIT
// A host for the model without QEMU: guest memory, a clock that is moved by
// hand, a seeded random source, and a record of interrupts and traces.
//
// Guest memory has two areas: RAM, which can be mapped, and a device area,
// which answers only to read and write. Anything else does not answer. A test
// may have more RAM at an address that it keeps to itself.
//
// The host also checks the rules of the interface: what is mapped is given back
// before a call returns, as it was mapped, and no more is touched than that. A
// strict host goes further. Its RAM is poisoned for the address sanitizer
// except where it is mapped, and it keeps a second copy of it, so that it sees
// each byte that the model wrote and did not say. There the test itself reaches
// memory by load(), store() and their like only, never by memory().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
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
    // More RAM, which a hostile guest does not find.
    uint64_t hidden_base = 0;
    uint64_t hidden_bytes = 0;
    bool strict = false;
  };

  explicit FakeHost(const Options& options);
  FakeHost() : FakeHost(Options{}) {}
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  ~FakeHost();

  figment_model_host interface();

  // Guest memory as a CPU sees it; null when not all of the range answers.
  std::byte* memory(uint64_t bus, size_t bytes);
  // What a CPU does with memory that answers; also from inside `meanwhile`.
  template <typename T>
  T load(uint64_t bus) {
    T value;
    cpu_read(bus, &value, sizeof(T));
    return value;
  }
  template <typename T>
  void store(uint64_t bus, const T& value) {
    cpu_write(bus, &value, sizeof(T));
  }
  void zero(uint64_t bus, size_t bytes);
  void cpu_read(uint64_t bus, void* to, size_t bytes);
  void cpu_write(uint64_t bus, const void* from, size_t bytes);

  // Call after every call into the model: complaints about the rules, or "".
  std::string complaints();
  // Bytes that the model said it wrote through mappings, since the start.
  uint64_t touched_bytes() const { return touched_bytes_; }
  // How often the model traced this, whether kept or not.
  uint64_t count(figment_trace event) const { return counts_[event]; }
  void forget_traces();

  // Calls of the model into this host, of whatever function.
  uint64_t calls() const { return calls_; }
  // Those since the last complaints(): of the present call into the model.
  uint64_t calls_now() const { return calls_ - calls_before_; }
  // Called in each of them, before it is served: what other processors do at that moment.
  std::function<void()> meanwhile;

  std::vector<std::byte> ram;
  std::vector<std::byte> hidden;
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
  // Mapped at some time in this call into the model, until complaints().
  struct Used {
    std::byte* pointer = nullptr;
    size_t bytes = 0;
    size_t touched = 0;
  };

  // Each call comes through here.
  static FakeHost& of(void* opaque);
  std::byte* find(uint64_t base, std::vector<std::byte>& area, uint64_t bus, size_t bytes);
  // The strict host's second copy of a byte of RAM.
  std::byte* copy_of(const std::byte* pointer);
  void poison(std::byte* pointer, size_t bytes);
  void check_used();
  void* map(uint64_t bus, size_t* bytes, bool for_write);
  void unmap(void* pointer, size_t bytes, bool for_write, size_t touched);

  uint64_t map_bytes_max_;
  uint64_t hidden_base_;
  bool strict_;
  std::vector<std::byte> ram_copy_, hidden_copy_;
  std::vector<Used> used_;
  uint64_t calls_ = 0;
  uint64_t calls_before_ = 0;
  std::mt19937_64 random_;
  std::multimap<void*, Mapping> maps_;
  std::string broken_rule_;
  uint64_t touched_bytes_ = 0;
  std::array<uint64_t, FIGMENT_TRACE_COUNT> counts_{};
};

}  // namespace figment::test
