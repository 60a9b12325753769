// SPDX-License-Identifier: MIT
#include "figment/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <format>

#include "figment/error.h"

namespace figment {

Mapping::~Mapping() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Buffer Buffer::create(DeviceFile file, const BufferConfig& config) {
  drm_figment_bo_create request = {};
  request.size = config.bytes;
  request.flags = config.placement == Placement::vram ? DRM_FIGMENT_BO_VRAM : 0;
  call(file->get(), DRM_IOCTL_FIGMENT_BO_CREATE, request);
  return Buffer(Handle<gem_close>(std::move(file), request.handle), request.size);
}

Mapping Buffer::map() const {
  drm_figment_bo_mmap_offset request = {};
  request.handle = handle();
  call(handle_.fd(), DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, request);
  void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, handle_.fd(),
                    static_cast<off_t>(request.offset));
  if (at == MAP_FAILED) {
    fail(errno, std::format("mmap of buffer {}, {} bytes", handle(), bytes_));
  }
  return Mapping({static_cast<std::byte*>(at), bytes_});
}

Mapping anonymous_memory(std::uint64_t bytes, std::uint64_t alignment) {
  // Ask for as much more as the alignment can need, and give the ends back.
  const std::uint64_t asked = bytes + alignment - kPageBytes;
  void* at = ::mmap(nullptr, asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail(errno, std::format("mmap of {} bytes of anonymous memory", asked));
  const auto first = reinterpret_cast<std::uint64_t>(at);
  const std::uint64_t head = (alignment - first % alignment) % alignment;
  const std::uint64_t tail = asked - head - bytes;
  auto* start = static_cast<std::byte*>(at) + head;
  if (head) ::munmap(at, head);
  if (tail) ::munmap(start + bytes, tail);
  return Mapping({start, bytes});
}

}  // namespace figment
