// SPDX-License-Identifier: MIT
#include "figment/queue.h"

#include "figment/error.h"
#include "sync_array.h"

namespace figment {

Queue Queue::create(DeviceFile file, std::uint32_t vm, const QueueConfig& config) {
  drm_figment_queue_create request = {};
  request.vm_id = vm;
  request.priority = config.priority;
  request.timeslice_ns = config.timeslice_ns;
  call(file->get(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, request);
  return Queue(Handle<queue_destroy>(std::move(file), request.id));
}

void Queue::submit(const Job& job) {
  const auto syncs = sync_array(job.wait, job.signal);
  drm_figment_submit request = {};
  request.queue_id = id();
  request.address = job.at.value;
  request.size = job.bytes;
  request.syncs = array_of(syncs);
  call(handle_.fd(), DRM_IOCTL_FIGMENT_SUBMIT, request);
}

Fence Queue::run(Job job) {
  Fence fence(Syncobj::create(handle_.file()));
  job.signal.push_back(fence.point());
  submit(job);
  return fence;
}

QueueState query_queue(const Handle<queue_destroy>& queue) {
  drm_figment_queue_query request = {};
  request.id = queue.number();
  call(queue.fd(), DRM_IOCTL_FIGMENT_QUEUE_QUERY, request);
  return {.jobs = request.jobs,
          .errors = request.errors,
          .last_error = -request.last_error,
          .last_code = request.last_code,
          .last_address = request.last_address};
}

}  // namespace figment
