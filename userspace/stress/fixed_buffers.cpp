// SPDX-License-Identifier: MIT
#include "fixed_buffers.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <stdexcept>

#include "figment/error.h"
#include "page_kind.h"

namespace figment::stress {
namespace {

constexpr std::uint32_t kDepth = 64;

Mapping map(int ring, std::uint64_t bytes, off_t what) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, what);
  if (at == MAP_FAILED) fail(errno, "mmap of an io_uring");
  return Mapping({static_cast<std::byte*>(at), bytes});
}

}  // namespace

template <typename T>
T& FixedBuffers::at(std::uint32_t offset) const {
  return *reinterpret_cast<T*>(rings_.bytes().data() + offset);
}

FixedBuffers::FixedBuffers(std::span<std::byte> memory) : rings_({}), entries_({}) {
  io_uring_params set = {};
  ring_ = UniqueFd(static_cast<int>(::syscall(SYS_io_uring_setup, kDepth, &set)));
  if (!ring_) {
    if (errno == ENOSYS || errno == EPERM) throw Lacks("this kernel has no io_uring");
    fail(errno, "io_uring_setup");
  }
  if (!(set.features & IORING_FEAT_SINGLE_MMAP)) throw Lacks("this io_uring has two mappings");
  rings_ = map(ring_.get(),
               std::max<std::uint64_t>(set.sq_off.array + set.sq_entries * sizeof(std::uint32_t),
                                       set.cq_off.cqes + set.cq_entries * sizeof(io_uring_cqe)),
               IORING_OFF_SQ_RING);
  entries_ = map(ring_.get(), set.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
  depth_ = set.sq_entries;
  sq_tail_ = set.sq_off.tail;
  sq_array_ = set.sq_off.array;
  cq_head_ = set.cq_off.head;
  cq_tail_ = set.cq_off.tail;
  cqes_ = set.cq_off.cqes;
  mask_ = at<std::uint32_t>(set.sq_off.ring_mask);
  cq_mask_ = at<std::uint32_t>(set.cq_off.ring_mask);
  const iovec all = {memory.data(), memory.size()};
  if (::syscall(SYS_io_uring_register, ring_.get(), IORING_REGISTER_BUFFERS, &all, 1) != 0) {
    fail(errno, "IORING_REGISTER_BUFFERS");
  }
}

void FixedBuffers::add(const Request& request) {
  if (pending_ == depth_) finish();
  const std::uint32_t tail = at<std::uint32_t>(sq_tail_);
  const std::uint32_t index = tail & mask_;
  io_uring_sqe& entry = entries_.as<io_uring_sqe>()[index];
  entry = {};
  entry.opcode = request.move == Move::from_file ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
  entry.fd = request.file;
  entry.off = request.offset;
  entry.addr = reinterpret_cast<std::uint64_t>(request.memory.data());
  entry.len = static_cast<std::uint32_t>(request.memory.size());
  entry.user_data = request.memory.size();
  (&at<std::uint32_t>(sq_array_))[index] = index;
  std::atomic_ref(at<std::uint32_t>(sq_tail_)).store(tail + 1, std::memory_order_release);
  ++pending_;
}

void FixedBuffers::finish() {
  while (pending_ > 0) {
    const long taken = ::syscall(SYS_io_uring_enter, ring_.get(), pending_, pending_,
                                 IORING_ENTER_GETEVENTS, nullptr, 0);
    if (taken < 0) fail(errno, "io_uring_enter");
    std::uint32_t head = at<std::uint32_t>(cq_head_);
    const std::uint32_t tail =
        std::atomic_ref(at<std::uint32_t>(cq_tail_)).load(std::memory_order_acquire);
    for (; head != tail; ++head, --pending_) {
      const io_uring_cqe& end = (&at<io_uring_cqe>(cqes_))[head & cq_mask_];
      if (end.res < 0) fail(-end.res, "a read or write of a fixed buffer");
      if (static_cast<std::uint64_t>(end.res) != end.user_data) {
        throw std::runtime_error("a short read or write of a fixed buffer");
      }
    }
    std::atomic_ref(at<std::uint32_t>(cq_head_)).store(head, std::memory_order_release);
  }
}

}  // namespace figment::stress
