// SPDX-License-Identifier: MIT
//
// A GPU address space, what is mapped in it, and the queues that work in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "figment/buffer.h"
#include "figment/handle.h"
#include "figment/strategy.h"
#include "figment/sync.h"
#include "figment/types.h"

namespace figment {

class Queue;
struct QueueConfig;
class UserQueue;
struct UserQueueConfig;

struct VmConfig {
  Strategy strategy = Strategy::fence;
  /// Shared virtual memory: where nothing is bound, an address of the GPU is that address of this
  /// process. With Strategy::fault only.
  bool svm = false;
};

/// A range of a buffer, over whatever is mapped there.
struct Map {
  GpuVa at;
  const Buffer& buffer;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // zero: from offset to the end of the buffer
  Access access = Access::read_write;
};

/// Memory of this process, whole pages.
struct MapUserptr {
  GpuVa at;
  std::span<std::byte> memory;
  Access access = Access::read_write;
};

struct Unmap {
  GpuVa at;
  std::uint64_t bytes = 0;
};

using BindOp = std::variant<Map, MapUserptr, Unmap>;

/// Where memory of a process can be: drm_figment_place.
enum class Place { any, system, vram };

struct BindRequest {
  std::vector<BindOp> ops;
  /// Asynchronous binds only. A request with a sync is asynchronous by itself.
  std::vector<SyncPoint> wait;
  std::vector<SyncPoint> signal;
  bool async = false;
};

/// Memory of this process that stays mapped while this object lives. The Vm may be
/// destroyed first; the memory must not be given back first, unless that is the point.
class Userptr {
 public:
  Userptr(DeviceFile file, std::uint32_t vm, const MapUserptr& map);
  Userptr(Userptr&& other) noexcept = default;
  Userptr& operator=(Userptr&&) = delete;
  ~Userptr();

  [[nodiscard]] GpuVa at() const { return map_.at; }
  [[nodiscard]] std::span<std::byte> memory() const { return map_.memory; }
  /// Maps the same range again: with the pages that are there now.
  void rebind();

 private:
  DeviceFile file_;
  std::uint32_t vm_;
  MapUserptr map_;
};

class Vm {
 public:
  /// As called by Device::vm().
  static Vm create(DeviceFile file, const VmConfig& config);

  [[nodiscard]] std::uint32_t id() const { return handle_.number(); }

  void bind(const BindRequest& request);
  /// Each of these is one synchronous operation.
  void map(const Map& map) { bind({.ops = {map}}); }
  void map_userptr(const MapUserptr& map) { bind({.ops = {map}}); }
  void unmap(const Unmap& unmap) { bind({.ops = {unmap}}); }

  [[nodiscard]] Userptr userptr(const MapUserptr& map) {
    return Userptr(handle_.file(), id(), map);
  }
  /// For a VM with shared virtual memory, and whole pages of this process. Moves what can be moved
  /// now: returns how many bytes of `memory` are at `place`.
  std::uint64_t move(std::span<const std::byte> memory, Place place);
  /// Where faults of the device shall move it from now on.
  void prefer(std::span<const std::byte> memory, Place place);

  [[nodiscard]] Queue queue(const QueueConfig& config);
  [[nodiscard]] Queue queue();
  /// In a long-running VM.
  [[nodiscard]] UserQueue user_queue(const UserQueueConfig& config);

 private:
  explicit Vm(Handle<vm_destroy> handle) : handle_(std::move(handle)) {}

  Handle<vm_destroy> handle_;
};

}  // namespace figment
