// SPDX-License-Identifier: MIT
// What it takes to be a packet: one executor per opcode, without state of its
// own, asked the same three questions for as long as the packet lives.
//
//   check()  is the packet well formed? Once, on the copy of the packet.
//   plan()   what next: an access, a pause, a report, another buffer, or done?
//   apply()  the access has arrived: move the data and note the progress.
//
// Between plan() and apply() the access is in flight; it may be shorter than
// planned, and it may never arrive (a fault, a reset). So plan() changes
// nothing that a second plan() would not change again, and only apply() counts
// something as done.
#pragma once

#include <algorithm>

#include "execution.h"
#include "memory.h"
#include "mmu.h"

namespace figment {

// A translated access on its way. Either extent may be empty (bytes 0).
struct Access {
  Asid asid;
  Extent read;
  Extent write;
  Nanos done_ns = 0;

  bool uses(GpuVa first, GpuVa last) const {
    return read.overlaps(first, last) || write.overlaps(first, last);
  }
};

// What the packet wants to do next.
struct Want {
  enum class Kind : uint8_t {
    done,    // retire the packet
    access,  // the two ranges below; empty ones are not accessed
    sleep,   // nothing before until_ns
    report,  // EVENT_FENCE with `value`, then retire
    call,    // run [read, read + read_bytes), then retire
  };
  Kind kind = Kind::done;
  bool backward = false;
  GpuVa read{};
  uint64_t read_bytes = 0;
  GpuVa write{};
  uint64_t write_bytes = 0;
  Nanos until_ns = 0;
  uint64_t value = 0;

  static Want to_read(uint64_t va, uint64_t bytes) {
    return {.kind = Kind::access, .read = {va}, .read_bytes = bytes};
  }
  static Want to_write(uint64_t va, uint64_t bytes) {
    return {.kind = Kind::access, .write = {va}, .write_bytes = bytes};
  }
  static Want to_sleep(Nanos until_ns) { return {.kind = Kind::sleep, .until_ns = until_ns}; }
};

// Where a packet stands.
struct Standing {
  bool privileged = false;
  uint32_t depth = 0;  // of the buffer that the packet is in; 0: the ring
};

// What plan() may look at.
struct Pace {
  Nanos now = 0;
  uint64_t step_bytes = 0;  // most data for one access, a multiple of 8
  Nanos poll_ns = 0;        // between two looks of WAIT
};

class Executor {
 public:
  // Exactly this many qwords; 0: the executor takes any that is not 0.
  virtual uint32_t qwords() const = 0;
  // Code::none, or what is wrong with the packet.
  virtual Code check(const Packet& packet, const Standing& standing) const = 0;
  virtual Want plan(const Packet& packet, const Progress& progress, const Pace& pace) const = 0;
  virtual Result<void> apply(const Packet& packet, Progress& progress, const Access& access,
                             Memory& memory, Nanos now) const;
  // For streams: whether a packet, well formed, can have come there. Progress::reserved is 0.
  virtual bool reachable(const Packet& packet, const Progress& progress) const = 0;
  // An access may be shorter than planned, to a multiple of this; 0: never.
  virtual uint64_t granule(const Packet&) const { return 0; }
  // plan() said sleep: note what the pause started with, once.
  virtual void begin_sleep(Progress&, Nanos /*until_ns*/) const {}
  // The queue leaves its engine in the middle of the packet: times that pass only on an engine stop.
  virtual void pause(Progress&, Nanos /*now*/) const {}

 protected:
  ~Executor() = default;
};

// The executor of an opcode, or null.
const Executor* executor_of(uint32_t opcode);

// One object each, in packets/.
extern const Executor& kNop;
extern const Executor& kIndirect;
extern const Executor& kFill;
extern const Executor& kCopy;
extern const Executor& kAtomic;
extern const Executor& kWait;
extern const Executor& kRelease;
extern const Executor& kTimestamp;
extern const Executor& kSpin;
extern const Executor& kChase;

// Helpers that several executors use.

// A field that the packet never uses is 0.
inline bool unused(uint64_t first, uint64_t second = 0, uint64_t third = 0) {
  return (first | second | third) == 0;
}

// The one value of an access of 4 or 8 bytes.
Result<uint64_t> load_value(const Extent& extent, Memory& memory);
Result<void> store_value(const Extent& extent, Memory& memory, uint64_t value);

inline Fault bus_fault(const Extent& extent) {
  return {Code::bus, extent.va.value};
}

// Code::field unless [address, address + bytes) is in the address space.
inline Code check_range(uint64_t address, uint64_t bytes) {
  return in_va_space(address, bytes) ? Code::none : Code::field;
}

// Code::field unless one value of `bytes` at `address` is aligned and in the address space.
inline Code check_value(uint64_t address, uint64_t bytes) {
  return is_multiple(address, bytes) ? check_range(address, bytes) : Code::field;
}

}  // namespace figment
