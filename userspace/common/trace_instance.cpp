// SPDX-License-Identifier: MIT
#include "trace_instance.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <format>
#include <fstream>

#include "figment/error.h"

namespace figment {
namespace {

constexpr const char* kInstances = "/sys/kernel/tracing/instances";

std::string make_folder(std::string_view name) {
  std::string folder = std::format("{}/{}", kInstances, name);
  // A folder of events is made by mkdir(), and goes as a whole by rmdir().
  ::rmdir(folder.c_str());
  if (::mkdir(folder.c_str(), 0700) != 0) fail(errno, std::format("mkdir {}", folder));
  return folder;
}

}  // namespace

TraceInstance::TraceInstance(std::string_view name) : folder_(make_folder(name)) {
  const std::string pipe = folder_ + "/trace_pipe";
  pipe_ = UniqueFd(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (pipe_) return;
  const int error = errno;
  ::rmdir(folder_.c_str());
  fail(error, std::format("opening {}", pipe));
}

TraceInstance::~TraceInstance() {
  pipe_ = UniqueFd();
  ::rmdir(folder_.c_str());
}

void TraceInstance::set(std::string_view file, std::string_view value) {
  const std::string path = std::format("{}/{}", folder_, file);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd) fail(errno, std::format("opening {}", path));
  if (::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    fail(errno, std::format("writing {} to {}", value, path));
  }
}

std::string TraceInstance::take() {
  std::string text;
  std::array<char, 65536> part;
  for (;;) {
    const ssize_t bytes = ::read(pipe_.get(), part.data(), part.size());
    if (bytes > 0) {
      text.append(part.data(), static_cast<std::size_t>(bytes));
    } else if (bytes == 0 || errno == EAGAIN) {
      return text;
    } else if (errno != EINTR) {
      fail(errno, "reading trace_pipe");
    }
  }
}

std::uint64_t TraceInstance::lost() const {
  std::uint64_t sum = 0;
  for (const auto& cpu : std::filesystem::directory_iterator(folder_ + "/per_cpu")) {
    std::ifstream stats(cpu.path() / "stats");
    for (std::string line; std::getline(stats, line);) {
      for (const std::string_view what : {"overrun: ", "dropped events: "}) {
        if (!line.starts_with(what)) continue;
        std::uint64_t count = 0;
        std::from_chars(line.data() + what.size(), line.data() + line.size(), count);
        sum += count;
      }
    }
  }
  return sum;
}

}  // namespace figment
