// SPDX-License-Identifier: MIT
#include "fake_driver.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <utility>

namespace figment {
namespace {

FakeDriver::Answer running;

}  // namespace

FakeDriver::FakeDriver(Answer answer) {
  running = std::move(answer);
}

FakeDriver::~FakeDriver() {
  running = nullptr;
}

}  // namespace figment

/// What drmIoctl() calls: a program's own comes before that of the C library. Other descriptors are
/// the kernel's.
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list list;
  va_start(list, request);
  void* arguments = va_arg(list, void*);
  va_end(list);
  if (fd != figment::FakeDriver::kFile || !figment::running) {
    return static_cast<int>(::syscall(SYS_ioctl, fd, request, arguments));
  }
  errno = figment::running(request, arguments);
  return errno ? -1 : 0;
}
