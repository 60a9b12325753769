// SPDX-License-Identifier: MIT
#include "vulkan.h"

#include <dlfcn.h>

#include <array>
#include <chrono>
#include <format>
#include <utility>

namespace figment::vulkan {
namespace {

constexpr std::array kExtensions = {
    VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
    VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
    VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME};

/// Every driver has one of each, and Mesa's software driver no other.
constexpr std::uint32_t kQueueFamily = 0;
constexpr std::uint32_t kMemoryType = 0;

PFN_vkGetInstanceProcAddr loader() {
  static const auto function = [] {
    void* library = ::dlopen("libvulkan.so.1", RTLD_NOW);
    if (!library) throw std::runtime_error(::dlerror());
    return reinterpret_cast<PFN_vkGetInstanceProcAddr>(::dlsym(library, "vkGetInstanceProcAddr"));
  }();
  return function;
}

void check(VkResult result, const char* call) {
  if (result != VK_SUCCESS) throw Error(result, call);
}

VkInstance the_instance = VK_NULL_HANDLE;

/// A function of the header, by its type and name, as the driver has it.
template <typename Function>
Function look_up(const char* name) {
  const auto function = reinterpret_cast<Function>(loader()(the_instance, name));
  if (!function) throw std::runtime_error(std::format("the driver has no {}", name));
  return function;
}
#define VULKAN(name) look_up<PFN_##name>(#name)
/// The call itself, with its name in what is thrown.
#define CHECKED(name, ...) check(VULKAN(name)(__VA_ARGS__), #name)

std::uint64_t nanoseconds_until(Deadline deadline) {
  const auto left = deadline - Clock::now();
  return left.count() > 0 ? static_cast<std::uint64_t>(
                                std::chrono::duration_cast<std::chrono::nanoseconds>(left).count())
                          : 0;
}

VkInstance create_instance() {
  const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                         .pApplicationName = "figment-mesa-tests",
                                         .apiVersion = VK_API_VERSION_1_2};
  const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                     .pApplicationInfo = &application};
  VkInstance instance = VK_NULL_HANDLE;
  CHECKED(vkCreateInstance, &info, nullptr, &instance);
  return instance;
}

}  // namespace

Error::Error(VkResult result, const std::string& call)
    : std::runtime_error(std::format("{}: {}", call, name(result))), result_(result) {}

std::string name(VkResult result) {
  switch (result) {
    case VK_SUCCESS:
      return "VK_SUCCESS";
    case VK_TIMEOUT:
      return "VK_TIMEOUT";
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_DEVICE_LOST:
      return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
      return "VK_ERROR_EXTENSION_NOT_PRESENT";
    case VK_ERROR_INVALID_EXTERNAL_HANDLE:
      return "VK_ERROR_INVALID_EXTERNAL_HANDLE";
    default:
      return std::format("VkResult {}", static_cast<int>(result));
  }
}

void free_memory(VkDevice device, VkDeviceMemory memory) {
  VULKAN(vkFreeMemory)(device, memory, nullptr);
}
void destroy_buffer(VkDevice device, VkBuffer buffer) {
  VULKAN(vkDestroyBuffer)(device, buffer, nullptr);
}
void destroy_semaphore(VkDevice device, VkSemaphore semaphore) {
  VULKAN(vkDestroySemaphore)(device, semaphore, nullptr);
}
void destroy_pool(VkDevice device, VkCommandPool pool) {
  VULKAN(vkDestroyCommandPool)(device, pool, nullptr);
}
void destroy_fence(VkDevice device, VkFence fence) {
  VULKAN(vkDestroyFence)(device, fence, nullptr);
}

void Semaphore::import_sync_file(UniqueFd sync_file) {
  const VkImportSemaphoreFdInfoKHR info = {
      .sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
      .semaphore = semaphore_.get(),
      .flags = VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
      .handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
      .fd = sync_file.get()};
  CHECKED(vkImportSemaphoreFdKHR, semaphore_.device(), &info);
  std::ignore = sync_file.release();
}

std::optional<UniqueFd> Semaphore::export_sync_file() {
  const VkSemaphoreGetFdInfoKHR info = {
      .sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
      .semaphore = semaphore_.get(),
      .handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT};
  int fd = -1;
  CHECKED(vkGetSemaphoreFdKHR, semaphore_.device(), &info, &fd);
  if (fd < 0) return std::nullopt;
  return UniqueFd(fd);
}

Submission::~Submission() {
  const VkFence fence = fence_.get();
  if (fence == VK_NULL_HANDLE) return;
  // Whatever it says: nothing is left to be told.
  std::ignore = VULKAN(vkWaitForFences)(fence_.device(), 1, &fence, VK_TRUE, UINT64_MAX);
}

bool Submission::wait(Deadline deadline) const {
  const VkFence fence = fence_.get();
  const VkResult result =
      VULKAN(vkWaitForFences)(fence_.device(), 1, &fence, VK_TRUE, nanoseconds_until(deadline));
  if (result == VK_TIMEOUT) return false;
  check(result, "vkWaitForFences");
  return true;
}

Device::Device() : instance_(create_instance()) {
  the_instance = instance_;
  std::uint32_t count = 1;
  const VkResult enumerated = VULKAN(vkEnumeratePhysicalDevices)(instance_, &count, &physical_);
  if (enumerated != VK_INCOMPLETE) check(enumerated, "vkEnumeratePhysicalDevices");
  if (count == 0) throw std::runtime_error("Vulkan has no device");

  VkPhysicalDeviceDriverProperties driver = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
  VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                            .pNext = &driver};
  VULKAN(vkGetPhysicalDeviceProperties2)(physical_, &properties);
  driver_ = std::format("{}, {}", driver.driverName, driver.driverInfo);
  driver_id_ = driver.driverID;

  const float priority = 1;
  const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                         .queueFamilyIndex = kQueueFamily,
                                         .queueCount = 1,
                                         .pQueuePriorities = &priority};
  const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                   .queueCreateInfoCount = 1,
                                   .pQueueCreateInfos = &queue,
                                   .enabledExtensionCount = kExtensions.size(),
                                   .ppEnabledExtensionNames = kExtensions.data()};
  CHECKED(vkCreateDevice, physical_, &info, nullptr, &device_);
  VULKAN(vkGetDeviceQueue)(device_, kQueueFamily, 0, &queue_);
}

Device::~Device() {
  VULKAN(vkDestroyDevice)(device_, nullptr);
  VULKAN(vkDestroyInstance)(instance_, nullptr);
  the_instance = VK_NULL_HANDLE;
}

VkExternalSemaphoreFeatureFlags Device::sync_file_features() const {
  const VkPhysicalDeviceExternalSemaphoreInfo info = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
      .handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT};
  VkExternalSemaphoreProperties properties = {.sType =
                                                  VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES};
  VULKAN(vkGetPhysicalDeviceExternalSemaphoreProperties)(physical_, &info, &properties);
  return properties.externalSemaphoreFeatures;
}

VkExternalMemoryFeatureFlags Device::dma_buf_features() const {
  const VkPhysicalDeviceExternalBufferInfo info = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
      .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
      .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT};
  VkExternalBufferProperties properties = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};
  VULKAN(vkGetPhysicalDeviceExternalBufferProperties)(physical_, &info, &properties);
  return properties.externalMemoryProperties.externalMemoryFeatures;
}

Buffer Device::import(const VkMemoryAllocateInfo& info, VkExternalMemoryHandleTypeFlags type,
                      std::uint64_t bytes) const {
  const VkExternalMemoryBufferCreateInfo external = {
      .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, .handleTypes = type};
  const VkBufferCreateInfo buffer_info = {
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
      .pNext = &external,
      .size = bytes,
      .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
      .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
  VkBuffer made = VK_NULL_HANDLE;
  CHECKED(vkCreateBuffer, device_, &buffer_info, nullptr, &made);
  Owned<VkBuffer, destroy_buffer> buffer(device_, made);
  VkDeviceMemory imported = VK_NULL_HANDLE;
  CHECKED(vkAllocateMemory, device_, &info, nullptr, &imported);
  Owned<VkDeviceMemory, free_memory> memory(device_, imported);
  CHECKED(vkBindBufferMemory, device_, buffer.get(), memory.get(), 0);
  return {std::move(memory), std::move(buffer), bytes};
}

Buffer Device::import_dma_buf(UniqueFd dma_buf, std::uint64_t bytes) const {
  const VkImportMemoryFdInfoKHR from = {
      .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
      .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
      .fd = dma_buf.get()};
  const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = &from,
                                     .allocationSize = bytes,
                                     .memoryTypeIndex = kMemoryType};
  Buffer buffer = import(info, from.handleType, bytes);
  std::ignore = dma_buf.release();
  return buffer;
}

Buffer Device::import_memory(std::span<std::byte> memory) const {
  const VkImportMemoryHostPointerInfoEXT from = {
      .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
      .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
      .pHostPointer = memory.data()};
  const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = &from,
                                     .allocationSize = memory.size(),
                                     .memoryTypeIndex = kMemoryType};
  return import(info, from.handleType, memory.size());
}

Semaphore Device::semaphore() const {
  const VkExportSemaphoreCreateInfo as = {
      .sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
      .handleTypes = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT};
  const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                      .pNext = &as};
  VkSemaphore semaphore = VK_NULL_HANDLE;
  CHECKED(vkCreateSemaphore, device_, &info, nullptr, &semaphore);
  return Semaphore({device_, semaphore});
}

template <typename Record>
Submission Device::submit(Semaphore* wait, Semaphore* signal, Record record) const {
  const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                             .queueFamilyIndex = kQueueFamily};
  VkCommandPool made_pool = VK_NULL_HANDLE;
  CHECKED(vkCreateCommandPool, device_, &pool_info, nullptr, &made_pool);
  Owned<VkCommandPool, destroy_pool> pool(device_, made_pool);
  const VkFenceCreateInfo fence_info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  VkFence made_fence = VK_NULL_HANDLE;
  CHECKED(vkCreateFence, device_, &fence_info, nullptr, &made_fence);
  Owned<VkFence, destroy_fence> fence(device_, made_fence);

  const VkCommandBufferAllocateInfo commands_info = {
      .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
      .commandPool = pool.get(),
      .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
      .commandBufferCount = 1};
  VkCommandBuffer commands = VK_NULL_HANDLE;
  CHECKED(vkAllocateCommandBuffers, device_, &commands_info, &commands);
  const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                          .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
  CHECKED(vkBeginCommandBuffer, commands, &begin);
  record(commands);
  CHECKED(vkEndCommandBuffer, commands);

  const VkSemaphore before = wait ? wait->get() : VK_NULL_HANDLE;
  const VkSemaphore end = signal ? signal->get() : VK_NULL_HANDLE;
  const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_TRANSFER_BIT;
  const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                             .waitSemaphoreCount = wait ? 1u : 0u,
                             .pWaitSemaphores = &before,
                             .pWaitDstStageMask = &stage,
                             .commandBufferCount = 1,
                             .pCommandBuffers = &commands,
                             .signalSemaphoreCount = signal ? 1u : 0u,
                             .pSignalSemaphores = &end};
  CHECKED(vkQueueSubmit, queue_, 1, &info, fence.get());
  return {std::move(pool), std::move(fence)};
}

namespace {

/// Memory that others use, too, changes hands: to the queue, or back.
enum class Hand { over, back };

void hand(VkCommandBuffer commands, Hand direction, const Buffer& buffer, VkAccessFlags access) {
  const bool over = direction == Hand::over;
  const VkBufferMemoryBarrier barrier = {
      .sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
      .srcAccessMask = over ? 0 : access,
      .dstAccessMask = over ? access : 0,
      .srcQueueFamilyIndex = over ? VK_QUEUE_FAMILY_FOREIGN_EXT : kQueueFamily,
      .dstQueueFamilyIndex = over ? kQueueFamily : VK_QUEUE_FAMILY_FOREIGN_EXT,
      .buffer = buffer.get(),
      .offset = 0,
      .size = VK_WHOLE_SIZE};
  VULKAN(vkCmdPipelineBarrier)(
      commands, over ? VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT : VK_PIPELINE_STAGE_TRANSFER_BIT,
      over ? VK_PIPELINE_STAGE_TRANSFER_BIT : VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, nullptr,
      1, &barrier, 0, nullptr);
}

}  // namespace

Submission Device::copy(const Copy& copy) const {
  return submit(copy.wait, copy.signal, [&](VkCommandBuffer commands) {
    hand(commands, Hand::over, copy.from, VK_ACCESS_TRANSFER_READ_BIT);
    hand(commands, Hand::over, copy.to, VK_ACCESS_TRANSFER_WRITE_BIT);
    const VkBufferCopy all = {.srcOffset = 0, .dstOffset = 0, .size = copy.to.bytes()};
    VULKAN(vkCmdCopyBuffer)(commands, copy.from.get(), copy.to.get(), 1, &all);
    hand(commands, Hand::back, copy.from, VK_ACCESS_TRANSFER_READ_BIT);
    hand(commands, Hand::back, copy.to, VK_ACCESS_TRANSFER_WRITE_BIT);
  });
}

Submission Device::fill(const Fill& fill) const {
  return submit(nullptr, nullptr, [&](VkCommandBuffer commands) {
    VULKAN(vkCmdPipelineBarrier)(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                                 VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, nullptr, 0, nullptr, 0,
                                 nullptr);
    hand(commands, Hand::over, fill.to, VK_ACCESS_TRANSFER_WRITE_BIT);
    VULKAN(vkCmdFillBuffer)(commands, fill.to.get(), 0, VK_WHOLE_SIZE, fill.value);
    hand(commands, Hand::back, fill.to, VK_ACCESS_TRANSFER_WRITE_BIT);
  });
}

}  // namespace figment::vulkan
