// SPDX-License-Identifier: MIT
#include "swap.h"

#include <fcntl.h>
#include <sys/swap.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>

#include "figment/handle.h"
#include "figment/types.h"

namespace figment::stress {
namespace {

constexpr std::uint64_t kSwapBytes = 64_MiB;

/// What mkswap writes: version, last page, and the signature at the end of the first page.
bool make_swap(const std::string& path) {
  std::array<char, kPageBytes> header = {};
  const std::array<std::uint32_t, 2> words = {1, kSwapBytes / kPageBytes - 1};
  std::memcpy(header.data() + 1024, words.data(), sizeof(words));
  std::memcpy(header.data() + kPageBytes - 10, "SWAPSPACE2", 10);
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), header.data(), header.size()) == kPageBytes &&
         ::fsync(file.get()) == 0;
}

}  // namespace

bool has_swap() {
  std::ifstream swaps("/proc/swaps");
  std::string heading;
  std::string first;
  std::getline(swaps, heading);
  return static_cast<bool>(std::getline(swaps, first));
}

std::string new_zram(unsigned long long bytes) {
  constexpr auto kControl = "/sys/class/zram-control/hot_add";
  if (!std::filesystem::exists(kControl)) std::ignore = std::system("modprobe -q zram");
  unsigned number = 0;
  if (!(std::ifstream(kControl) >> number)) return {};
  std::ofstream(std::format("/sys/block/zram{}/disksize", number)) << bytes;
  return std::format("/dev/zram{}", number);
}

ScopedSwap::ScopedSwap() {
  if (has_swap()) return;
  const std::string device = new_zram(kSwapBytes);
  if (!device.empty() && make_swap(device) && ::swapon(device.c_str(), 0) == 0) device_ = device;
}

ScopedSwap::~ScopedSwap() {
  if (device_.empty()) return;
  ::swapoff(device_.c_str());
  std::ofstream("/sys/class/zram-control/hot_remove") << device_.substr(9);
}

}  // namespace figment::stress
