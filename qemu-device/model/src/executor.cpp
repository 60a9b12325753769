// SPDX-License-Identifier: MIT
#include "executor.h"

#include <array>

namespace figment {

Result<void> Executor::apply(const Packet&, Progress&, const Access&, Memory&, Nanos) const {
  FIGMENT_ASSERT(!"a packet without accesses");
}

const Executor* executor_of(uint32_t opcode) {
  switch (opcode) {
    case FIGMENT_OP_NOP:
      return &kNop;
    case FIGMENT_OP_INDIRECT:
      return &kIndirect;
    case FIGMENT_OP_FILL:
      return &kFill;
    case FIGMENT_OP_COPY:
      return &kCopy;
    case FIGMENT_OP_ATOMIC:
      return &kAtomic;
    case FIGMENT_OP_WAIT:
      return &kWait;
    case FIGMENT_OP_RELEASE:
      return &kRelease;
    case FIGMENT_OP_TIMESTAMP:
      return &kTimestamp;
    case FIGMENT_OP_SPIN:
      return &kSpin;
    case FIGMENT_OP_CHASE:
      return &kChase;
  }
  return nullptr;
}

// A naturally aligned value never crosses a page: one piece.
Result<uint64_t> load_value(const Extent& extent, Memory& memory) {
  FIGMENT_ASSERT(extent.count == 1);
  const auto value = memory.load(extent.pieces[0].at, static_cast<unsigned>(extent.bytes));
  if (!value) return std::unexpected(bus_fault(extent));
  return *value;
}

Result<void> store_value(const Extent& extent, Memory& memory, uint64_t value) {
  FIGMENT_ASSERT(extent.count == 1);
  if (!memory.store(extent.pieces[0].at, value, static_cast<unsigned>(extent.bytes))) {
    return std::unexpected(bus_fault(extent));
  }
  return {};
}

}  // namespace figment
