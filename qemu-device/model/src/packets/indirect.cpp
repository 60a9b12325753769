// SPDX-License-Identifier: MIT
// INDIRECT: runs the packets of another buffer.
//
// The call itself touches no memory; the packets of the buffer are fetched one
// by one like those of the ring. An empty buffer is no error.
#include "executor.h"

namespace figment {

namespace {

class Indirect final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_indirect) / 8; }

  Code check(const Packet& packet, const Standing& standing) const override {
    const auto operands = packet.as<figment_packet_indirect>();
    if ((packet.flags() & ~FIGMENT_INDIRECT_PRIVILEGED) != 0) return Code::field;
    if ((packet.flags() & FIGMENT_INDIRECT_PRIVILEGED) && !standing.privileged) return Code::field;
    if (!is_multiple(operands.address, 8) || !is_multiple(operands.bytes, 8)) return Code::field;
    if (!in_va_space(operands.address, operands.bytes)) return Code::field;
    return standing.depth < FIGMENT_INDIRECT_DEPTH ? Code::none : Code::nesting;
  }

  Want plan(const Packet& packet, const Progress&, const Pace&) const override {
    const auto operands = packet.as<figment_packet_indirect>();
    return {.kind = Want::Kind::call, .read = {operands.address}, .read_bytes = operands.bytes};
  }

  bool reachable(const Packet&, const Progress& p) const override {
    return p.stage == 0 && unused(p.done, p.value, p.until_ns);
  }
};

constexpr Indirect kObject;

}  // namespace

const Executor& kIndirect = kObject;

}  // namespace figment
