// SPDX-License-Identifier: MIT
#include "test_hmm.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>

#include "figment/error.h"
#include "figment/types.h"

namespace figment {
namespace {

// The interface of lib/test_hmm.c of Linux: its header is not among those that are installed.
struct HmmCommand {
  std::uint64_t address;
  std::uint64_t pointer;
  std::uint64_t pages;
  std::uint64_t copied_pages;  // out
  std::uint64_t faults;        // out
};
constexpr auto kRead = _IOWR('H', 0x00, HmmCommand);
constexpr auto kWrite = _IOWR('H', 0x01, HmmCommand);
constexpr auto kMigrateToDevice = _IOWR('H', 0x02, HmmCommand);
constexpr auto kExclusive = _IOWR('H', 0x05, HmmCommand);

constexpr const char* kDevice = "/dev/hmm_dmirror0";

HmmResult call(const UniqueFd& file, unsigned long request, std::span<const std::byte> memory,
               std::span<const std::byte> pointer) {
  HmmCommand command = {.address = reinterpret_cast<std::uintptr_t>(memory.data()),
                        .pointer = reinterpret_cast<std::uintptr_t>(pointer.data()),
                        .pages = memory.size() / kPageBytes,
                        .copied_pages = 0,
                        .faults = 0};
  int result;
  do {
    result = ::ioctl(file.get(), request, &command);
  } while (result != 0 && errno == EINTR);
  return {
      .error = result == 0 ? 0 : errno, .pages = command.copied_pages, .faults = command.faults};
}

}  // namespace

HmmModule::HmmModule() {
  if (::access(kDevice, R_OK | W_OK) == 0) return;
  if (const char* path = std::getenv("FIGMENT_TEST_HMM")) {
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    loaded_ = file && ::syscall(SYS_finit_module, file.get(), "", 0) == 0;
    if (!loaded_) why_not_ = std::format("{}: {}", path, std::strerror(errno));
  } else {
    loaded_ = std::system("modprobe test_hmm 2>/dev/null") == 0;
    if (!loaded_) why_not_ = "the kernel has no module test_hmm, and FIGMENT_TEST_HMM is not set";
  }
}

HmmModule::~HmmModule() {
  if (loaded_) ::syscall(SYS_delete_module, "test_hmm", O_NONBLOCK);
}

HmmMirror::HmmMirror() : file_(::open(kDevice, O_RDWR | O_CLOEXEC)) {
  if (!file_) fail(errno, kDevice);
}

HmmResult HmmMirror::read(std::span<const std::byte> memory, std::span<std::byte> to) const {
  return call(file_, kRead, memory, to);
}

HmmResult HmmMirror::write(std::span<std::byte> memory, std::span<const std::byte> from) const {
  return call(file_, kWrite, memory, from);
}

HmmResult HmmMirror::make_exclusive(std::span<std::byte> memory, std::span<std::byte> to) const {
  return call(file_, kExclusive, memory, to);
}

HmmResult HmmMirror::migrate(std::span<std::byte> memory, std::span<std::byte> to) const {
  return call(file_, kMigrateToDevice, memory, to);
}

}  // namespace figment
