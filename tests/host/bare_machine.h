// SPDX-License-Identifier: MIT
//
// A machine without a guest: QEMU with the device, driven from outside. Its CPUs execute nothing
// and its clock moves only when told (-accel qtest), so that a test does to the device what a driver
// would, at instants that it chooses, and can save and restore the machine between any two of them.
#ifndef FIGMENT_TESTS_BARE_MACHINE_H
#define FIGMENT_TESTS_BARE_MACHINE_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "process.h"
#include "qmp.h"
#include "temporary_folder.h"

namespace figment::host {

// One QEMU. All throw Failure when it does not answer.
class BareMachine {
 public:
  static constexpr std::uint64_t kRegisters = 0xe000'0000;
  static constexpr std::uint64_t kMsix = 0xe001'0000;
  static constexpr std::uint64_t kDoorbells = 0xe010'0000;
  static constexpr std::uint64_t kVram = 0xd000'0000;
  static constexpr std::uint64_t kVramBytes = 1 << 20;
  static constexpr std::uint64_t kRamBytes = 64 << 20;

  // `properties` of the device, such as "seed=7,access-ns=0-900".
  explicit BareMachine(const std::string& properties);
  // The machine that was saved there, standing still.
  BareMachine(const std::string& properties, const fs::path& saved);

  // Gives the BARs their places, and lets the device reach memory. Vector v writes v + 1 to
  // `messages` + 4 * v.
  void set_up_pci(std::uint64_t messages);

  void write(std::uint64_t address, const std::string& bytes);
  std::string read(std::uint64_t address, std::uint64_t bytes);
  void write32(std::uint64_t address, std::uint32_t value) { poke("writel", address, value); }
  void write64(std::uint64_t address, std::uint64_t value) { poke("writeq", address, value); }
  std::uint32_t read32(std::uint64_t address) {
    return static_cast<std::uint32_t>(peek("readl", address));
  }
  std::uint64_t read64(std::uint64_t address) { return peek("readq", address); }

  // Moves the clock, and with it everything that waits for time.
  void pass(std::uint64_t ns);
  std::uint64_t now_ns() const { return now_ns_; }

  // Stops and saves the machine.
  void save(const fs::path& file);
  // A restored machine goes on, at the time when it was saved.
  void resume_at(std::uint64_t now_ns);

  // What QEMU says when it is to restore what it cannot restore, and ends.
  static std::string complaint(const std::string& properties, const fs::path& saved);

 private:
  BareMachine() = default;
  void start(const std::string& properties, bool incoming);
  void restore(const fs::path& saved);
  std::string ask(const std::string& command);
  std::uint64_t peek(const std::string& command, std::uint64_t address);
  void poke(const std::string& command, std::uint64_t address, std::uint64_t value);
  void config_write(std::uint32_t offset, std::uint32_t value);
  std::uint32_t config_read(std::uint32_t offset);

  TemporaryFolder folder_;
  std::unique_ptr<Child> qemu_;
  Fd qtest_;
  std::string incoming_;
  std::unique_ptr<Qmp> qmp_;
  std::uint64_t now_ns_ = 0;
};

}  // namespace figment::host

#endif
