// SPDX-License-Identifier: MIT
//
// A GPU whose driver has been told to let it go, by way of sysfs.
#pragma once

#include <cstddef>
#include <string>

#include "guest.h"

namespace figment::guest {

/// Whether that is possible: the device is on a PCI bus, and its driver is a PCI driver.
[[nodiscard]] bool can_be_unbound(const Device& device);

/// Without its driver from here on, until bind() or the end of the scope. It is a failure of the
/// test when its node does not go, or come back.
class UnboundDevice {
 public:
  explicit UnboundDevice(const Device& device);
  UnboundDevice(const UnboundDevice&) = delete;
  UnboundDevice& operator=(const UnboundDevice&) = delete;
  ~UnboundDevice() { bind(); }

  void bind();

 private:
  void tell(const char* what, std::size_t nodes);

  std::string bus_;
  std::size_t nodes_;
  bool bound_ = false;
};

}  // namespace figment::guest
