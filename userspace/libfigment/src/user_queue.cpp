// SPDX-License-Identifier: MIT
#include "figment/user_queue.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <format>
#include <stdexcept>
#include <thread>

#include "figment/error.h"

namespace figment {
namespace {

Mapping map_page(int fd, std::uint64_t offset, int protection) {
  void* at = ::mmap(nullptr, kPageBytes, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) fail(errno, std::format("mmap of a user queue at offset {:#x}", offset));
  return Mapping({static_cast<std::byte*>(at), kPageBytes});
}

}  // namespace

UserQueue UserQueue::create(DeviceFile file, std::uint32_t vm, const UserQueueConfig& config,
                            std::optional<Buffer> ring) {
  std::optional<Mapping> view;
  UserQueueConfig with_memory = config;
  if (ring) {
    view = ring->map();
    with_memory.memory = view->bytes();
  }
  if (with_memory.memory.size() < config.ring_bytes + kPageBytes) {
    throw std::length_error("a user queue needs a page more than its ring");
  }
  drm_figment_queue_create request = {};
  request.vm_id = vm;
  request.priority = config.priority;
  request.flags = DRM_FIGMENT_QUEUE_USER;
  request.timeslice_ns = config.timeslice_ns;
  request.ring_address = config.at.value;
  request.ring_size = config.ring_bytes;
  call(file->get(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, request);
  return UserQueue(Handle<queue_destroy>(std::move(file), request.id), request.mmap_offset,
                   with_memory, std::move(ring), std::move(view));
}

UserQueue::UserQueue(Handle<queue_destroy> handle, std::uint64_t offset,
                     const UserQueueConfig& config, std::optional<Buffer> buffer,
                     std::optional<Mapping> view)
    : handle_(std::move(handle)),
      buffer_(std::move(buffer)),
      view_(std::move(view)),
      ring_(reinterpret_cast<std::uint64_t*>(config.memory.data()),
            config.ring_bytes / sizeof(std::uint64_t)),
      number_(ring_.data() + ring_.size()),
      number_at_(config.at + config.ring_bytes),
      doorbell_(
          map_page(handle_.fd(), offset + DRM_FIGMENT_USER_QUEUE_DOORBELL, PROT_READ | PROT_WRITE)),
      index_(map_page(handle_.fd(), offset + DRM_FIGMENT_USER_QUEUE_INDEX, PROT_READ | PROT_WRITE)),
      status_(map_page(handle_.fd(), offset + DRM_FIGMENT_USER_QUEUE_STATUS, PROT_READ)) {}

volatile std::uint64_t& UserQueue::doorbell() const {
  return doorbell_.as<volatile std::uint64_t>()[0];
}

drm_figment_user_queue_index& UserQueue::index() const {
  return index_.as<drm_figment_user_queue_index>()[0];
}

std::uint64_t UserQueue::read() const {
  const auto* status =
      reinterpret_cast<const drm_figment_user_queue_status*>(status_.bytes().data());
  return __atomic_load_n(&status->read, __ATOMIC_ACQUIRE);
}

bool UserQueue::has_room(std::uint64_t bytes) const {
  return written_ + bytes - read() <= ring_.size_bytes();
}

void UserQueue::wait_for_room(std::uint64_t bytes) const {
  // Most jobs are short, and the device says nothing when it has read one.
  constexpr unsigned kLooks = 100;
  constexpr unsigned kLooksPerQuery = 100;
  for (unsigned look = 0; !has_room(bytes); ++look) {
    if (look < kLooks) {
      std::this_thread::yield();
      continue;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    if (look % kLooksPerQuery) continue;
    const QueueState state = query();
    if (state.errors) fail(state.last_error, std::format("user queue {}", id()));
  }
}

void UserQueue::put(std::span<const std::uint64_t> words) {
  for (const std::uint64_t word : words) {
    ring_[written_ / sizeof(word) % ring_.size()] = word;
    written_ += sizeof(word);
  }
}

void UserQueue::ring() {
  // In this order: the driver goes by the index when the device does not hear the doorbell.
  __atomic_store_n(&index().write, written_, __ATOMIC_RELEASE);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  doorbell() = written_;
}

std::uint64_t UserQueue::submit(const CommandList& list, Tell tell) {
  CommandList end;
  end.release({.at = number_at_, .value = submitted_ + 1, .event = tell == Tell::at_once});
  const std::uint64_t bytes = list.bytes() + end.bytes();
  if (bytes > ring_.size_bytes()) {
    throw std::length_error(
        std::format("{} bytes of packets for a ring of {}", bytes, ring_.size_bytes()));
  }
  wait_for_room(bytes);
  put(list.words());
  put(end.words());
  ring();
  return ++submitted_;
}

WaitEnd UserQueue::wait(std::uint64_t number, Deadline deadline) const {
  return figment::wait(handle_.fd(), UserFence{.word = number_, .reference = number},
                       QueueErrors{.queue = id(), .errors = 0}, deadline);
}

bool UserQueue::is_done(std::uint64_t number) const {
  return __atomic_load_n(number_, __ATOMIC_ACQUIRE) >= number;
}

}  // namespace figment
