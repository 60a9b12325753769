// SPDX-License-Identifier: MIT
//
// A Figment GPU, found by the name of its driver among the render nodes, and
// everything that is made directly from it.
//
//   auto device = figment::Device::open();
//   auto vm = device.vm({.strategy = figment::Strategy::fence});
//   auto buffer = device.buffer({.bytes = 64_KiB, .placement = figment::Placement::vram});
//   vm.map({.at = GpuVa{0x100000}, .buffer = buffer});
//
// No object of libfigment takes a lock. Distinct objects may be used by distinct
// threads; one object by one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "figment/buffer.h"
#include "figment/handle.h"
#include "figment/strategy.h"
#include "figment/sync.h"
#include "figment/vm.h"
#include "figment_drm.h"

namespace figment {

enum class Feature { recoverable_faults, injection };
enum class Preemption : unsigned { none, command, instruction };

class Device {
 public:
  struct Node {
    std::string path;  // /dev/dri/renderD...
    std::string bus;   // as in /sys/bus/pci/devices
  };

  /// The render nodes whose driver is figment, in the order of their places on the PCI bus.
  [[nodiscard]] static std::vector<Node> nodes();
  /// The n-th of nodes(). ENODEV: there are not so many.
  [[nodiscard]] static Device open(unsigned nth = 0);

  [[nodiscard]] const Node& node() const { return node_; }
  /// What the driver told when the device was opened.
  [[nodiscard]] const drm_figment_device_info& info() const { return info_; }
  [[nodiscard]] bool has(Feature feature) const;
  [[nodiscard]] Preemption preemption() const;
  /// Could be used when the device was opened.
  [[nodiscard]] bool offers(Strategy strategy) const;

  [[nodiscard]] Vm vm(const VmConfig& config = {}) const { return Vm::create(file_, config); }
  [[nodiscard]] Buffer buffer(const BufferConfig& config) const {
    return Buffer::create(file_, config);
  }
  [[nodiscard]] Syncobj syncobj(bool signalled = false) const {
    return Syncobj::create(file_, signalled);
  }

  /// For ioctls that libfigment does not wrap.
  [[nodiscard]] int fd() const { return file_->get(); }
  [[nodiscard]] const DeviceFile& file() const { return file_; }

 private:
  Device(Node node, DeviceFile file);

  Node node_;
  DeviceFile file_;
  drm_figment_device_info info_ = {};
};

}  // namespace figment
