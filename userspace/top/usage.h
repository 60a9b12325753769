// SPDX-License-Identifier: MIT
//
// What each process has used of each GPU between two samples.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "sample.h"

namespace figment::top {

struct EngineUse {
  std::uint64_t busy_ns = 0;  // between the samples
  std::uint64_t capacity = 1;
  /// Of the time between the samples and of all engines of the kind, in percent. A job counts when
  /// it ends: one that began long before can make this more than 100.
  double percent = 0;
};

/// One process on one GPU.
struct Use {
  unsigned pid = 0;
  std::string process;
  std::string gpu;
  std::string client;  // names that its clients have given themselves
  unsigned clients = 0;
  std::map<std::string, EngineUse> engines;
  std::map<std::string, Region> regions;
  std::uint64_t svm_vram = 0;
};

/// Of the processes in `after`, the busiest first. A client that was not in `before` has used
/// nothing yet but memory: when its jobs ran is not known. A counter that went back has not moved.
[[nodiscard]] std::vector<Use> usage_between(const Sample& before, const Sample& after);

[[nodiscard]] std::string to_table(const std::vector<Use>& uses);
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<Use>& uses);

/// What a process calls itself must not move the cursor: bytes that are no printable ASCII become
/// '?', and what is too long is cut.
[[nodiscard]] std::string printable(std::string_view text, std::size_t most);

}  // namespace figment::top
