// SPDX-License-Identifier: MIT
#include "progress.h"

#include <unistd.h>

#include <charconv>
#include <utility>

#include "session.h"

namespace figment::host {

std::uint64_t progress_total(std::string_view line) {
  const std::size_t slash = line.find('/'), end = line.find(']');
  if (!line.starts_with('[') || slash >= end || end == line.npos) return 0;
  std::uint64_t total = 0;
  const auto [stop, error] = std::from_chars(line.data() + slash + 1, line.data() + end, total);
  return error == std::errc{} && stop == line.data() + end ? total : 0;
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::take(std::string_view bytes) {
  partial_ += bytes;
  for (std::size_t end; (end = partial_.find('\n')) != partial_.npos; partial_.erase(0, end + 1)) {
    const std::string line = partial_.substr(0, end);
    if (const std::uint64_t total = progress_total(line)) total_ = total;
    if (!terminal_) {
      write_all(STDERR_FILENO, line + "\n");
      continue;
    }
    shown_ = line.starts_with('[');
    write_all(STDERR_FILENO, "\r\033[K" + line + (shown_ ? "" : "\n"));
  }
}

void Progress::clear() {
  if (std::exchange(shown_, false)) write_all(STDERR_FILENO, "\r\033[K");
}

}  // namespace figment::host
