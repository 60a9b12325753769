// SPDX-License-Identifier: MIT
#include "shared.h"

#include <sys/mman.h>

#include <cerrno>
#include <format>

#include "figment/error.h"

namespace figment::stress {

Mapping shared_memory(std::uint64_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail(errno, std::format("mmap of {} bytes of shared memory", bytes));
  return Mapping({static_cast<std::byte*>(at), bytes});
}

}  // namespace figment::stress
