// SPDX-License-Identifier: MIT
//
// What the kernel says of one open file of a GPU, /proc/PID/fdinfo/FD, in the form of
// Documentation/gpu/drm-usage-stats.rst. The text comes from the kernel, but a client names
// itself: nothing in it is trusted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace figment::top {

struct Engine {
  std::uint64_t busy_ns = 0;   // of jobs that have ended
  std::uint64_t capacity = 1;  // engines of that kind
  bool operator==(const Engine&) const = default;
};

/// Bytes of buffers in one kind of memory.
struct Region {
  std::uint64_t total = 0;
  std::uint64_t shared = 0;
  std::uint64_t resident = 0;
  std::uint64_t active = 0;
  std::uint64_t purgeable = 0;
  bool operator==(const Region&) const = default;
};

struct Client {
  std::uint64_t id = 0;
  std::string gpu;   // its address on the bus, or empty
  std::string name;  // as the client calls itself, or empty
  std::map<std::string, Engine> engines;
  std::map<std::string, Region> regions;
  /// Memory of the process in VRAM, which is in no buffer.
  std::uint64_t svm_vram = 0;
  bool operator==(const Client&) const = default;
};

/// Nothing when it is no file of the driver `driver`. Lines that make no sense are left out; of two
/// with one key the first one counts.
[[nodiscard]] std::optional<Client> parse_fdinfo(std::string_view text,
                                                 std::string_view driver = "figment");

}  // namespace figment::top
