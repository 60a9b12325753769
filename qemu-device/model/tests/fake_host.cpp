// SPDX-License-Identifier: MIT
#include "fake_host.h"

#include <algorithm>

namespace figment::test {

FakeHost::FakeHost(const Options& options)
    : ram(options.ram_bytes),
      device(kDeviceBytes),
      vram(options.vram_bytes),
      map_bytes_max_(options.map_bytes_max),
      random_(options.seed) {}

figment_model_host FakeHost::interface() {
  return {
      .opaque = this,
      .read =
          [](void* opaque, uint64_t bus, void* to, size_t bytes) {
            const std::byte* from = of(opaque).memory(bus, bytes);
            if (from) std::memcpy(to, from, bytes);
            return from != nullptr;
          },
      .write =
          [](void* opaque, uint64_t bus, const void* from, size_t bytes) {
            std::byte* to = of(opaque).memory(bus, bytes);
            if (to) std::memcpy(to, from, bytes);
            return to != nullptr;
          },
      .map = [](void* opaque, uint64_t bus, size_t* bytes,
                bool for_write) { return of(opaque).map(bus, bytes, for_write); },
      .unmap = [](void* opaque, void* pointer, size_t bytes, bool for_write,
                  size_t touched) { of(opaque).unmap(pointer, bytes, for_write, touched); },
      .vram = vram.data(),
      .vram_bytes = vram.size(),
      .vram_touched =
          [](void* opaque, uint64_t offset, size_t bytes) {
            FakeHost& host = of(opaque);
            if (offset > host.vram.size() || bytes > host.vram.size() - offset) {
              host.broken_rule_ = "vram_touched outside VRAM";
            }
          },
      .interrupt = [](void* opaque, unsigned vector) { of(opaque).interrupts.push_back(vector); },
      .now =
          [](void* opaque) {
            FakeHost& host = of(opaque);
            return host.now_ns += host.ns_per_look;
          },
      .random = [](void* opaque) -> uint64_t { return of(opaque).random_(); },
      .trace =
          [](void* opaque, unsigned event, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
            FakeHost& host = of(opaque);
            ++host.counts_.at(event);
            if (host.keep_traces) host.traces.push_back({event, {a, b, c, d}});
          },
  };
}

std::byte* FakeHost::memory(uint64_t bus, size_t bytes) {
  const auto in = [&](uint64_t base, std::vector<std::byte>& area) -> std::byte* {
    if (bus < base || bus - base > area.size() || bytes > area.size() - (bus - base)) return {};
    return area.data() + (bus - base);
  };
  std::byte* found = in(kRamBase, ram);
  return found ? found : in(kDeviceBase, device);
}

void* FakeHost::map(uint64_t bus, size_t* bytes, bool for_write) {
  if (*bytes == 0) broken_rule_ = "map of nothing";
  if (bus < kRamBase || bus - kRamBase >= ram.size()) return nullptr;
  const uint64_t offset = bus - kRamBase;
  *bytes = std::min<uint64_t>({*bytes, ram.size() - offset, map_bytes_max_});
  std::byte* pointer = ram.data() + offset;
  maps_.insert({pointer, {.bytes = *bytes, .for_write = for_write}});
  return pointer;
}

void FakeHost::unmap(void* pointer, size_t bytes, bool for_write, size_t touched) {
  const auto [first, end] = maps_.equal_range(pointer);
  const auto found = std::find_if(first, end, [&](const auto& entry) {
    return entry.second.bytes == bytes && entry.second.for_write == for_write;
  });
  if (found == end) {
    broken_rule_ = "unmap of what was not mapped so";
    return;
  }
  if (touched > bytes || (touched != 0 && !for_write)) broken_rule_ = "touched what is not mapped";
  touched_bytes_ += touched;
  maps_.erase(found);
}

std::string FakeHost::complaints() const {
  if (!broken_rule_.empty()) return broken_rule_;
  return maps_.empty() ? "" : "a mapping was kept after the call";
}

void FakeHost::forget_traces() {
  traces.clear();
  counts_ = {};
}

}  // namespace figment::test
