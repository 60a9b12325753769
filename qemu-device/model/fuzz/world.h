// SPDX-License-Identifier: MIT
// One input of the fuzzer, played: a GPU, a hostile guest that does what the
// bytes say, and the rules that must hold whatever that is.
//
// The first four bytes are the configuration, then come actions (actions.h), one
// after the other. There are two kinds of guest:
//
//   kernel   writes everything: registers, roots, the event ring, resets.
//   tenant   what user space of a good driver can bring about on its own queues
//            and address spaces: packets, page-table contents, doorbells, starts,
//            preemptions and resets of its queues, answers to faults, invalidations.
//
// The rules:
//
//   1. No sanitizer report; the strict FakeHost adds that the model reaches no
//      RAM that it has not mapped, and says what it wrote.
//   2. A call of the model makes a bounded number of calls of its host: most_calls().
//   3. The model never breaks (reads as all ones because an assertion failed). One that a rule of
//      injection has removed reads so, too; the host puts it back.
//   4. Reports in the event ring are whole and numbered without a gap (tenant).
//   5. A queue of another address space does its known job in bounded time while
//      the tenant's queues go on, because there is an engine for each (tenant).
//   6. After a device reset or PCI reset, and without injection, every queue does its known job.
//
// What the guest cannot reach (the memory of known jobs, for a tenant also
// descriptors and the event ring) is at a bus address that depends on the whole
// input, so no input can contain it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bytes.h"
#include "known_job.h"

namespace figment::fuzz {

// Sizes of the stage. The work area is mapped at GPU address 0 of all address spaces of the guest;
// its first pages have their uses, page by page, but anything may be written anywhere.
inline constexpr uint32_t kQueues = 4;
inline constexpr uint32_t kAsids = 4;
inline constexpr uint32_t kGuestQueues = 3;  // of a tenant; the last is for the known job
inline constexpr uint64_t kWorkPages = 48;
inline constexpr uint64_t kRingPage = 0;        // one a queue
inline constexpr uint64_t kTablePage = 4;       // levels 3, 2, 1, 0
inline constexpr uint64_t kDescriptorPage = 8;  // of a kernel
inline constexpr uint64_t kEventPage = 9;       // of a kernel
inline constexpr uint64_t kBufferPage = 10;     // two, for INDIRECT
inline constexpr uint64_t kDataPage = 12;
// And further pages of the address spaces.
inline constexpr uint64_t kVramPage = 48;    // 8 of VRAM
inline constexpr uint64_t kDevicePage = 56;  // 4 that cannot be mapped by the host
inline constexpr uint64_t kHolePage = 60;    // 2 that do not answer
inline constexpr uint64_t kReadOnlyPage = 62;
inline constexpr uint64_t kPrivilegedPage = 63;
inline constexpr uint64_t kMappedPages = 64;
inline constexpr uint64_t kVramBytes = 16 * test::kPage;

// The configuration: the first bytes of an input.
struct Setting {
  bool tenant = false;
  bool pci_reset_at_end = false;
  test::GpuOptions options;

  static Setting from(Reader& bytes, std::span<const uint8_t> input);
};

// Calls that one small step may make: translations, data in pieces, and everything that is due.
uint64_t most_calls(const figment_model_config& config, uint64_t map_bytes_max);

class World {
 public:
  explicit World(std::span<const uint8_t> input);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Everything: the actions, then rules 5 and 6.
  void play();

 private:
  // A store of another processor in the middle of a call of the model.
  struct Meanwhile {
    uint64_t at_call = 0;
    uint16_t word = 0;
    uint64_t value = 0;
  };

  void act();
  void put_word(uint16_t word, uint64_t value);
  void set_up_tables();
  void bring_up();
  void start_queue();
  uint64_t descriptor(uint32_t queue) const;
  void announce_in_descriptor(uint32_t queue);
  void submit();
  void write_packet(uint64_t bus);
  void invalidate();
  void table_entry();
  void write_register();
  void save_and_load();
  void run(unsigned steps);
  void check();
  void read_events(unsigned most);
  void expect_known_job();
  void expect_reset_restores();
  void other_processors();

  // Decoding.
  uint64_t value();
  uint64_t operand();
  uint64_t entry();
  uint64_t register_offset();
  std::vector<uint64_t> packet();

  uint64_t hidden(uint64_t page) const;
  void tell(const std::string& text) const;
  [[noreturn]] void broken(const std::string& rule) const;

  Reader bytes_;
  const Setting setting_;
  const uint64_t most_calls_;
  uint64_t steps_allowed_ = 1;  // of the present call of the model
  test::Gpu gpu_;
  std::optional<test::KnownJobs> witness_;
  std::vector<Meanwhile> meanwhile_;
  uint64_t ring_write_[kQueues] = {};
  uint64_t known_events_ = 0;
  bool in_meanwhile_ = false;
};

// Tell each action in words on stderr.
void set_telling(bool on);

}  // namespace figment::fuzz
