// SPDX-License-Identifier: MIT
#include "figment/handle.h"

#include <unistd.h>

#include "figment/error.h"

namespace figment {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

void gem_close(int fd, std::uint32_t number) noexcept {
  drm_gem_close request = {.handle = number, .pad = 0};
  std::ignore = ioctl_errno(fd, DRM_IOCTL_GEM_CLOSE, &request);
}

void syncobj_destroy(int fd, std::uint32_t number) noexcept {
  drm_syncobj_destroy request = {.handle = number, .pad = 0};
  std::ignore = ioctl_errno(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &request);
}

void vm_destroy(int fd, std::uint32_t number) noexcept {
  drm_figment_vm_destroy request = {.id = number, .pad = 0};
  std::ignore = ioctl_errno(fd, DRM_IOCTL_FIGMENT_VM_DESTROY, &request);
}

void queue_destroy(int fd, std::uint32_t number) noexcept {
  drm_figment_queue_destroy request = {.id = number, .pad = 0};
  std::ignore = ioctl_errno(fd, DRM_IOCTL_FIGMENT_QUEUE_DESTROY, &request);
}

}  // namespace figment
