// SPDX-License-Identifier: MIT
#include "user_faults.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "figment/error.h"
#include "figment/types.h"
#include "page_kind.h"

namespace figment::stress {
namespace {

/// One in so many answers comes late.
constexpr unsigned kLate = 16;
constexpr auto kLateness = std::chrono::milliseconds(3);

uffdio_range range_of(std::span<std::byte> memory) {
  return {.start = reinterpret_cast<std::uint64_t>(memory.data()), .len = memory.size()};
}

}  // namespace

UserFaults::UserFaults(std::uint64_t features)
    : fd_(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))) {
  if (!fd_) throw Lacks("this kernel has no userfaultfd");
  uffdio_api api = {.api = UFFD_API, .features = features};
  if (::ioctl(fd_.get(), UFFDIO_API, &api) != 0) {
    throw Lacks("the userfaultfd of this kernel lacks a feature");
  }
}

UserFaults::~UserFaults() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void UserFaults::watch(std::span<std::byte> memory, std::uint64_t mode) {
  uffdio_register request = {.range = range_of(memory), .mode = mode};
  if (::ioctl(fd_.get(), UFFDIO_REGISTER, &request) == 0) return;
  if (errno == EINVAL) throw Lacks("userfaultfd does not take this memory in this mode");
  fail(errno, "UFFDIO_REGISTER");
}

void UserFaults::write_protect(std::span<std::byte> memory, bool on) {
  uffdio_writeprotect request = {.range = range_of(memory),
                                 .mode = on ? std::uint64_t{UFFDIO_WRITEPROTECT_MODE_WP} : 0};
  if (::ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &request) != 0) fail(errno, "UFFDIO_WRITEPROTECT");
}

void UserFaults::answer() {
  thread_ = std::thread(&UserFaults::loop, this);
}

void UserFaults::loop() {
  for (unsigned count = 1; !stop_;) {
    pollfd one = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
    uffd_msg message = {};
    if (::poll(&one, 1, 5) != 1 ||
        ::read(fd_.get(), &message, sizeof(message)) != sizeof(message) ||
        message.event != UFFD_EVENT_PAGEFAULT) {
      continue;
    }
    if (count++ % kLate == 0) std::this_thread::sleep_for(kLateness);
    const std::uint64_t page = message.arg.pagefault.address & ~(kPageBytes - 1);
    if (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
      uffdio_writeprotect allow = {.range = {.start = page, .len = kPageBytes}, .mode = 0};
      ::ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &allow);
      continue;
    }
    if (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR) {
      uffdio_continue there = {.range = {.start = page, .len = kPageBytes}, .mode = 0, .mapped = 0};
      if (::ioctl(fd_.get(), UFFDIO_CONTINUE, &there) != 0) {
        ::ioctl(fd_.get(), UFFDIO_WAKE, &there.range);
      }
      continue;
    }
    uffdio_zeropage zeros = {.range = {.start = page, .len = kPageBytes}, .mode = 0};
    if (::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &zeros) == 0) continue;
    // Somebody else has got it before.
    uffdio_range wake = zeros.range;
    ::ioctl(fd_.get(), UFFDIO_WAKE, &wake);
  }
}

}  // namespace figment::stress
