// SPDX-License-Identifier: MIT
//
// Requests in words.
#include "figment/error.h"

#include <xf86drm.h>

#include <array>
#include <cerrno>
#include <format>
#include <string_view>
#include <system_error>

#include "figment/strategy.h"

namespace figment {
namespace {

/// The first operations of a long VM_BIND say what it was about.
constexpr unsigned kOpsInWords = 4;

std::string plural(std::uint64_t n, std::string_view noun) {
  return std::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

std::string in_words(const drm_figment_bind_op& op) {
  const std::string_view access = op.flags & DRM_FIGMENT_BIND_READONLY ? " read-only" : "";
  switch (op.kind) {
    case DRM_FIGMENT_BIND_MAP:
      return std::format("map {:#x} bytes of buffer {} from {:#x} at GPU address {:#x}{}", op.size,
                         op.handle, op.offset, op.address, access);
    case DRM_FIGMENT_BIND_MAP_USERPTR:
      return std::format("map {:#x} bytes of process memory {:#x} at GPU address {:#x}{}", op.size,
                         op.offset, op.address, access);
    case DRM_FIGMENT_BIND_UNMAP:
      return std::format("unmap {:#x} bytes at GPU address {:#x}", op.size, op.address);
  }
  return std::format("operation of unknown kind {}", op.kind);
}

}  // namespace

std::string describe(const drm_figment_dev_query& request) {
  return std::format("DEV_QUERY of type {} into {}", request.type, plural(request.size, "byte"));
}

std::string describe(const drm_figment_bo_create& request) {
  return std::format("BO_CREATE of {} in {}", plural(request.size, "byte"),
                     request.flags & DRM_FIGMENT_BO_VRAM ? "VRAM" : "system memory");
}

std::string describe(const drm_figment_bo_mmap_offset& request) {
  return std::format("BO_MMAP_OFFSET of buffer {}", request.handle);
}

std::string describe(const drm_figment_vm_create& request) {
  for (const auto& entry : kStrategies) {
    if (static_cast<std::uint32_t>(entry.strategy) == request.strategy) {
      return std::format("VM_CREATE with strategy {}{}", entry.name,
                         request.flags & DRM_FIGMENT_VM_SVM ? ", shared virtual memory" : "");
    }
  }
  return std::format("VM_CREATE with unknown strategy {}", request.strategy);
}

std::string describe(const drm_figment_vm_destroy& request) {
  return std::format("VM_DESTROY of vm {}", request.id);
}

std::string describe(const drm_figment_vm_bind& request) {
  std::string text =
      std::format("VM_BIND in vm {}, {}", request.vm_id,
                  request.flags & DRM_FIGMENT_VM_BIND_ASYNC ? "asynchronous" : "synchronous");
  if (request.ops.stride == sizeof(drm_figment_bind_op) && request.ops.array) {
    const auto* ops = reinterpret_cast<const drm_figment_bind_op*>(request.ops.array);
    for (unsigned n = 0; n < request.ops.count && n < kOpsInWords; ++n) {
      text += (n ? "; " : ": ") + in_words(ops[n]);
    }
    if (request.ops.count > kOpsInWords) {
      text += std::format("; and {} more", request.ops.count - kOpsInWords);
    }
  }
  if (request.syncs.count) text += std::format(" ({})", plural(request.syncs.count, "sync"));
  return text;
}

std::string describe(const drm_figment_queue_create& request) {
  std::string text = std::format("QUEUE_CREATE in vm {} with priority {} and timeslice {} ns",
                                 request.vm_id, request.priority, request.timeslice_ns);
  if (request.flags & DRM_FIGMENT_QUEUE_USER) {
    text += std::format(" for its process, with a ring of {} bytes at {:#x}", request.ring_size,
                        request.ring_address);
  }
  return text;
}

std::string describe(const drm_figment_queue_destroy& request) {
  return std::format("QUEUE_DESTROY of queue {}", request.id);
}

std::string describe(const drm_figment_queue_query& request) {
  return std::format("QUEUE_QUERY of queue {}", request.id);
}

std::string describe(const drm_figment_submit& request) {
  return std::format("SUBMIT to queue {} of {} at GPU address {:#x} ({})", request.queue_id,
                     plural(request.size, "byte"), request.address,
                     plural(request.syncs.count, "sync"));
}

std::string describe(const drm_figment_wait_user_fence& request) {
  static constexpr std::array kSigns = {"=", "!=", "<", "<=", ">", ">="};
  std::string text = std::format(
      "WAIT_USER_FENCE until the word at {:#x}{} is {} {:#x}", request.address,
      ~request.mask ? std::format(", masked with {:#x},", request.mask) : "",
      request.compare < kSigns.size() ? kSigns[request.compare] : "?", request.reference);
  if (request.queue_id || request.errors) {
    text +=
        std::format(", while queue {} has {}", request.queue_id, plural(request.errors, "error"));
  }
  return text;
}

std::string describe(const drm_figment_vm_place& request) {
  static constexpr std::array kPlaces = {"anywhere", "in system memory", "in VRAM"};
  return std::format("VM_PLACE in vm {} of {:#x} bytes at {:#x}: {}{}{}", request.vm_id,
                     request.size, request.address,
                     request.place < kPlaces.size() ? kPlaces[request.place] : "?",
                     request.flags & DRM_FIGMENT_VM_PLACE_PREFER ? ", from now on" : "",
                     request.flags & DRM_FIGMENT_VM_PLACE_MOVE ? ", now" : "");
}

std::string describe(const drm_gem_close& request) {
  return std::format("GEM_CLOSE of buffer {}", request.handle);
}

std::string describe(const drm_syncobj_create& request) {
  return std::format("SYNCOBJ_CREATE{}",
                     request.flags & DRM_SYNCOBJ_CREATE_SIGNALED ? ", signalled" : "");
}

std::string describe(const drm_syncobj_destroy& request) {
  return std::format("SYNCOBJ_DESTROY of syncobj {}", request.handle);
}

std::string describe(const drm_prime_handle& request) {
  return std::format("exchange of buffer {} with dma-buf {}", request.handle, request.fd);
}

std::string describe(const drm_syncobj_handle& request) {
  return std::format("exchange of syncobj {} with file {}{}", request.handle, request.fd,
                     request.flags ? ", as a sync file" : "");
}

std::string describe(const drm_syncobj_array& request) {
  return std::format("signal or reset of {}", plural(request.count_handles, "syncobj"));
}

std::string describe(const drm_syncobj_timeline_array& request) {
  return std::format("signal or query of {}", plural(request.count_handles, "timeline"));
}

std::string describe(const drm_syncobj_timeline_wait& request) {
  return std::format("SYNCOBJ_TIMELINE_WAIT for {} of {}",
                     request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL ? "all" : "any",
                     plural(request.count_handles, "point"));
}

std::string describe(const drm_syncobj_transfer& request) {
  return std::format("SYNCOBJ_TRANSFER from syncobj {} point {} to syncobj {} point {}",
                     request.src_handle, request.src_point, request.dst_handle, request.dst_point);
}

void fail(int error, const std::string& doing) {
  throw std::system_error(error, std::generic_category(), doing);
}

int ioctl_errno(int fd, unsigned long request, void* arguments) {
  return drmIoctl(fd, request, arguments) == 0 ? 0 : errno;
}

}  // namespace figment
