// SPDX-License-Identifier: MIT
#include "kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "figment/error.h"

namespace figment {
namespace {

constexpr auto kReports = std::to_array<std::string_view>({
    "WARNING:",
    "BUG:",
    "kernel BUG at",
    "KASAN:",
    "KCSAN:",
    "UBSAN:",
    "KFENCE:",
    "Oops:",
    "general protection fault",
    "Unable to handle kernel",
    "possible circular locking dependency",
    "possible recursive locking",
    "inconsistent lock state",
    "possible irq lock inversion",
    "suspicious RCU usage",
    "Invalid wait context",
    "held lock freed",
    "self-detected stall",
    "detected stalls on CPUs",
    "blocked for more than",
    "DMA-API:",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "Bad page state",
    "Kernel panic",
});

}  // namespace

bool is_kernel_report(std::string_view message) {
  // A process that crashed, told in the words that the kernel has for itself.
  if (message.starts_with("traps: ")) return false;
  // Not about a driver: the checks have lost an allocation of their own, and end.
  if (message.contains("DMA-API: cacheline tracking ENOMEM")) return false;
  return std::ranges::any_of(kReports, [&](auto what) { return message.contains(what); });
}

KernelLog::KernelLog() : fd_(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  if (!fd_) fail(errno, "opening /dev/kmsg");
  if (::lseek(fd_.get(), 0, SEEK_END) < 0) fail(errno, "going to the end of /dev/kmsg");
}

std::vector<std::string> KernelLog::take_reports() {
  std::vector<std::string> reports;
  std::array<char, 8192> record;
  for (;;) {
    const ssize_t bytes = ::read(fd_.get(), record.data(), record.size());
    if (bytes < 0 && errno == EAGAIN) return reports;
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EPIPE) {
      // The ring has overtaken us: what was in the gap is not known to be harmless.
      reports.emplace_back("kernel log overran: records were lost");
      continue;
    }
    if (bytes < 0) fail(errno, "reading /dev/kmsg");
    if (bytes == 0) return reports;
    // "priority,sequence,time,flags;message\n", then lines of context.
    std::string_view line(record.data(), static_cast<std::size_t>(bytes));
    line = line.substr(std::min(line.find(';'), line.size() - 1) + 1);
    line = line.substr(0, line.find('\n'));
    if (is_kernel_report(line)) reports.emplace_back(line);
  }
}

}  // namespace figment
