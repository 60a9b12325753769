// SPDX-License-Identifier: MIT
#include "disk_read.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>

#include "figment/error.h"

namespace figment::bench {

DiskRead::DiskRead(const std::string& disk, std::string& why_not)
    : disk_(disk), fd_(::open(disk.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)) {
  if (!fd_) {
    why_not = std::format("{}: {}", disk, std::strerror(errno));
  } else if (::ioctl(fd_.get(), BLKGETSIZE64, &bytes_) != 0 || bytes_ < kPageBytes) {
    why_not = std::format("{} has no size", disk);
  }
}

void DiskRead::operator()() {
  const auto at = random_() % (bytes_ / kPageBytes) * kPageBytes;
  const ssize_t got = ::pread(fd_.get(), block_.bytes().data(), kPageBytes, static_cast<off_t>(at));
  if (got != static_cast<ssize_t>(kPageBytes)) {
    figment::fail(got < 0 ? errno : EIO, std::format("reading {} at {}", disk_, at));
  }
}

}  // namespace figment::bench
