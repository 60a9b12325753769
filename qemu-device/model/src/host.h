// SPDX-License-Identifier: MIT
// The outside, as the model sees it: struct figment_model_host with types.
//
// The host outlives the model and is called only from inside a call into the
// model. Nothing here decides anything.
#pragma once

#include "units.h"

namespace figment {

class Host {
 public:
  explicit Host(const figment_model_host& host) : host_(host) {}
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  bool read(BusAddr bus, void* to, size_t bytes) const {
    return host_.read(host_.opaque, bus.value, to, bytes);
  }
  bool write(BusAddr bus, const void* from, size_t bytes) const {
    return host_.write(host_.opaque, bus.value, from, bytes);
  }
  // A pointer to the first *bytes of the range, or null: no RAM there.
  std::byte* map(BusAddr bus, size_t* bytes, bool for_write) const {
    return static_cast<std::byte*>(host_.map(host_.opaque, bus.value, bytes, for_write));
  }
  void unmap(void* pointer, size_t bytes, bool for_write, size_t touched) const {
    host_.unmap(host_.opaque, pointer, bytes, for_write, touched);
  }

  std::byte* vram() const { return static_cast<std::byte*>(host_.vram); }
  uint64_t vram_bytes() const { return host_.vram_bytes; }
  void vram_touched(uint64_t offset, size_t bytes) const {
    host_.vram_touched(host_.opaque, offset, bytes);
  }

  void interrupt(unsigned int vector) const {
    trace(FIGMENT_TRACE_INTERRUPT, vector);
    host_.interrupt(host_.opaque, vector);
  }
  Nanos now() const { return host_.now(host_.opaque); }

  // One draw of a latency, or of any range. A fixed one takes nothing from the random source.
  Nanos draw(const figment_latency& latency) const {
    if (latency.min_ns == latency.max_ns) return latency.min_ns;
    const uint64_t span = latency.max_ns - latency.min_ns + 1;  // 0 stands for 2^64
    const uint64_t random = host_.random(host_.opaque);
    return latency.min_ns + (span == 0 ? random : random % span);
  }

  void trace(figment_trace event, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0,
             uint64_t d = 0) const {
    host_.trace(host_.opaque, event, a, b, c, d);
  }

 private:
  const figment_model_host host_;
};

}  // namespace figment
