// SPDX-License-Identifier: MIT
//
// A queue without calls: packets are written to a ring in memory of this process, and the doorbell
// of the device is rung by a store. In long-running VMs. The kernel keeps its hands on the rest;
// what it promises is in figment_drm.h, "User queues".
//
//   UserQueue queue = vm.user_queue({.at = GpuVa{0x100000}});
//   const auto number = queue.submit(list);
//   if (queue.wait(number, after(1s)) != WaitEnd::holds) ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "figment/buffer.h"
#include "figment/command_list.h"
#include "figment/handle.h"
#include "figment/queue.h"
#include "figment/sync.h"
#include "figment/types.h"
#include "figment_drm.h"

namespace figment {

struct UserQueueConfig {
  /// Where the ring is for the GPU; a page behind it is for the numbers of submissions.
  GpuVa at;
  std::uint64_t ring_bytes = 64_KiB;  // a power of two, 4 KiB to 4 MiB
  /// Memory that the caller has mapped at `at`: the ring and that page. Empty: a buffer is made,
  /// and mapped there; it stays so until somebody unmaps it, or the Vm is gone.
  std::span<std::byte> memory = {};
  std::uint32_t priority = 0;
  std::uint64_t timeslice_ns = 0;
};

class UserQueue {
 public:
  /// As called by Vm::user_queue(). `ring`: the buffer that memory is of, if it is not the
  /// caller's.
  static UserQueue create(DeviceFile file, std::uint32_t vm, const UserQueueConfig& config,
                          std::optional<Buffer> ring);

  [[nodiscard]] std::uint32_t id() const { return handle_.number(); }
  /// One error is the end of the queue.
  [[nodiscard]] QueueState query() const { return query_queue(handle_); }

  /// How a submission tells of its end: waiters in the kernel notice at once, or in 100 ms.
  enum class Tell { at_once, by_the_way };
  /// Writes `list`, and behind it a RELEASE of the number that is returned: 1, 2, ... Waits for
  /// room in the ring. std::length_error: it never has as much; std::system_error: the queue has
  /// ended.
  std::uint64_t submit(const CommandList& list, Tell tell = Tell::at_once);
  /// Until what submit() has given that number is done, and can be seen.
  [[nodiscard]] WaitEnd wait(std::uint64_t number, Deadline deadline) const;
  [[nodiscard]] bool is_done(std::uint64_t number) const;

  /// What submit() works with, for whoever does the same by hand.
  [[nodiscard]] volatile std::uint64_t& doorbell() const;
  [[nodiscard]] drm_figment_user_queue_index& index() const;
  [[nodiscard]] std::uint64_t read() const;
  [[nodiscard]] std::uint64_t written() const { return written_; }

 private:
  UserQueue(Handle<queue_destroy> handle, std::uint64_t offset, const UserQueueConfig& config,
            std::optional<Buffer> buffer, std::optional<Mapping> view);

  [[nodiscard]] bool has_room(std::uint64_t bytes) const;
  void wait_for_room(std::uint64_t bytes) const;
  void put(std::span<const std::uint64_t> words);
  void ring();

  Handle<queue_destroy> handle_;
  std::optional<Buffer> buffer_;
  std::optional<Mapping> view_;
  std::span<std::uint64_t> ring_;
  std::uint64_t* number_;  // the last one that is done
  GpuVa number_at_;
  Mapping doorbell_;
  Mapping index_;
  Mapping status_;
  std::uint64_t written_ = 0;  // bytes, free-running
  std::uint64_t submitted_ = 0;
};

}  // namespace figment
