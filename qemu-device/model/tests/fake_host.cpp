// SPDX-License-Identifier: MIT
#include "fake_host.h"

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <stdexcept>

namespace figment::test {

namespace {

// Copies by plain accesses that no sanitizer sees: the memory of a strict host is poisoned.
__attribute__((no_sanitize("address"))) void copy_unseen(void* to, const void* from, size_t bytes) {
  const auto copy = [&]<typename T>(T) __attribute__((no_sanitize("address"))) {
    auto* target = static_cast<volatile T*>(to);
    const auto* source = static_cast<const volatile T*>(from);
    for (size_t i = 0; i < bytes / sizeof(T); ++i) target[i] = source[i];
  };
  const auto all = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from) | bytes;
  if (all % 8 == 0) return copy(uint64_t{});
  copy(uint8_t{});
}

}  // namespace

FakeHost::FakeHost(const Options& options)
    : ram(options.ram_bytes),
      hidden(options.hidden_bytes),
      device(kDeviceBytes),
      vram(options.vram_bytes),
      map_bytes_max_(options.map_bytes_max),
      hidden_base_(options.hidden_base),
      strict_(options.strict),
      random_(options.seed) {
  if (!strict_) return;
  ram_copy_ = ram;
  hidden_copy_ = hidden;
  poison(ram.data(), ram.size());
  poison(hidden.data(), hidden.size());
}

FakeHost::~FakeHost() {
  if (!strict_) return;
  // Whoever gets this memory next knows nothing of poison.
  ASAN_UNPOISON_MEMORY_REGION(ram.data(), ram.size());
  ASAN_UNPOISON_MEMORY_REGION(hidden.data(), hidden.size());
}

FakeHost& FakeHost::of(void* opaque) {
  auto& host = *static_cast<FakeHost*>(opaque);
  ++host.calls_;
  if (host.meanwhile) host.meanwhile();
  return host;
}

figment_model_host FakeHost::interface() {
  return {
      .opaque = this,
      .read =
          [](void* opaque, uint64_t bus, void* to, size_t bytes) {
            FakeHost& host = of(opaque);
            if (!host.memory(bus, bytes)) return false;
            host.cpu_read(bus, to, bytes);
            return true;
          },
      .write =
          [](void* opaque, uint64_t bus, const void* from, size_t bytes) {
            FakeHost& host = of(opaque);
            if (!host.memory(bus, bytes)) return false;
            host.cpu_write(bus, from, bytes);
            return true;
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

std::byte* FakeHost::find(uint64_t base, std::vector<std::byte>& area, uint64_t bus, size_t bytes) {
  if (bus < base || bus - base > area.size() || bytes > area.size() - (bus - base)) return {};
  return area.data() + (bus - base);
}

std::byte* FakeHost::memory(uint64_t bus, size_t bytes) {
  if (std::byte* found = find(kRamBase, ram, bus, bytes)) return found;
  if (std::byte* found = find(hidden_base_, hidden, bus, bytes); found && bytes != 0) return found;
  return find(kDeviceBase, device, bus, bytes);
}

std::byte* FakeHost::copy_of(const std::byte* pointer) {
  const auto in = [pointer](std::vector<std::byte>& area, std::vector<std::byte>& copy) {
    const bool inside = pointer >= area.data() && pointer < area.data() + area.size();
    return inside && !copy.empty() ? copy.data() + (pointer - area.data()) : nullptr;
  };
  std::byte* found = in(ram, ram_copy_);
  return found ? found : in(hidden, hidden_copy_);
}

void FakeHost::cpu_read(uint64_t bus, void* to, size_t bytes) {
  const std::byte* from = memory(bus, bytes);
  if (!from) throw std::out_of_range("the test reads where nothing is");
  if (strict_) return copy_unseen(to, from, bytes);
  std::memcpy(to, from, bytes);
}

void FakeHost::cpu_write(uint64_t bus, const void* from, size_t bytes) {
  std::byte* to = memory(bus, bytes);
  if (!to) throw std::out_of_range("the test writes where nothing is");
  if (!strict_) {
    std::memcpy(to, from, bytes);
    return;
  }
  copy_unseen(to, from, bytes);
  if (std::byte* copy = copy_of(to)) std::memcpy(copy, from, bytes);
}

void FakeHost::zero(uint64_t bus, size_t bytes) {
  const std::vector<std::byte> zeros(bytes);
  cpu_write(bus, zeros.data(), bytes);
}

void FakeHost::poison(std::byte* pointer, size_t bytes) {
  if (strict_) ASAN_POISON_MEMORY_REGION(pointer, bytes);
}

void* FakeHost::map(uint64_t bus, size_t* bytes, bool for_write) {
  if (*bytes == 0) broken_rule_ = "map of nothing";
  std::vector<std::byte>* area = nullptr;
  uint64_t offset = 0;
  for (const auto& [base, candidate] : {std::pair{kRamBase, &ram}, {hidden_base_, &hidden}}) {
    if (bus < base || bus - base >= candidate->size()) continue;
    area = candidate;
    offset = bus - base;
  }
  if (!area) return nullptr;
  *bytes = std::min<uint64_t>({*bytes, area->size() - offset, map_bytes_max_});
  std::byte* pointer = area->data() + offset;
  maps_.insert({pointer, {.bytes = *bytes, .for_write = for_write}});
  if (strict_) ASAN_UNPOISON_MEMORY_REGION(pointer, *bytes);
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
  if (!strict_) return;
  auto* start = static_cast<std::byte*>(pointer);
  used_.push_back({.pointer = start, .bytes = bytes, .touched = touched});
  poison(start, bytes);
  for (const auto& [other, mapping] : maps_) {  // what others still use
    ASAN_UNPOISON_MEMORY_REGION(other, mapping.bytes);
  }
}

// Mappings may overlap, so this looks only when the call is over: first everything that was said
// to be written goes to the copy, then there may be no difference.
void FakeHost::check_used() {
  std::array<std::byte, 4096> piece;
  const auto in_pieces = [&](const Used& used, size_t bytes, const auto& act) {
    for (size_t at = 0; at < bytes; at += piece.size()) {
      const size_t part = std::min(piece.size(), bytes - at);
      copy_unseen(piece.data(), used.pointer + at, part);
      act(copy_of(used.pointer + at), part);
    }
  };
  for (const Used& used : used_) {
    in_pieces(used, used.touched,
              [&](std::byte* copy, size_t bytes) { std::memcpy(copy, piece.data(), bytes); });
  }
  for (const Used& used : used_) {
    in_pieces(used, used.bytes, [&](const std::byte* copy, size_t bytes) {
      if (std::memcmp(copy, piece.data(), bytes) != 0) broken_rule_ = "wrote and did not say so";
    });
  }
  used_.clear();
}

std::string FakeHost::complaints() {
  calls_before_ = calls_;
  if (strict_ && maps_.empty()) check_used();
  if (!broken_rule_.empty()) return broken_rule_;
  return maps_.empty() ? "" : "a mapping was kept after the call";
}

void FakeHost::forget_traces() {
  traces.clear();
  counts_ = {};
}

}  // namespace figment::test
