// SPDX-License-Identifier: MIT
#include "figment/device.h"

#include <fcntl.h>
#include <xf86drm.h>

#include <algorithm>
#include <cerrno>
#include <format>
#include <memory>
#include <string_view>

#include "figment/error.h"
#include "figment_hw.h"

namespace figment {
namespace {

constexpr std::string_view kDriverName = "figment";

bool is_ours(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return false;
  const std::unique_ptr<drmVersion, decltype(&drmFreeVersion)> version(drmGetVersion(fd.get()),
                                                                       &drmFreeVersion);
  return version && std::string_view(version->name) == kDriverName;
}

std::string pci_name(const drmPciBusInfo& bus) {
  return std::format("{:04x}:{:02x}:{:02x}.{:x}", bus.domain, bus.bus, bus.dev, bus.func);
}

}  // namespace

std::vector<Device::Node> Device::nodes() {
  std::vector<drmDevicePtr> devices(64);
  const int count = drmGetDevices2(0, devices.data(), static_cast<int>(devices.size()));
  if (count == -ENOENT) return {};  // no /dev/dri: no driver at all
  if (count < 0) fail(-count, "listing of DRM devices");
  devices.resize(std::min<std::size_t>(count, devices.size()));
  std::vector<Node> nodes;
  for (const drmDevicePtr device : devices) {
    if (!(device->available_nodes & 1 << DRM_NODE_RENDER)) continue;
    const std::string path = device->nodes[DRM_NODE_RENDER];
    if (!is_ours(path)) continue;
    nodes.push_back({path, device->bustype == DRM_BUS_PCI ? pci_name(*device->businfo.pci) : ""});
  }
  drmFreeDevices(devices.data(), static_cast<int>(devices.size()));
  // Numbers of nodes change when a driver is bound again. As numbers, not as text: renderD128 comes
  // before renderD1000.
  std::ranges::sort(nodes, {}, [](const Node& node) {
    return std::tuple(node.bus, node.path.size(), node.path);
  });
  return nodes;
}

Device Device::open(unsigned nth) {
  auto found = nodes();
  if (nth >= found.size()) {
    fail(ENODEV, std::format("opening Figment GPU {}: there {} {}", nth,
                             found.size() == 1 ? "is" : "are", found.size()));
  }
  UniqueFd fd(::open(found[nth].path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) fail(errno, std::format("opening {}", found[nth].path));
  return Device(std::move(found[nth]), std::make_shared<const UniqueFd>(std::move(fd)));
}

Device::Device(Node node, DeviceFile file) : node_(std::move(node)), file_(std::move(file)) {
  drm_figment_dev_query request = {};
  request.type = DRM_FIGMENT_QUERY_DEVICE;
  request.size = sizeof(info_);
  request.pointer = reinterpret_cast<std::uint64_t>(&info_);
  call(fd(), DRM_IOCTL_FIGMENT_DEV_QUERY, request);
}

bool Device::has(Feature feature) const {
  switch (feature) {
    case Feature::recoverable_faults:
      return info_.hw_features & FIGMENT_FEATURE_FAULTS;
    case Feature::injection:
      return info_.hw_features & FIGMENT_FEATURE_INJECT;
  }
  return false;
}

Preemption Device::preemption() const {
  return static_cast<Preemption>((info_.hw_features & FIGMENT_FEATURE_PREEMPT) >> 4);
}

bool Device::offers(Strategy strategy) const {
  return info_.strategies >> static_cast<std::uint32_t>(strategy) & 1;
}

}  // namespace figment
