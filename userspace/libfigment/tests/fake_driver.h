// SPDX-License-Identifier: MIT
//
// The test program in the place of the driver: what it is asked, and what is made of its answers.
// For what no device can be made to answer when a test wants it.
#pragma once

#include <functional>
#include <memory>

#include "figment/handle.h"

namespace figment {

/// Answers the ioctls of kFile as long as it lives. One at a time.
class FakeDriver {
 public:
  /// A descriptor that no file has, but one that a test puts there to be mapped.
  static constexpr int kFile = 1000;

  /// Gives the errno of a request, or zero.
  using Answer = std::function<int(unsigned long request, void* arguments)>;

  explicit FakeDriver(Answer answer);
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;
  ~FakeDriver();

  [[nodiscard]] static DeviceFile file() { return std::make_shared<const UniqueFd>(kFile); }
};

}  // namespace figment
