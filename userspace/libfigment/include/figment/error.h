// SPDX-License-Identifier: MIT
//
// How libfigment fails: by std::system_error, with the errno of the kernel and a
// text that says which ioctl it was and, in words, with which arguments. The
// describe() functions make that text; they read the request as it was sent and
// never follow a pointer that the kernel may just have refused, with one
// exception: the arrays of VM_BIND, which libfigment itself has built.
#pragma once

#include <string>

#include "drm.h"
#include "figment_drm.h"

namespace figment {

std::string describe(const drm_figment_dev_query& request);
std::string describe(const drm_figment_bo_create& request);
std::string describe(const drm_figment_bo_mmap_offset& request);
std::string describe(const drm_figment_vm_create& request);
std::string describe(const drm_figment_vm_destroy& request);
std::string describe(const drm_figment_vm_bind& request);
std::string describe(const drm_figment_queue_create& request);
std::string describe(const drm_figment_queue_destroy& request);
std::string describe(const drm_figment_queue_query& request);
std::string describe(const drm_figment_submit& request);
std::string describe(const drm_figment_wait_user_fence& request);
std::string describe(const drm_figment_vm_place& request);
std::string describe(const drm_gem_close& request);
std::string describe(const drm_prime_handle& request);
std::string describe(const drm_syncobj_create& request);
std::string describe(const drm_syncobj_destroy& request);
std::string describe(const drm_syncobj_handle& request);
std::string describe(const drm_syncobj_array& request);
std::string describe(const drm_syncobj_timeline_array& request);
std::string describe(const drm_syncobj_timeline_wait& request);
std::string describe(const drm_syncobj_transfer& request);

/// Throws std::system_error: `doing`, a colon, and the text of `error` (an errno).
[[noreturn]] void fail(int error, const std::string& doing);

/// drmIoctl(): restarts after a signal. Returns zero or the errno.
[[nodiscard]] int ioctl_errno(int fd, unsigned long request, void* arguments);

/// One ioctl, or std::system_error.
template <typename Request>
void call(int fd, unsigned long number, Request& request) {
  if (const int error = ioctl_errno(fd, number, &request)) fail(error, describe(request));
}

}  // namespace figment
