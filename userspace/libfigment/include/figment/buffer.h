// SPDX-License-Identifier: MIT
//
// Memory that the driver owns: a Buffer in system memory or VRAM, and Mapping, its
// view for the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "figment/handle.h"
#include "figment/types.h"

namespace figment {

struct BufferConfig {
  std::uint64_t bytes = kPageBytes;
  Placement placement = Placement::system;
};

/// CPU addresses of a buffer (or of anything that was mmap()ed); unmapped with its owner.
class Mapping {
 public:
  explicit Mapping(std::span<std::byte> bytes) : bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping();

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  /// The same memory as elements; what does not fill an element is left out.
  template <typename T>
  [[nodiscard]] std::span<T> as() const {
    return {reinterpret_cast<T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

 private:
  std::span<std::byte> bytes_;
};

class Buffer {
 public:
  /// As called by Device::buffer(). Contents are zero.
  static Buffer create(DeviceFile file, const BufferConfig& config);
  /// Memory of somebody else, of a dma-buf. One file has one handle for a dma-buf, however often it
  /// is imported: only one Buffer of it may live at a time.
  static Buffer import_dma_buf(DeviceFile file, const UniqueFd& dma_buf);

  /// The memory as a dma-buf, for another device or process, which keeps it.
  [[nodiscard]] UniqueFd export_dma_buf() const;

  [[nodiscard]] std::uint32_t handle() const { return handle_.number(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// Not of one that was imported: whose memory it is knows how to map it.
  [[nodiscard]] Mapping map() const;

 private:
  Buffer(Handle<gem_close> handle, std::uint64_t bytes)
      : handle_(std::move(handle)), bytes_(bytes) {}

  Handle<gem_close> handle_;
  std::uint64_t bytes_;
};

/// All of a file that can be mapped, as a memfd or a dma-buf.
[[nodiscard]] Mapping map_file(const UniqueFd& file);

/// Zeroed anonymous memory of this process, at an address that is a multiple of
/// `alignment` (a power of two, at least a page). Not a GPU object: what a userptr
/// is made of.
[[nodiscard]] Mapping anonymous_memory(std::uint64_t bytes, std::uint64_t alignment = kPageBytes);

}  // namespace figment
