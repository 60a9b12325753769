// SPDX-License-Identifier: MIT
#include "figment/sync.h"

#include <linux/sync_file.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "figment/error.h"

namespace figment {
namespace {

/// The kernel takes absolute nanoseconds of CLOCK_MONOTONIC, which is what
/// std::chrono::steady_clock counts here.
std::int64_t kernel_time(Deadline deadline) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
}

template <typename T>
std::uint64_t user_pointer(T* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

// The uAPI compares as the device does.
static_assert(FIGMENT_WAIT_EQ == DRM_FIGMENT_COMPARE_EQ &&
              FIGMENT_WAIT_NE == DRM_FIGMENT_COMPARE_NE &&
              FIGMENT_WAIT_LT == DRM_FIGMENT_COMPARE_LT &&
              FIGMENT_WAIT_LE == DRM_FIGMENT_COMPARE_LE &&
              FIGMENT_WAIT_GT == DRM_FIGMENT_COMPARE_GT &&
              FIGMENT_WAIT_GE == DRM_FIGMENT_COMPARE_GE);

}  // namespace

bool wait(int fd, std::span<const SyncPoint> points, Deadline deadline, WaitFor mode) {
  std::vector<std::uint32_t> handles;
  std::vector<std::uint64_t> values;
  for (const auto& point : points) {
    handles.push_back(point.handle);
    values.push_back(point.value.value_or(0));
  }
  drm_syncobj_timeline_wait request = {};
  request.handles = user_pointer(handles.data());
  request.points = user_pointer(values.data());
  request.timeout_nsec = kernel_time(deadline);
  request.count_handles = static_cast<std::uint32_t>(points.size());
  request.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
  if (mode == WaitFor::all) request.flags |= DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL;
  const int error = ioctl_errno(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &request);
  if (error == ETIME) return false;
  if (error) fail(error, describe(request));
  return true;
}

WaitEnd wait(int fd, const UserFence& fence, const QueueErrors& before, Deadline deadline) {
  drm_figment_wait_user_fence request = {};
  request.address = user_pointer(fence.word);
  request.reference = fence.reference;
  request.mask = fence.mask;
  request.compare = static_cast<std::uint32_t>(fence.compare);
  request.deadline_ns = kernel_time(deadline);
  request.queue_id = before.queue;
  request.errors = before.errors;
  const int error = ioctl_errno(fd, DRM_IOCTL_FIGMENT_WAIT_USER_FENCE, &request);
  if (error == ETIME) return WaitEnd::deadline;
  if (error == ECANCELED && before.queue) return WaitEnd::job_failed;
  if (error) fail(error, describe(request));
  return WaitEnd::holds;
}

bool wait(int fd, const UserFence& fence, Deadline deadline) {
  return wait(fd, fence, QueueErrors{}, deadline) == WaitEnd::holds;
}

std::optional<int> sync_file_result(const UniqueFd& sync_file) {
  constexpr std::uint32_t kFences = 64;
  std::vector<sync_fence_info> fences(kFences);
  sync_file_info info = {};
  info.num_fences = kFences;
  info.sync_fence_info = user_pointer(fences.data());
  if (const int error = ioctl_errno(sync_file.get(), SYNC_IOC_FILE_INFO, &info)) {
    fail(error, "SYNC_IOC_FILE_INFO");
  }
  // The status of the file alone would hide an error behind a pending fence.
  for (std::uint32_t n = 0; n < std::min(info.num_fences, kFences); ++n) {
    if (fences[n].status < 0) return -fences[n].status;
  }
  if (info.status < 0) return -info.status;
  if (info.status == 0) return std::nullopt;
  return 0;
}

Syncobj Syncobj::create(DeviceFile file, bool signalled) {
  drm_syncobj_create request = {};
  request.flags = signalled ? DRM_SYNCOBJ_CREATE_SIGNALED : 0;
  call(file->get(), DRM_IOCTL_SYNCOBJ_CREATE, request);
  return Syncobj(Handle<syncobj_destroy>(std::move(file), request.handle));
}

bool Syncobj::wait(Deadline deadline) const {
  const SyncPoint points[] = {binary()};
  return figment::wait(handle_.fd(), points, deadline);
}

bool Syncobj::wait(std::uint64_t value, Deadline deadline) const {
  const SyncPoint points[] = {at(value)};
  return figment::wait(handle_.fd(), points, deadline);
}

std::uint64_t Syncobj::query() const {
  std::uint32_t handle = this->handle();
  std::uint64_t value = 0;
  drm_syncobj_timeline_array request = {};
  request.handles = user_pointer(&handle);
  request.points = user_pointer(&value);
  request.count_handles = 1;
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_QUERY, request);
  return value;
}

void Syncobj::signal() {
  std::uint32_t handle = this->handle();
  drm_syncobj_array request = {};
  request.handles = user_pointer(&handle);
  request.count_handles = 1;
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_SIGNAL, request);
}

void Syncobj::signal(std::uint64_t value) {
  std::uint32_t handle = this->handle();
  drm_syncobj_timeline_array request = {};
  request.handles = user_pointer(&handle);
  request.points = user_pointer(&value);
  request.count_handles = 1;
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, request);
}

void Syncobj::reset() {
  std::uint32_t handle = this->handle();
  drm_syncobj_array request = {};
  request.handles = user_pointer(&handle);
  request.count_handles = 1;
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_RESET, request);
}

UniqueFd Syncobj::export_sync_file() const {
  drm_syncobj_handle request = {};
  request.handle = handle();
  request.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE;
  request.fd = -1;
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, request);
  return UniqueFd(request.fd);
}

UniqueFd Syncobj::export_sync_file(std::uint64_t value) const {
  const Syncobj binary = create(handle_.file());
  drm_syncobj_transfer request = {};
  request.src_handle = handle();
  request.src_point = value;
  request.dst_handle = binary.handle();
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_TRANSFER, request);
  return binary.export_sync_file();
}

void Syncobj::import_sync_file(const UniqueFd& sync_file) {
  drm_syncobj_handle request = {};
  request.handle = handle();
  request.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE;
  request.fd = sync_file.get();
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, request);
}

UniqueFd Syncobj::export_file() const {
  drm_syncobj_handle request = {};
  request.handle = handle();
  request.fd = -1;
  call(handle_.fd(), DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, request);
  return UniqueFd(request.fd);
}

Syncobj Syncobj::import_file(DeviceFile file, const UniqueFd& syncobj_file) {
  drm_syncobj_handle request = {};
  request.fd = syncobj_file.get();
  call(file->get(), DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, request);
  return Syncobj(Handle<syncobj_destroy>(std::move(file), request.handle));
}

std::optional<int> Fence::result() const {
  return sync_file_result(sync_file());
}

}  // namespace figment
