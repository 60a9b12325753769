// SPDX-License-Identifier: MIT
//
// A cgroup, for what depends on who pays for the pages.
#pragma once

#include <string>
#include <string_view>

#include "figment/handle.h"

namespace figment::stress {

class Cgroup {
 public:
  /// An empty one with that controller. Lacks: this kernel has no cgroups of version 2 with it.
  explicit Cgroup(std::string_view controller = "memory");
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;
  /// Who is in it is where everybody is, after.
  ~Cgroup();

  /// The folder, for clone3().
  [[nodiscard]] int fd() const { return folder_.get(); }
  /// This process pays there from here on for pages that it gets.
  void enter();
  /// Writes to a file of it. errno, or 0.
  [[nodiscard]] int set(const char* file, std::string_view value) const;
  /// What is in a file of it.
  [[nodiscard]] std::string get(const char* file) const;

 private:
  std::string mount_;
  UniqueFd root_;
  UniqueFd folder_;
};

}  // namespace figment::stress
