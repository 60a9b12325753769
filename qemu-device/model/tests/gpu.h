// SPDX-License-Identifier: MIT
// A GPU on a bench: the model behind its C interface, on a FakeHost, and the
// little that a driver does: page tables, rings, doorbells, events.
//
// Addresses: guest pages come from an allocator in RAM; every GPU has the event
// ring on. Nothing here knows the model's insides.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fake_host.h"
#include "figment/figment_model.h"
#include "figment_hw.h"

namespace figment::test {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kHugePage = 2u << 20;

// Packets as words.
using Words = std::vector<uint64_t>;
Words nop(uint32_t qwords = 1);
Words indirect(uint64_t va, uint64_t bytes, uint32_t flags = 0);
Words fill(uint64_t va, uint64_t bytes, uint64_t value, uint32_t flags = 0);
Words copy(uint64_t to, uint64_t from, uint64_t bytes);
Words atomic(uint32_t flags, uint64_t va, uint64_t operand, uint64_t compare = 0,
             uint64_t result = 0);
Words wait(uint32_t flags, uint64_t va, uint64_t reference, uint64_t mask = ~0ull);
Words release(uint32_t flags, uint64_t va, uint64_t value);
Words fence(uint64_t value);  // RELEASE with EVENT only
Words timestamp(uint64_t va);
Words spin(uint64_t ns);
Words chase(uint64_t va, uint64_t count, uint64_t result);
Words operator+(Words first, const Words& second);

struct GpuOptions {
  FakeHost::Options host;
  figment_model_config config;
  uint32_t event_lg2 = 8;
  uint64_t event_base = 0;  // bus address of the event ring; 0: from the allocator
  // Gets the complaints of the host; without it they fail the test.
  std::function<void(const std::string&)> complain;

  GpuOptions();
};

class Gpu {
 public:
  explicit Gpu(const GpuOptions& options = {});
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  // Registers and doorbells.
  uint64_t read64(uint64_t offset) { return read(offset, 8); }
  uint32_t read32(uint64_t offset) { return static_cast<uint32_t>(read(offset, 4)); }
  void write64(uint64_t offset, uint64_t value) { write(offset, value, 8); }
  void write32(uint64_t offset, uint32_t value) { write(offset, value, 4); }
  uint64_t read(uint64_t offset, unsigned bytes);
  void write(uint64_t offset, uint64_t value, unsigned bytes);
  uint64_t doorbell_read(uint64_t offset, unsigned bytes);
  void doorbell(uint32_t queue, uint64_t value);
  void doorbell(uint64_t offset, uint64_t value, unsigned bytes);

  // What a driver does at bring-up; after a reset once more.
  void bring_up();

  // Work that can be done now, without moving the clock. Returns what run() said.
  figment_model_progress run_now();
  // Moves the clock from one deadline to the next until nothing is to do, or so far, or so much:
  // an endless packet takes no time.
  void run_all(uint64_t for_ns = 1'000'000'000, uint64_t most_steps = 1'000'000);
  void advance(uint64_t ns) { host.now_ns += ns; }
  figment_model_progress step() { return run_steps(1); }
  figment_model_progress run_steps(uint64_t steps);
  // Back to power-on, by PCI reset.
  void pci_reset();

  // Saves the state of the model; empty when it has failed.
  std::vector<std::byte> save();
  // Why the stream is refused; "" when it is not.
  std::string load(std::span<const std::byte> stream);
  // A new model takes the place and the state of the one that is there.
  void replace_model();

  // Injection, from the host. The number of the rule; one that is refused fails the test.
  unsigned inject(const std::string& rule);
  // Why that rule is refused; "" when it is armed.
  std::string inject_refusal(const std::string& rule);
  void inject_clear();
  uint64_t strikes(unsigned rule);
  std::string inject_report();
  bool removed();

  // Guest memory.
  uint64_t allocate(uint64_t bytes, uint64_t alignment = kPage);

  // Page tables: in RAM, or with vram_tables in VRAM.
  static constexpr uint64_t kUser = FIGMENT_PTE_WRITE;
  void map(uint32_t asid, uint64_t va, uint64_t address, uint64_t bytes, uint64_t flags = kUser,
           uint64_t page_bytes = kPage);
  // Fresh RAM under [va, va + bytes): its bus address. Contiguous.
  uint64_t map_new(uint32_t asid, uint64_t va, uint64_t bytes, uint64_t flags = kUser);
  void set_pte(uint32_t asid, uint64_t va, unsigned level, uint64_t entry);
  // Where that entry lives; makes the tables above it.
  uint64_t pte_address(uint32_t asid, uint64_t va, unsigned level);
  uint64_t invalidate(uint32_t asid, uint64_t first, uint64_t last, uint64_t flags = 0);
  uint64_t invalidate_asid(uint32_t asid, uint64_t flags = 0);
  uint64_t invalidate_all(uint64_t flags = 0);

  // Events that arrived, taken out of the ring.
  std::vector<figment_event> events();
  std::vector<figment_event> events_of(uint16_t type);

  uint32_t queue_state(uint32_t q) { return read32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_STATE); }
  uint32_t queue_code(uint32_t q) { return read32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_CODE); }
  uint64_t queue_address(uint32_t q) {
    return read64(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_ADDRESS);
  }
  void command(uint32_t q, uint32_t command) {
    write32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_COMMAND, command);
  }
  uint32_t queue_engine(uint32_t q) { return read32(FIGMENT_REG_QUEUE(q) + FIGMENT_QUEUE_ENGINE); }
  uint64_t guest_errors() { return read64(FIGMENT_REG_GUEST_ERRORS); }

  FakeHost host;
  const figment_model_config config;
  bool vram_tables = false;

 private:
  void check_host();
  void create_model();
  uint64_t allocate_table();
  uint64_t table_load(uint64_t entry, uint64_t index);
  void table_store(uint64_t entry, uint64_t index, uint64_t value);

  struct Destroy {
    void operator()(figment_model* model) const;
  };
  const struct figment_model_api* api_;
  std::unique_ptr<figment_model, Destroy> model_;
  const std::function<void(const std::string&)> complain_;
  const uint32_t event_lg2_;
  uint64_t event_base_ = 0;
  uint32_t event_read_ = 0;
  uint64_t next_free_ = FakeHost::kRamBase;
  uint64_t next_vram_table_ = 0;
};

// A queue with its ring and descriptor, started.
class Ring {
 public:
  struct Options {
    uint32_t asid = 1;
    uint32_t priority = 0;
    uint32_t flags = 0;
    uint64_t timeslice_ns = 0;
    uint32_t lg2 = 12;
    uint64_t start = 0;  // READ and WRITE at the start
    uint64_t va = 0;     // of the ring; 0: a place of its own
  };
  Ring(Gpu& gpu, uint32_t queue, const Options& options);
  Ring(Gpu& gpu, uint32_t queue) : Ring(gpu, queue, Options{}) {}

  void start();
  // Put packets into the ring; visible to the device after ring().
  void push(const Words& words);
  void ring() { gpu_.doorbell(queue_, write_); }
  void submit(const Words& words) {
    push(words);
    ring();
  }

  uint64_t write() const { return write_; }
  uint64_t descriptor() const { return descriptor_; }
  figment_descriptor load() { return gpu_.host.load<figment_descriptor>(descriptor_); }
  uint64_t ring_bus() const { return ring_bus_; }
  uint64_t ring_va() const { return ring_va_; }

 private:
  Gpu& gpu_;
  const uint32_t queue_;
  const Options options_;
  uint64_t ring_va_ = 0;
  uint64_t ring_bus_ = 0;
  uint64_t descriptor_ = 0;
  uint64_t write_ = 0;
};

// A GPU with one queue on address space 1, and data pages: most tests.
class OneQueue : public ::testing::Test {
 protected:
  static constexpr uint32_t kAsid = 1;
  static constexpr uint64_t kData = 0x10'0000;
  static constexpr uint64_t kDataBytes = 64 * kPage;

  OneQueue() : OneQueue(GpuOptions{}) {}
  explicit OneQueue(const GpuOptions& options);

  template <typename T = uint64_t>
  T data(uint64_t offset) {
    return gpu.host.load<T>(data_bus + offset);
  }
  template <typename T>
  void set_data(uint64_t offset, T value) {
    gpu.host.store<T>(data_bus + offset, value);
  }
  std::span<std::byte> bytes(uint64_t offset, uint64_t count) {
    return {gpu.host.memory(data_bus + offset, count), count};
  }
  // Bytes that say where they are.
  void number_bytes();

  // Submit, run to the end, expect no error.
  void run_ok(const Words& words);
  // Submit, run, expect that the queue stops so; then make it usable again.
  void run_error(const Words& words, uint32_t code, std::optional<uint64_t> address = {});

  Gpu gpu;
  uint64_t data_bus;
  Ring ring;
};

}  // namespace figment::test
