// SPDX-License-Identifier: MIT
//
// A hostile user space: threads that call every ioctl of the driver, and the DRM core's about the
// same objects, with right, random, boundary and stale arguments, while others destroy what they
// use, change the memory below it, fork, and replace the device file.
//
// What a thread does follows from its seed alone; how threads meet does not.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <span>
#include <string>

#include "figment/types.h"

namespace figment::guest {

/// The kinds of operations, for counting.
enum class Op {
  dev_query,
  bo_create,
  bo_mmap,
  vm_create,
  vm_destroy,
  vm_bind,
  queue_create,
  queue_destroy,
  queue_query,
  submit,
  gem_close,
  syncobj,
  prime,
  user_memory,
  commands,
  fork_child,
  user_fence,
  reopen,
  count
};
constexpr auto kOps = static_cast<std::size_t>(Op::count);
[[nodiscard]] const char* name_of(Op op);

/// In memory that processes share.
struct Tally {
  std::array<std::atomic<std::uint64_t>, kOps> done;
  std::array<std::atomic<std::uint64_t>, kOps> refused;
  /// An errno that the uAPI does not give, with its kind of operation; 0: none.
  std::atomic<int> odd_error;
  std::atomic<int> odd_op;

  [[nodiscard]] std::uint64_t all() const;
};

/// What the threads of one process share.
class Stage {
 public:
  /// Opens the device.
  explicit Stage(Tally& tally);
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  /// `operations` of them. One thread each.
  void play(std::uint64_t seed, unsigned operations);

 private:
  friend class Player;
  static constexpr std::size_t kSlots = 12;
  using Pool = std::array<std::atomic<std::uint32_t>, kSlots>;

  Tally& tally_;
  const std::string path_;
  int fd_;  // one number, whatever file is behind it
  Pool buffers_{}, vms_{}, queues_{}, syncobjs_{};
  std::span<std::byte> memory_;  // of the user, for userptr
};

}  // namespace figment::guest
