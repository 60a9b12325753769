// SPDX-License-Identifier: MIT
//
// A parameter of the figment kernel module, in /sys/module/figment/parameters.
#pragma once

#include <string>
#include <string_view>

namespace figment {

/// std::system_error: there is no such parameter, or it cannot be read or written.
[[nodiscard]] std::string module_parameter(std::string_view name);
void set_module_parameter(std::string_view name, std::string_view value);

/// Sets a parameter for as long as it lives, then puts the old value back.
class ScopedModuleParameter {
 public:
  ScopedModuleParameter(std::string name, std::string_view value);
  ScopedModuleParameter(const ScopedModuleParameter&) = delete;
  ScopedModuleParameter& operator=(const ScopedModuleParameter&) = delete;
  ~ScopedModuleParameter();

 private:
  std::string name_;
  std::string before_;
};

}  // namespace figment
