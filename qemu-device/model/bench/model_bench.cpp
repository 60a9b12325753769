// SPDX-License-Identifier: MIT
// What the model costs by itself: packets, translations, and data.
//
// Figures are to be read against each other. COPY gives `of_memcpy`, its rate
// as a part of the rate of the C library's memcpy() over the same number of
// bytes, measured next to it in the same run.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "flat_gpu.h"

namespace figment::bench {

namespace {

using Words = std::vector<uint64_t>;
constexpr uint64_t kData = FlatGpu::kData;
constexpr uint64_t kVram = FlatGpu::kVram;
constexpr int64_t kSmall = 64 << 10;
constexpr int64_t kLarge = 16 << 20;

void packets(benchmark::State& state, const Words& packet, const Options& options = {}) {
  FlatGpu gpu(options);
  uint64_t done = 0;
  for (auto _ : state) {
    done += gpu.fill_ring(packet);
    gpu.drain();
  }
  state.SetItemsProcessed(static_cast<int64_t>(done));
}

void nop(benchmark::State& state) {
  packets(state, {FIGMENT_PACKET(FIGMENT_OP_NOP, 1, 0)});
}
void fill_8_bytes(benchmark::State& state) {
  packets(state, {FIGMENT_PACKET(FIGMENT_OP_FILL, 4, 3), kData, 8, 1});
}
void copy_64_bytes(benchmark::State& state) {
  packets(state, {FIGMENT_PACKET(FIGMENT_OP_COPY, 4, 0), kData, kData + 4096, 64});
}
void atomic_add(benchmark::State& state) {
  packets(state, {FIGMENT_PACKET(FIGMENT_OP_ATOMIC, 5, FIGMENT_ATOMIC_64), kData, 1, 0, 0});
}
void release_write(benchmark::State& state) {
  packets(state, {FIGMENT_PACKET(FIGMENT_OP_RELEASE, 3, FIGMENT_RELEASE_WRITE), kData, 1});
}
void release_event(benchmark::State& state) {
  packets(state, {FIGMENT_PACKET(FIGMENT_OP_RELEASE, 3, FIGMENT_RELEASE_EVENT), 0, 1});
}
// What it costs when every step is a call, with its mappings given back after it.
void release_write_a_call_each(benchmark::State& state) {
  Options options;
  options.steps_per_run = 1;
  packets(state, {FIGMENT_PACKET(FIGMENT_OP_RELEASE, 3, FIGMENT_RELEASE_WRITE), kData, 1}, options);
}
BENCHMARK(nop);
BENCHMARK(fill_8_bytes);
BENCHMARK(copy_64_bytes);
BENCHMARK(atomic_add);
BENCHMARK(release_write);
BENCHMARK(release_event);
BENCHMARK(release_write_a_call_each);

// One pointer is one access and one translation. `pages` are visited in turn.
void chase(benchmark::State& state, const Options& options, uint64_t pages) {
  FlatGpu gpu(options);
  for (uint64_t page = 0; page < pages; ++page) {
    gpu.store(page * 4096, kData + (page + 1) % pages * 4096);
  }
  const uint64_t count = 10000;
  uint64_t done = 0;
  for (auto _ : state) {
    gpu.push({FIGMENT_PACKET(FIGMENT_OP_CHASE, 4, 0), kData, count, 0});
    gpu.drain();
    done += count;
  }
  state.SetItemsProcessed(static_cast<int64_t>(done));
}

void translate_tlb_hit(benchmark::State& state) {
  chase(state, {}, 8);
}
void translate_walk_cache_hit(benchmark::State& state) {
  Options options;
  options.config.tlb_entries = 16;
  chase(state, options, 8192);
}
void translate_full_walk(benchmark::State& state) {
  Options options;
  options.config.tlb_entries = 16;
  options.config.walk_cache_entries = 0;
  chase(state, options, 8192);
}
BENCHMARK(translate_tlb_hit);
BENCHMARK(translate_walk_cache_hit);
BENCHMARK(translate_full_walk);

// Of this thread, so that a busy machine disturbs both sides of a ratio less.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

template <typename Work>
double seconds_of(Work work) {
  const double start = cpu_seconds();
  work();
  return cpu_seconds() - start;
}

// Memory for memcpy() that is aligned like the GPU's.
std::unique_ptr<std::byte, decltype(&std::free)> buffer(uint64_t bytes) {
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(2u << 20, 2 * kLarge));
  std::memset(memory, 1, bytes);
  return {memory, &std::free};
}

void copy(benchmark::State& state, Layout layout, uint64_t to, uint64_t from) {
  const auto bytes = static_cast<uint64_t>(state.range(0));
  Options options;
  options.layout = layout;
  FlatGpu gpu(options);
  const auto peer_to = buffer(bytes);
  const auto peer_from = buffer(bytes);
  double model = 0, peer = 0;
  for (auto _ : state) {
    peer += seconds_of([&] {
      std::memcpy(peer_to.get(), peer_from.get(), bytes);
      benchmark::ClobberMemory();
    });
    const double took = seconds_of([&] {
      gpu.push({FIGMENT_PACKET(FIGMENT_OP_COPY, 4, 0), to, from, bytes});
      gpu.drain();
    });
    model += took;
    state.SetIterationTime(took);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes));
  state.counters["of_memcpy"] = peer / model;
}

constexpr uint64_t kOther = kData + (32u << 20);
void copy_sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(kSmall)->Arg(kLarge)->UseManualTime();
}
BENCHMARK_CAPTURE(copy, ram_to_ram, Layout::contiguous, kOther, kData)->Apply(copy_sizes);
BENCHMARK_CAPTURE(copy, ram_to_ram_scattered, Layout::scattered, kOther, kData)->Apply(copy_sizes);
BENCHMARK_CAPTURE(copy, ram_to_ram_huge, Layout::huge, kOther, kData)->Apply(copy_sizes);
BENCHMARK_CAPTURE(copy, ram_to_vram, Layout::contiguous, kVram, kData)->Apply(copy_sizes);
BENCHMARK_CAPTURE(copy, vram_to_ram, Layout::contiguous, kData, kVram)->Apply(copy_sizes);

void fill(benchmark::State& state, uint32_t flags) {
  FlatGpu gpu;
  const uint64_t bytes = kLarge;
  for (auto _ : state) {
    gpu.push({FIGMENT_PACKET(FIGMENT_OP_FILL, 4, flags), kData, bytes, 7});
    gpu.drain();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes));
}
BENCHMARK_CAPTURE(fill, bytes, 0);
BENCHMARK_CAPTURE(fill, words, 2);
BENCHMARK_CAPTURE(fill, counting_words, 2 | FIGMENT_FILL_INCREMENT);

}  // namespace

}  // namespace figment::bench

BENCHMARK_MAIN();
