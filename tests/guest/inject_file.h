// SPDX-License-Identifier: MIT
//
// Misbehaviour of a GPU on purpose, through the file of its driver in debugfs, and what the driver
// counts of its answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "figment/device.h"

namespace figment::guest {

class InjectFile {
 public:
  explicit InjectFile(const Device& device);

  /// For ASSERT_TRUE; a GPU without injection has no such file.
  [[nodiscard]] bool is_there() const;
  /// Writes a rule, or "clear". 0 or the errno.
  [[nodiscard]] int write(const std::string& text) const;
  /// A line for each rule. errno ENODEV and the like: throws std::system_error.
  [[nodiscard]] std::vector<std::string> lines() const;
  /// How often rule `n` has struck.
  [[nodiscard]] std::uint64_t strikes(unsigned n = 0) const;

 private:
  std::string path_;
};

/// What the file "recovery" counts under that name; 0 when it does not.
[[nodiscard]] std::uint64_t recoveries(const Device& device, const std::string& name);

}  // namespace figment::guest
