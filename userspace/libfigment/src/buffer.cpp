// SPDX-License-Identifier: MIT
#include "figment/buffer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <format>

#include "figment/error.h"

namespace figment {
namespace {

std::uint64_t file_bytes(const UniqueFd& file) {
  const off_t end = ::lseek(file.get(), 0, SEEK_END);
  if (end < 0) fail(errno, "lseek to the end of a file with memory");
  return static_cast<std::uint64_t>(end);
}

}  // namespace

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

Buffer Buffer::import_dma_buf(DeviceFile file, const UniqueFd& dma_buf) {
  drm_prime_handle request = {};
  request.fd = dma_buf.get();
  call(file->get(), DRM_IOCTL_PRIME_FD_TO_HANDLE, request);
  return Buffer(Handle<gem_close>(std::move(file), request.handle), file_bytes(dma_buf));
}

UniqueFd Buffer::export_dma_buf() const {
  drm_prime_handle request = {};
  request.handle = handle();
  request.flags = DRM_CLOEXEC | DRM_RDWR;
  request.fd = -1;
  call(handle_.fd(), DRM_IOCTL_PRIME_HANDLE_TO_FD, request);
  return UniqueFd(request.fd);
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

Mapping map_file(const UniqueFd& file) {
  const std::uint64_t bytes = file_bytes(file);
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) fail(errno, std::format("mmap of a file with {} bytes of memory", bytes));
  return Mapping({static_cast<std::byte*>(at), bytes});
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
