// SPDX-License-Identifier: MIT
// ATOMIC: one read-modify-write. Progress::stage 1: it has happened, and
// Progress::value is the old value, which RETURN still has to store. 2: done.
//
// The stages keep a fault on the result from doing the operation twice.
#include "executor.h"

namespace figment {

namespace {

constexpr uint32_t kFlags = FIGMENT_ATOMIC_KIND | FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN;

class Atomic final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_atomic) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    const auto operands = packet.as<figment_packet_atomic>();
    if ((packet.flags() & ~kFlags) != 0) return Code::field;
    const uint32_t kind = field(packet.flags(), FIGMENT_ATOMIC_KIND);
    if (kind > FIGMENT_ATOMIC_XCHG) return Code::field;
    if (kind != FIGMENT_ATOMIC_CAS && operands.compare != 0) return Code::field;
    if (!returns(packet) && operands.result != 0) return Code::field;
    const Code code = check_value(operands.address, width(packet));
    return code == Code::none ? check_value(operands.result, width(packet)) : code;
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace&) const override {
    const auto operands = packet.as<figment_packet_atomic>();
    if (progress.stage == 0) return Want::to_write(operands.address, width(packet));
    if (progress.stage == 1 && returns(packet)) {
      return Want::to_write(operands.result, width(packet));
    }
    return {};
  }

  Result<void> apply(const Packet& packet, Progress& progress, const Access& access, Memory& memory,
                     Nanos) const override {
    if (progress.stage == 0) {
      const auto operands = packet.as<figment_packet_atomic>();
      FIGMENT_ASSERT(access.write.count == 1);
      const auto old = memory.modify(access.write.pieces[0].at, width(packet), kind(packet),
                                     operands.operand, operands.compare);
      if (!old) return std::unexpected(bus_fault(access.write));
      progress.value = *old;
    } else {
      const auto stored = store_value(access.write, memory, progress.value);
      if (!stored) return stored;
    }
    ++progress.stage;
    return {};
  }

  bool reachable(const Packet& packet, const Progress& p) const override {
    if (p.stage == 0 && p.value != 0) return false;
    return p.stage <= (returns(packet) ? 2 : 1) && unused(p.done, p.until_ns);
  }

  static bool returns(const Packet& packet) {
    return (packet.flags() & FIGMENT_ATOMIC_RETURN) != 0;
  }
  static unsigned width(const Packet& packet) { return packet.flags() & FIGMENT_ATOMIC_64 ? 8 : 4; }
  static Modification kind(const Packet& packet) {
    switch (field(packet.flags(), FIGMENT_ATOMIC_KIND)) {
      case FIGMENT_ATOMIC_ADD:
        return Modification::add;
      case FIGMENT_ATOMIC_CAS:
        return Modification::compare_exchange;
    }
    return Modification::exchange;
  }
};

constexpr Atomic kObject;

}  // namespace

const Executor& kAtomic = kObject;

}  // namespace figment
