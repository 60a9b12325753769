// SPDX-License-Identifier: MIT
// An input of the fuzzer as a stream of small numbers, and its opposite, which
// seeds are written with. Past the end everything reads as zero.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace figment::fuzz {

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  uint8_t u8() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  uint16_t u16() { return static_cast<uint16_t>(u8() | u8() << 8); }
  uint64_t u64() {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i) value |= uint64_t{u8()} << (8 * i);
    return value;
  }

 private:
  std::span<const uint8_t> rest_;
};

// Calls may be chained, also of a derived class.
class Writer {
 public:
  template <typename Self>
  Self& u8(this Self& self, uint64_t value) {
    self.bytes_.push_back(static_cast<uint8_t>(value));
    return self;
  }
  template <typename Self>
  Self& u16(this Self& self, uint64_t value) {
    return self.u8(value).u8(value >> 8);
  }
  template <typename Self>
  Self& u64(this Self& self, uint64_t value) {
    for (unsigned i = 0; i < 8; ++i) self.u8(value >> (8 * i));
    return self;
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 protected:
  std::vector<uint8_t> bytes_;
};

}  // namespace figment::fuzz
