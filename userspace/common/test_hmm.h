// SPDX-License-Identifier: MIT
//
// test_hmm, a device of the kernel's own for its tests of memory: it has page tables and no
// hardware, and a mirror of the process that opens it. Beside a GPU it is a second device on the
// same memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "figment/handle.h"

namespace figment {

/// The module: a file that FIGMENT_TEST_HMM names, or the kernel's own. If it was not there
/// before, it is for as long as the object lives.
class HmmModule {
 public:
  HmmModule();
  HmmModule(const HmmModule&) = delete;
  HmmModule& operator=(const HmmModule&) = delete;
  ~HmmModule();

  /// Empty: the device is there.
  [[nodiscard]] const std::string& why_not() const { return why_not_; }

 private:
  bool loaded_ = false;
  std::string why_not_;
};

/// What a call of the device has done.
struct HmmResult {
  int error = 0;             // errno, or 0
  std::uint64_t pages = 0;   // that were copied
  std::uint64_t faults = 0;  // calls of hmm_range_fault() and what belongs to it
};

/// The address space of this process, as the device sees it. Memory is of whole pages.
class HmmMirror {
 public:
  /// std::system_error: there is no such device.
  HmmMirror();

  /// The device reads `memory`, and what it has read is copied to `to`.
  [[nodiscard]] HmmResult read(std::span<const std::byte> memory, std::span<std::byte> to) const;
  /// The device writes what is in `from`.
  [[nodiscard]] HmmResult write(std::span<std::byte> memory, std::span<const std::byte> from) const;
  /// Nobody but the device may reach the pages, until somebody tries. ENOENT: somebody has, before
  /// the device had read all of them; they have been its own all the same.
  [[nodiscard]] HmmResult make_exclusive(std::span<std::byte> memory,
                                         std::span<std::byte> to) const;
  /// The pages move into memory of the device. They must be home, by a touch of each, before this
  /// object goes: the module looks for it then. ENOENT as above, or some of them cannot move.
  [[nodiscard]] HmmResult migrate(std::span<std::byte> memory, std::span<std::byte> to) const;

 private:
  UniqueFd file_;
};

}  // namespace figment
