// SPDX-License-Identifier: MIT
//
// The memory map of the machine changes while processors use it: BARs leave it and come back. That
// is QEMU's own affair, and so a precondition of all tests that reset a function or suspend the
// machine.
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <format>
#include <string>
#include <thread>

#include "figment_hw.h"
#include "guest.h"
#include "unbound_device.h"

namespace figment::guest {
namespace {

UniqueFd open_pci(const std::string& bus, const char* file) {
  const std::string path = std::format("/sys/bus/pci/devices/{}/{}", bus, file);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) fail(errno, "open of " + path);
  return fd;
}

/// A QEMU without images/qemu/memory-map.patch reads something else about once in a thousand.
constexpr std::uint64_t kChanges = 1000;

/// Of a GPU without a driver: whether its BARs are in the memory map.
class Decoding {
 public:
  explicit Decoding(const std::string& bus) : config_(open_pci(bus, "config")) {}
  ~Decoding() { set(true); }
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  void set(bool on) {
    std::uint16_t command = 0;
    EXPECT_EQ(::pread(config_.get(), &command, sizeof command, PCI_COMMAND), 2);
    command = static_cast<std::uint16_t>(on ? command | PCI_COMMAND_MEMORY
                                            : command & ~PCI_COMMAND_MEMORY);
    EXPECT_EQ(::pwrite(config_.get(), &command, sizeof command, PCI_COMMAND), 2);
  }

 private:
  UniqueFd config_;
};

// A processor reads a register of a device that comes and goes, or zero, when nobody answers: never
// anything else, which would be a register of another device.
TEST(MemoryMap, changes_under_a_processor_that_uses_it) {
  if (Device::nodes().size() < 2) GTEST_SKIP() << "one GPU only: run with --gpus 2";
  const Device device = Device::open(1);
  if (!can_be_unbound(device)) GTEST_SKIP() << "the device is on no PCI bus";
  const std::string bus = device.node().bus;
  Gpu other(VmConfig{}, 0);
  UnboundDevice unbound(device);

  const UniqueFd resource = open_pci(bus, "resource0");
  void* registers =
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, resource.get(), 0);
  ASSERT_NE(registers, MAP_FAILED) << name(errno);
  std::atomic<bool> done = false;
  std::uint64_t there = 0;
  std::uint64_t gone = 0;
  std::uint64_t wrong = 0;
  std::thread reader([&] {
    const auto* id = static_cast<const volatile std::uint32_t*>(registers) +
                     FIGMENT_REG_ID / sizeof(std::uint32_t);
    while (!done) {
      const std::uint32_t value = *id;
      ++(value == FIGMENT_ID ? there : value == 0 ? gone : wrong);
    }
  });
  std::atomic<std::uint64_t> changes = 0;
  std::thread changer([&] {
    Decoding decoding(bus);
    while (!done) decoding.set(++changes % 2 == 0);
  });
  // The driver of another GPU has to do with registers meanwhile, too.
  const Deadline patience = after(kPatience);
  while (changes < kChanges && Clock::now() < patience) {
    EXPECT_DONE(outcome(other.queue.run({.at = GpuVa{}})));
  }
  done = true;
  reader.join();
  changer.join();
  ::munmap(registers, kPageBytes);

  EXPECT_EQ(wrong, 0u) << "of " << there + gone + wrong << ", in " << changes.load() << " changes";
  EXPECT_GT(there, 0u);
  EXPECT_GT(gone, 0u);
  EXPECT_GE(changes.load(), kChanges);
}

}  // namespace
}  // namespace figment::guest
