// SPDX-License-Identifier: MIT
// TIMESTAMP: stores the device time at which the store happens.
// Progress::stage 1: done.
#include "executor.h"

namespace figment {

namespace {

class Timestamp final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_timestamp) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    if (packet.flags() != 0) return Code::field;
    return check_value(packet.as<figment_packet_timestamp>().address, 8);
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace&) const override {
    if (progress.stage != 0) return {};
    return Want::to_write(packet.as<figment_packet_timestamp>().address, 8);
  }

  Result<void> apply(const Packet&, Progress& progress, const Access& access, Memory& memory,
                     Nanos now) const override {
    progress.stage = 1;
    return store_value(access.write, memory, now);
  }

  bool reachable(const Packet&, const Progress& p) const override {
    return p.stage <= 1 && unused(p.done, p.value, p.until_ns);
  }
};

constexpr Timestamp kObject;

}  // namespace

const Executor& kTimestamp = kObject;

}  // namespace figment
