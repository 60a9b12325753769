// SPDX-License-Identifier: MIT
//
// What every object of libfigment is made of: the device file, and a number that
// one ioctl made and one ioctl takes back.
//
// The device file is shared (one of the few shared_ptr here): a Queue may outlive
// the variable that held its Device, and must then not send its last ioctl to
// whatever has been given the same descriptor number since.
//
// After fork() a child holds the same device file, so destructors in the child
// would destroy the parent's objects. A child leaves by _exit() or exec.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace figment {

/// A file descriptor that is closed with its owner.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

using DeviceFile = std::shared_ptr<const UniqueFd>;

/// A number of the device file; Destroy(fd, number) takes it back.
template <auto Destroy>
class Handle {
 public:
  Handle(DeviceFile file, std::uint32_t number) : file_(std::move(file)), number_(number) {}
  Handle(Handle&& other) noexcept = default;
  Handle& operator=(Handle&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~Handle() {
    if (file_) Destroy(file_->get(), number_);
  }

  [[nodiscard]] std::uint32_t number() const { return number_; }
  [[nodiscard]] int fd() const { return file_->get(); }
  [[nodiscard]] const DeviceFile& file() const { return file_; }

 private:
  DeviceFile file_;
  std::uint32_t number_;
};

/// Each ignores errors: a destructor has nobody to tell, and the kernel frees
/// everything with the file.
void gem_close(int fd, std::uint32_t number) noexcept;
void syncobj_destroy(int fd, std::uint32_t number) noexcept;
void vm_destroy(int fd, std::uint32_t number) noexcept;
void queue_destroy(int fd, std::uint32_t number) noexcept;

}  // namespace figment
