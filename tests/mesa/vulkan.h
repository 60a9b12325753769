// SPDX-License-Identifier: MIT
//
// As much of Vulkan as it takes to copy words between buffers: the driver, memory that others have
// made, and semaphores that go out and come in as sync files. No shader, so that nothing has to be
// compiled on an emulated processor.
//
// The loader is opened at run time: what is linked with this runs where there is no Vulkan, to list
// its tests.
#pragma once

#include <vulkan/vulkan.h>

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "figment/handle.h"
#include "figment/types.h"

namespace figment::vulkan {

/// A call that did not end with VK_SUCCESS.
class Error : public std::runtime_error {
 public:
  Error(VkResult result, const std::string& call);

  [[nodiscard]] VkResult result() const { return result_; }

 private:
  VkResult result_;
};

/// VK_SUCCESS and the errors that tests are about, as their names in the header.
[[nodiscard]] std::string name(VkResult result);

/// What a device has made: Destroy takes it back.
template <typename Object, void (*Destroy)(VkDevice, Object)>
class Owned {
 public:
  Owned() = default;
  Owned(VkDevice device, Object object) : device_(device), object_(object) {}
  Owned(Owned&& other) noexcept
      : device_(other.device_), object_(std::exchange(other.object_, VK_NULL_HANDLE)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(object_, other.object_);
    return *this;
  }
  ~Owned() {
    if (object_ != VK_NULL_HANDLE) Destroy(device_, object_);
  }

  [[nodiscard]] Object get() const { return object_; }
  [[nodiscard]] VkDevice device() const { return device_; }

 private:
  VkDevice device_ = VK_NULL_HANDLE;
  Object object_ = VK_NULL_HANDLE;
};

void free_memory(VkDevice device, VkDeviceMemory memory);
void destroy_buffer(VkDevice device, VkBuffer buffer);
void destroy_semaphore(VkDevice device, VkSemaphore semaphore);
void destroy_pool(VkDevice device, VkCommandPool pool);
void destroy_fence(VkDevice device, VkFence fence);

/// A VkBuffer in memory of somebody else, all of it.
class Buffer {
 public:
  [[nodiscard]] VkBuffer get() const { return buffer_.get(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  friend class Device;
  Buffer(Owned<VkDeviceMemory, free_memory> memory, Owned<VkBuffer, destroy_buffer> buffer,
         std::uint64_t bytes)
      : memory_(std::move(memory)), buffer_(std::move(buffer)), bytes_(bytes) {}

  Owned<VkDeviceMemory, free_memory> memory_;
  Owned<VkBuffer, destroy_buffer> buffer_;
  std::uint64_t bytes_;
};

/// A binary semaphore. As a sync file it is used once: an import lasts until it was waited for, and
/// an export takes its signal away.
class Semaphore {
 public:
  [[nodiscard]] VkSemaphore get() const { return semaphore_.get(); }
  /// Owns the file if that is one; none: as if it had signalled.
  void import_sync_file(UniqueFd sync_file);
  /// For what signals it, which must have been submitted. None: it has signalled already.
  [[nodiscard]] std::optional<UniqueFd> export_sync_file();

 private:
  friend class Device;
  explicit Semaphore(Owned<VkSemaphore, destroy_semaphore> semaphore)
      : semaphore_(std::move(semaphore)) {}

  Owned<VkSemaphore, destroy_semaphore> semaphore_;
};

/// Commands that were submitted. The destructor waits for their end.
class Submission {
 public:
  Submission(Submission&&) noexcept = default;
  Submission& operator=(Submission&&) = delete;
  ~Submission();

  /// False: the deadline came first.
  [[nodiscard]] bool wait(Deadline deadline) const;

 private:
  friend class Device;
  Submission(Owned<VkCommandPool, destroy_pool> pool, Owned<VkFence, destroy_fence> fence)
      : pool_(std::move(pool)), fence_(std::move(fence)) {}

  Owned<VkCommandPool, destroy_pool> pool_;
  Owned<VkFence, destroy_fence> fence_;
};

/// The driver, and one queue of it. One at a time.
class Device {
 public:
  struct Copy {
    const Buffer& to;
    const Buffer& from;
    Semaphore* wait = nullptr;
    Semaphore* signal = nullptr;
  };
  struct Fill {
    const Buffer& to;
    std::uint32_t value = 0;
  };

  /// The first one of VK_DRIVER_FILES. std::runtime_error: there is none, or it lacks an extension.
  Device();
  Device(const Device&) = delete;
  ~Device();

  /// Name and version, in the driver's own words.
  [[nodiscard]] const std::string& driver() const { return driver_; }
  [[nodiscard]] VkDriverId driver_id() const { return driver_id_; }
  /// What a semaphore can be made of, and made to, if that is a sync file.
  [[nodiscard]] VkExternalSemaphoreFeatureFlags sync_file_features() const;
  /// The same of a buffer and a dma-buf.
  [[nodiscard]] VkExternalMemoryFeatureFlags dma_buf_features() const;

  /// The dma-buf is Vulkan's then, unless this throws.
  [[nodiscard]] Buffer import_dma_buf(UniqueFd dma_buf, std::uint64_t bytes) const;
  /// Whole pages of this process.
  [[nodiscard]] Buffer import_memory(std::span<std::byte> memory) const;
  [[nodiscard]] Semaphore semaphore() const;

  /// All words of one buffer to the other, which is as large.
  [[nodiscard]] Submission copy(const Copy& copy) const;
  /// One word, in all of a buffer, when all is over that was submitted before.
  [[nodiscard]] Submission fill(const Fill& fill) const;

 private:
  [[nodiscard]] Buffer import(const VkMemoryAllocateInfo& info,
                              VkExternalMemoryHandleTypeFlags type, std::uint64_t bytes) const;
  template <typename Record>
  [[nodiscard]] Submission submit(Semaphore* wait, Semaphore* signal, Record record) const;

  VkInstance instance_ = VK_NULL_HANDLE;
  VkPhysicalDevice physical_ = VK_NULL_HANDLE;
  VkDevice device_ = VK_NULL_HANDLE;
  VkQueue queue_ = VK_NULL_HANDLE;
  std::string driver_;
  VkDriverId driver_id_{};
};

}  // namespace figment::vulkan
