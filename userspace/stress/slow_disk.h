// SPDX-License-Identifier: MIT
//
// SlowDisk is a block device that answers when it is told to, for direct reads that have to be in
// flight while something else happens: an nbd whose server is a process of ours. What it holds is
// computed from the address, so that no read can be taken for another one: sector n * 512 + page
// has the stamp n of that page.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "compared_words.h"
#include "figment/handle.h"
#include "shared.h"

namespace figment::stress {

class SlowDisk {
 public:
  /// Pages of a range that it has stamps for.
  static constexpr std::uint32_t kPages = 512;

  /// Does nothing when there is no nbd to be had; then lacks() says why.
  SlowDisk();
  SlowDisk(const SlowDisk&) = delete;
  SlowDisk& operator=(const SlowDisk&) = delete;
  ~SlowDisk();

  [[nodiscard]] const std::string& lacks() const { return lacks_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Where the stamps n are.
  [[nodiscard]] static constexpr std::uint64_t offset(Sequence n) {
    return std::uint64_t{n} * kPages * kSectorBytes;
  }

  // For all processes that were forked since.

  /// From here on reads get no answer.
  void hold() { state_->held = true; }
  void let_go() { state_->held = false; }
  /// Bytes that reads have asked for so far: what has arrived has its pages.
  [[nodiscard]] std::uint64_t asked() { return state_->asked; }

 private:
  struct State {
    std::atomic<bool> held = false;
    std::atomic<std::uint64_t> asked = 0;
  };

  void start();
  [[noreturn]] static void serve(int socket, State& state);
  [[noreturn]] static void attach(const std::string& path, int socket);

  SharedObject<State> state_;
  std::string path_;
  std::string lacks_;
  pid_t server_ = -1;
  pid_t keeper_ = -1;  // stays in the kernel for as long as the device is there
};

}  // namespace figment::stress
