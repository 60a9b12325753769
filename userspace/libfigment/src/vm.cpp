// SPDX-License-Identifier: MIT
#include "figment/vm.h"

#include "figment/error.h"
#include "figment/queue.h"
#include "figment/user_queue.h"
#include "sync_array.h"

namespace figment {
namespace {

std::uint32_t flags_of(Access access) {
  return access == Access::read_only ? DRM_FIGMENT_BIND_READONLY : 0;
}

drm_figment_bind_op encode(const Map& map) {
  drm_figment_bind_op op = {};
  op.kind = DRM_FIGMENT_BIND_MAP;
  op.flags = flags_of(map.access);
  op.handle = map.buffer.handle();
  op.address = map.at.value;
  op.size = map.bytes ? map.bytes : map.buffer.bytes() - map.offset;
  op.offset = map.offset;
  return op;
}

drm_figment_bind_op encode(const MapUserptr& map) {
  drm_figment_bind_op op = {};
  op.kind = DRM_FIGMENT_BIND_MAP_USERPTR;
  op.flags = flags_of(map.access);
  op.address = map.at.value;
  op.size = map.memory.size();
  op.offset = reinterpret_cast<std::uint64_t>(map.memory.data());
  return op;
}

drm_figment_bind_op encode(const Unmap& unmap) {
  drm_figment_bind_op op = {};
  op.kind = DRM_FIGMENT_BIND_UNMAP;
  op.address = unmap.at.value;
  op.size = unmap.bytes;
  return op;
}

void bind_one(int fd, std::uint32_t vm, drm_figment_bind_op op) {
  drm_figment_vm_bind request = {};
  request.vm_id = vm;
  request.ops = {sizeof(op), 1, reinterpret_cast<std::uint64_t>(&op)};
  call(fd, DRM_IOCTL_FIGMENT_VM_BIND, request);
}

drm_figment_vm_place place_request(std::uint32_t vm, std::span<const std::byte> memory, Place place,
                                   std::uint32_t flags) {
  drm_figment_vm_place request = {};
  request.vm_id = vm;
  request.place = static_cast<std::uint32_t>(place);
  request.flags = flags;
  request.address = reinterpret_cast<std::uint64_t>(memory.data());
  request.size = memory.size();
  return request;
}

static_assert(static_cast<int>(Place::any) == DRM_FIGMENT_PLACE_ANY);
static_assert(static_cast<int>(Place::system) == DRM_FIGMENT_PLACE_SYSTEM);
static_assert(static_cast<int>(Place::vram) == DRM_FIGMENT_PLACE_VRAM);

}  // namespace

Userptr::Userptr(DeviceFile file, std::uint32_t vm, const MapUserptr& map)
    : file_(std::move(file)), vm_(vm), map_(map) {
  rebind();
}

void Userptr::rebind() {
  bind_one(file_->get(), vm_, encode(map_));
}

Userptr::~Userptr() {
  if (!file_) return;
  try {
    bind_one(file_->get(), vm_, encode(Unmap{.at = map_.at, .bytes = map_.memory.size()}));
  } catch (const std::exception&) {
    // The Vm has gone first, or the device has: either way nothing is mapped any more.
  }
}

Vm Vm::create(DeviceFile file, const VmConfig& config) {
  drm_figment_vm_create request = {};
  request.strategy = static_cast<std::uint32_t>(config.strategy);
  request.flags = config.svm ? DRM_FIGMENT_VM_SVM : 0;
  call(file->get(), DRM_IOCTL_FIGMENT_VM_CREATE, request);
  return Vm(Handle<vm_destroy>(std::move(file), request.id));
}

void Vm::bind(const BindRequest& bind) {
  std::vector<drm_figment_bind_op> ops;
  for (const auto& op : bind.ops) {
    ops.push_back(std::visit([](const auto& one) { return encode(one); }, op));
  }
  const auto syncs = sync_array(bind.wait, bind.signal);
  drm_figment_vm_bind request = {};
  request.vm_id = id();
  request.flags = bind.async || !syncs.empty() ? DRM_FIGMENT_VM_BIND_ASYNC : 0;
  request.ops = array_of(ops);
  request.syncs = array_of(syncs);
  call(handle_.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request);
}

std::uint64_t Vm::move(std::span<const std::byte> memory, Place place) {
  auto request = place_request(id(), memory, place, DRM_FIGMENT_VM_PLACE_MOVE);
  call(handle_.fd(), DRM_IOCTL_FIGMENT_VM_PLACE, request);
  return request.moved;
}

void Vm::prefer(std::span<const std::byte> memory, Place place) {
  auto request = place_request(id(), memory, place, DRM_FIGMENT_VM_PLACE_PREFER);
  call(handle_.fd(), DRM_IOCTL_FIGMENT_VM_PLACE, request);
}

Queue Vm::queue(const QueueConfig& config) {
  return Queue::create(handle_.file(), id(), config);
}
Queue Vm::queue() {
  return queue(QueueConfig{});
}

UserQueue Vm::user_queue(const UserQueueConfig& config) {
  std::optional<Buffer> ring;
  if (config.memory.empty()) {
    ring = Buffer::create(handle_.file(), {.bytes = config.ring_bytes + kPageBytes});
    map({.at = config.at, .buffer = *ring});
  }
  return UserQueue::create(handle_.file(), id(), config, std::move(ring));
}

}  // namespace figment
