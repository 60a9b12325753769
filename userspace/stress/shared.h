// SPDX-License-Identifier: MIT
//
// What the processes of one row tell each other, in a page range that is MAP_SHARED
// and therefore stays shared over every fork(). Everything is atomic or written by
// one process before an atomic flag: a reader may be killed or may see the writer
// die at any instruction.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>

#include "figment/buffer.h"
#include "stamp.h"
#include "window.h"

namespace figment::stress {

using oracle::Sequence;
using oracle::Word;

constexpr unsigned kMaxQueues = 8;
constexpr unsigned kMaxProcesses = 32;

/// Where a queue stands; see oracle::QueueBounds. `submitted` is raised before the
/// ioctl, `completed` after its end was seen: both bounds hold at any moment.
struct QueueProgress {
  std::atomic<Sequence> submitted = 0;
  std::atomic<Sequence> completed = 0;
};

/// The first text that is set stays.
class FirstText {
 public:
  void set(std::string_view text) {
    if (claimed_.exchange(true)) return;
    std::snprintf(text_.data(), text_.size(), "%.*s", static_cast<int>(text.size()), text.data());
    ready_.store(true, std::memory_order_release);
  }
  [[nodiscard]] std::string get() const {
    return ready_.load(std::memory_order_acquire) ? text_.data() : "";
  }
  /// With text: whoever is told so may take it at once.
  explicit operator bool() const { return ready_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> claimed_ = false;
  std::atomic<bool> ready_ = false;
  std::array<char, 300> text_ = {};
};

/// Microseconds. One process writes; past the capacity the oldest are replaced.
class Samples {
 public:
  static constexpr std::size_t kCapacity = 1 << 18;

  void add(double microseconds) {
    const auto n = count_.load(std::memory_order_relaxed);
    samples_[n % kCapacity] = microseconds;
    count_.store(n + 1, std::memory_order_release);
  }
  [[nodiscard]] std::span<const double> get() const {
    return std::span(samples_).first(std::min<std::uint64_t>(count(), kCapacity));
  }
  [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> count_ = 0;
  std::array<double, kCapacity> samples_ = {};
};

/// Addresses of a process that a GPU works on: of the stress range, and of what is beside it.
struct WatchedRange {
  std::atomic<std::uint64_t> start = 0;
  std::atomic<std::uint64_t> end = 0;

  void set(std::span<const std::byte> memory) {
    start = reinterpret_cast<std::uintptr_t>(memory.data());
    end = start + memory.size();
  }
  [[nodiscard]] bool overlaps(std::uint64_t first, std::uint64_t past) const {
    return first < end && past > start;
  }
};

struct WorkerShared {
  std::array<WatchedRange, 2> ranges;
  void watch(std::span<const std::byte> memory) { ranges[0].set(memory); }
  void watch_also(std::span<const std::byte> memory) { ranges[1].set(memory); }

  std::array<QueueProgress, kMaxQueues> progress;
  std::atomic<std::uint64_t> gpu_words = 0;      // GPU words that were checked
  std::atomic<std::uint64_t> corrupt_words = 0;  // words, of GPU or CPU, that were wrong
  std::atomic<std::uint64_t> jobs = 0;           // that have ended
  std::atomic<std::uint64_t> vram_pages = 0;     // in VRAM when an event began under a busy GPU
  FirstText corruption;                          // the first corrupt word, in words
  FirstText failure;                             // what made the run itself fail; ends the row
  Samples fork;
  Samples baseline;
  std::atomic<unsigned> phase = 0;  // the last phase that it has finished
};

struct RowShared {
  std::atomic<unsigned> phase = 0;  // the phase that the workers may work in
  std::atomic<bool> stop = false;   // some worker has failed: everybody leaves
  std::array<WorkerShared, kMaxProcesses> workers;
};

/// Shared between the processes that are forked after it is made. A page of it that
/// nobody touches costs nothing.
template <typename T>
class SharedObject {
 public:
  SharedObject();
  T* operator->() { return object_; }
  T& operator*() { return *object_; }

 private:
  Mapping memory_;
  T* object_;
};

[[nodiscard]] Mapping shared_memory(std::uint64_t bytes);

/// The memory is zero as it comes, and the members of T are so initialised: the
/// constructor would only touch every page. Hence no placement new with values.
template <typename T>
SharedObject<T>::SharedObject()
    : memory_(shared_memory(sizeof(T))),
      object_(std::launder(reinterpret_cast<T*>(memory_.bytes().data()))) {
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
}

}  // namespace figment::stress
