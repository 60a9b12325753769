// SPDX-License-Identifier: MIT
#include "inject_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <format>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "figment/error.h"

namespace figment::guest {
namespace {

std::string debugfs_file(const Device& device, const std::string& name) {
  return "/sys/kernel/debug/dri/" + device.node().bus + "/" + name;
}

}  // namespace

InjectFile::InjectFile(const Device& device) : path_(debugfs_file(device, "inject")) {}

bool InjectFile::is_there() const {
  return std::filesystem::exists(path_);
}

int InjectFile::write(const std::string& text) const {
  const UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return errno;
  return ::write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
}

std::vector<std::string> InjectFile::lines() const {
  const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) fail(errno, "opening " + path_);
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t bytes = 0;
  while ((bytes = ::read(fd.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(bytes));
  }
  if (bytes < 0) fail(errno, "reading " + path_);
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::uint64_t InjectFile::strikes(unsigned n) const {
  const std::string line = lines().at(n);
  constexpr std::string_view kMark = ": struck ";
  const std::size_t at = line.rfind(kMark);
  if (at == line.npos) throw std::runtime_error(std::format("{}: '{}'", path_, line));
  return std::stoull(line.substr(at + kMark.size()));
}

std::uint64_t recoveries(const Device& device, const std::string& name) {
  std::ifstream file(debugfs_file(device, "recovery"));
  for (std::string word; file >> word;) {
    std::uint64_t count = 0;
    if (word == name && file >> count) return count;
  }
  throw std::runtime_error("the driver does not count " + name);
}

}  // namespace figment::guest
