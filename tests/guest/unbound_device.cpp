// SPDX-License-Identifier: MIT
#include "unbound_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <format>
#include <utility>

#include "process.h"

namespace figment::guest {
namespace {

constexpr const char* kDriver = "/sys/bus/pci/drivers/figment";

}  // namespace

bool can_be_unbound(const Device& device) {
  return !device.node().bus.empty() && std::filesystem::exists(kDriver);
}

UnboundDevice::UnboundDevice(const Device& device)
    : bus_(device.node().bus), nodes_(Device::nodes().size()) {
  tell("unbind", nodes_ - 1);
}

void UnboundDevice::bind() {
  if (!std::exchange(bound_, true)) tell("bind", nodes_);
}

void UnboundDevice::tell(const char* what, std::size_t nodes) {
  const UniqueFd fd(::open(std::format("{}/{}", kDriver, what).c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), bus_.data(), bus_.size()), static_cast<ssize_t>(bus_.size()))
      << what << ": " << name(errno);
  // Nodes come and go a little later than the driver does, by way of devtmpfs.
  EXPECT_TRUE(
      stress::poll_until([&] { return Device::nodes().size() == nodes; }, after(kPatience)));
}

}  // namespace figment::guest
