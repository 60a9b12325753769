// SPDX-License-Identifier: MIT
#include "watermarks.h"

#include <sys/mman.h>

#include <chrono>
#include <cstddef>
#include <format>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "page_kind.h"

namespace figment::stress {
namespace {

constexpr const char* kMeminfo = "/proc/meminfo";
constexpr const char* kMinFree = "/proc/sys/vm/min_free_kbytes";
constexpr const char* kScaleFactor = "/proc/sys/vm/watermark_scale_factor";

/// Of all memory, from one watermark to the next: the most that the kernel takes.
constexpr std::uint64_t kScale = 3000;
constexpr std::uint64_t kScaleWhole = 10'000;

/// Free above the low watermark, and what cross() takes.
constexpr std::uint64_t kMarginKib = 64 * 1024;
constexpr std::uint64_t kCrossKib = 128 * 1024;
/// What is easily found.
constexpr std::uint64_t kOfferKib = 16 * 1024;
/// Free above the one below which everybody looks for memory, at least.
constexpr std::uint64_t kCalmKib = 2 * kCrossKib;

constexpr std::chrono::milliseconds kWhile{20};

std::uint64_t read_number(const char* file) {
  std::uint64_t value = 0;
  if (!(std::ifstream(file) >> value)) throw Lacks(std::format("{} cannot be read", file));
  return value;
}

bool write_number(const char* file, std::uint64_t value) {
  std::ofstream out(file);
  out << value << std::flush;
  return !!out;
}

std::uint64_t number_in(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::uint64_t value = 0;
    if (word == name && file >> value) return value;
  }
  return 0;
}

/// Free below what would be the low watermark just below all that is free; 0: too little.
std::uint64_t room_kib() {
  const std::uint64_t step = number_in(kMeminfo, "MemTotal:") * kScale / kScaleWhole;
  const std::uint64_t free = number_in(kMeminfo, "MemFree:");
  return step < kCalmKib || free < step + 2 * kMarginKib ? 0 : free - step - kMarginKib;
}

std::span<std::byte> take(std::uint64_t kib, int flags) {
  void* at = ::mmap(nullptr, kib << 10, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | flags, -1, 0);
  return at == MAP_FAILED ? std::span<std::byte>{}
                          : std::span(static_cast<std::byte*>(at), kib << 10);
}

void give(std::span<std::byte> memory) {
  if (!memory.empty()) ::munmap(memory.data(), memory.size());
}

/// Memory that the kernel may have when it likes.
std::span<std::byte> offer() {
  const auto memory = take(kOfferKib, 0);
  if (!memory.empty()) ::madvise(memory.data(), memory.size(), MADV_FREE);
  return memory;
}

/// kswapd gives a node up when it has found nothing there for some time, until somebody else has
/// found something, and enough is free.
void give_hope() {
  const auto offered = offer();
  for (int node = 0;; ++node) {
    std::ofstream reclaim(std::format("/sys/devices/system/node/node{}/reclaim", node));
    if (!reclaim) break;
    reclaim << "4M" << std::flush;
  }
  give(offered);
}

}  // namespace

std::uint64_t pages_kswapd_has_scanned() {
  return number_in("/proc/vmstat", "pgscan_kswapd");
}

ScopedWatermarks::ScopedWatermarks()
    : min_free_kib_(read_number(kMinFree)), scale_factor_(read_number(kScaleFactor)) {
  if (room_kib() == 0) throw Lacks("too little memory is free");
  if (!write_number(kScaleFactor, kScale)) throw Lacks("the watermarks cannot be set");
}

ScopedWatermarks::~ScopedWatermarks() {
  restore();
  give_hope();
}

void ScopedWatermarks::restore() const {
  write_number(kScaleFactor, scale_factor_);
  write_number(kMinFree, min_free_kib_);
}

void ScopedWatermarks::cross() const {
  restore();
  give_hope();
  const std::uint64_t room = room_kib();
  if (room == 0) return;
  write_number(kScaleFactor, kScale);
  write_number(kMinFree, room);
  // Locked: kswapd is to look for other pages. It finds some in any case.
  const auto offered = offer();
  const auto memory = take(kCrossKib, MAP_LOCKED);
  std::this_thread::sleep_for(kWhile);
  give(memory);
  give(offered);
}

}  // namespace figment::stress
