// SPDX-License-Identifier: MIT
//
// All clients of the driver at one moment, found through /proc.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "client.h"

namespace figment::top {

struct Process {
  unsigned pid = 0;
  std::string name;
  std::vector<Client> clients;
};

struct Sample {
  std::chrono::steady_clock::time_point time;
  /// Those that have clients, by pid. A client that several processes have (a file that was
  /// inherited or handed over) is with the first of them only.
  std::vector<Process> processes;
};

/// `proc` has the form of /proc. Processes that end while it is read, and those of others that
/// may not be looked at, are left out.
[[nodiscard]] Sample take_sample(const std::filesystem::path& proc = "/proc");

}  // namespace figment::top
