// SPDX-License-Identifier: MIT
#include "module_parameter.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <format>
#include <system_error>

#include "figment/error.h"
#include "figment/handle.h"

namespace figment {
namespace {

UniqueFd open_parameter(std::string_view name, int flags) {
  const std::string path = std::format("/sys/module/figment/parameters/{}", name);
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) fail(errno, std::format("opening {}", path));
  return fd;
}

}  // namespace

std::string module_parameter(std::string_view name) {
  const UniqueFd fd = open_parameter(name, O_RDONLY);
  std::array<char, 256> text;
  const ssize_t bytes = ::read(fd.get(), text.data(), text.size());
  if (bytes < 0) fail(errno, std::format("reading module parameter {}", name));
  std::string value(text.data(), static_cast<std::size_t>(bytes));
  while (value.ends_with('\n')) value.pop_back();
  return value;
}

void set_module_parameter(std::string_view name, std::string_view value) {
  const UniqueFd fd = open_parameter(name, O_WRONLY);
  if (::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    fail(errno, std::format("setting module parameter {} to {}", name, value));
  }
}

ScopedModuleParameter::ScopedModuleParameter(std::string name, std::string_view value)
    : name_(std::move(name)), before_(module_parameter(name_)) {
  set_module_parameter(name_, value);
}

ScopedModuleParameter::~ScopedModuleParameter() {
  try {
    set_module_parameter(name_, before_);
  } catch (const std::system_error&) {
    // The module has been unloaded meanwhile, and its parameter with it.
  }
}

}  // namespace figment
