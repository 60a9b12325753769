// SPDX-License-Identifier: MIT
// RELEASE: store a value after everything before it, then report it.
// Progress::stage 1: the store is done, or there is none.
//
// A queue does one packet at a time and an access completes before the next
// one starts, so "after everything before it" needs only the release order of
// Memory::store().
#include "executor.h"

namespace figment {

namespace {

constexpr uint32_t kFlags = FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64 | FIGMENT_RELEASE_EVENT;

class Release final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_release) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    const auto operands = packet.as<figment_packet_release>();
    if ((packet.flags() & ~kFlags) != 0) return Code::field;
    if (!writes(packet)) return operands.address == 0 ? Code::none : Code::field;
    return check_value(operands.address, width(packet));
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace&) const override {
    const auto operands = packet.as<figment_packet_release>();
    if (progress.stage == 0 && writes(packet)) {
      return Want::to_write(operands.address, width(packet));
    }
    if (!(packet.flags() & FIGMENT_RELEASE_EVENT)) return {};
    return {.kind = Want::Kind::report, .value = operands.value};
  }

  Result<void> apply(const Packet& packet, Progress& progress, const Access& access, Memory& memory,
                     Nanos) const override {
    progress.stage = 1;
    return store_value(access.write, memory, packet.as<figment_packet_release>().value);
  }

  bool reachable(const Packet& packet, const Progress& p) const override {
    return p.stage <= (writes(packet) ? 1 : 0) && unused(p.done, p.value, p.until_ns);
  }

  static bool writes(const Packet& packet) { return (packet.flags() & FIGMENT_RELEASE_WRITE) != 0; }
  static unsigned width(const Packet& packet) {
    return packet.flags() & FIGMENT_RELEASE_64 ? 8 : 4;
  }
};

constexpr Release kObject;

}  // namespace

const Executor& kRelease = kObject;

}  // namespace figment
