// SPDX-License-Identifier: MIT
// WAIT: looks at memory until a comparison holds. Progress::stage 1: it has
// looked, last at Progress::until_ns; 2: the comparison held.
#include "executor.h"

namespace figment {

namespace {

constexpr uint32_t kFlags = FIGMENT_WAIT_COMPARE | FIGMENT_WAIT_64;

class Wait final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_wait) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    if ((packet.flags() & ~kFlags) != 0) return Code::field;
    if (field(packet.flags(), FIGMENT_WAIT_COMPARE) > FIGMENT_WAIT_GE) return Code::field;
    return check_value(packet.as<figment_packet_wait>().address, width(packet));
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace& pace) const override {
    if (progress.stage == 2) return {};
    if (progress.stage == 1) {
      const Nanos next_look = later(progress.until_ns, pace.poll_ns);
      if (pace.now < next_look) return Want::to_sleep(next_look);
    }
    return Want::to_read(packet.as<figment_packet_wait>().address, width(packet));
  }

  Result<void> apply(const Packet& packet, Progress& progress, const Access& access, Memory& memory,
                     Nanos now) const override {
    const auto operands = packet.as<figment_packet_wait>();
    const Result<uint64_t> value = load_value(access.read, memory);
    if (!value) return std::unexpected(value.error());
    progress.stage = holds(packet, *value & operands.mask, operands.reference) ? 2 : 1;
    progress.until_ns = now;
    return {};
  }

  bool reachable(const Packet&, const Progress& p) const override {
    if (p.stage == 0 && p.until_ns != 0) return false;
    return p.stage <= 2 && unused(p.done, p.value);
  }

  static unsigned width(const Packet& packet) { return packet.flags() & FIGMENT_WAIT_64 ? 8 : 4; }
  static bool holds(const Packet& packet, uint64_t value, uint64_t reference) {
    switch (field(packet.flags(), FIGMENT_WAIT_COMPARE)) {
      case FIGMENT_WAIT_EQ:
        return value == reference;
      case FIGMENT_WAIT_NE:
        return value != reference;
      case FIGMENT_WAIT_LT:
        return value < reference;
      case FIGMENT_WAIT_LE:
        return value <= reference;
      case FIGMENT_WAIT_GT:
        return value > reference;
      case FIGMENT_WAIT_GE:
        return value >= reference;
    }
    return false;
  }
};

constexpr Wait kObject;

}  // namespace

const Executor& kWait = kObject;

}  // namespace figment
