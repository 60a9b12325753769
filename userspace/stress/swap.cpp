// SPDX-License-Identifier: MIT
#include "swap.h"

#include <fcntl.h>
#include <sys/swap.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>

#include "figment/error.h"
#include "figment/handle.h"
#include "figment/types.h"
#include "page_kind.h"

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

/// Nothing when there is none to be had.
std::string new_zram(unsigned long long bytes) {
  constexpr auto kControl = "/sys/class/zram-control/hot_add";
  if (!std::filesystem::exists(kControl)) std::ignore = std::system("modprobe -q zram");
  unsigned number = 0;
  if (!(std::ifstream(kControl) >> number)) return {};
  std::ofstream(std::format("/sys/block/zram{}/disksize", number)) << bytes;
  return std::format("/dev/zram{}", number);
}

void remove_zram(const std::string& device) {
  constexpr std::string_view kPrefix = "/dev/zram";
  if (!device.starts_with(kPrefix)) return;
  std::ofstream("/sys/class/zram-control/hot_remove") << device.substr(kPrefix.size());
}

}  // namespace

bool has_swap() {
  std::ifstream swaps("/proc/swaps");
  std::string heading;
  std::string first;
  std::getline(swaps, heading);
  return static_cast<bool>(std::getline(swaps, first));
}

void cycle_swap() {
  std::ifstream swaps("/proc/swaps");
  std::string device;
  std::getline(swaps, device);
  if (!(swaps >> device)) throw Lacks("there is no swap");
  if (::swapoff(device.c_str()) != 0) fail(errno, "swapoff");
  if (::swapon(device.c_str(), 0) != 0) fail(errno, "swapon");
}

ScratchDisk::ScratchDisk(unsigned long long bytes) : path_(new_zram(bytes)) {
  if (path_.empty()) throw Lacks("there is no zram");
}

ScratchDisk::~ScratchDisk() {
  remove_zram(path_);
}

ScopedSwap::ScopedSwap() {
  if (has_swap()) return;
  const std::string device = new_zram(kSwapBytes);
  if (!device.empty() && make_swap(device) && ::swapon(device.c_str(), 0) == 0) device_ = device;
}

ScopedSwap::~ScopedSwap() {
  if (device_.empty()) return;
  ::swapoff(device_.c_str());
  remove_zram(device_);
}

}  // namespace figment::stress
