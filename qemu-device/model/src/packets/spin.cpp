// SPDX-License-Identifier: MIT
// SPIN: keeps the engine busy for a time. Progress::stage 1: it has begun, and
// Progress::until_ns is its end.
#include "executor.h"

namespace figment {

namespace {

class Spin final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_spin) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    return packet.flags() == 0 ? Code::none : Code::field;
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace& pace) const override {
    const Nanos end = progress.stage == 0 ? later(pace.now, packet.as<figment_packet_spin>().ns)
                                          : progress.until_ns;
    return pace.now < end ? Want::to_sleep(end) : Want{};
  }

  void begin_sleep(Progress& progress, Nanos until_ns) const override {
    progress.stage = 1;
    progress.until_ns = until_ns;
  }

  bool reachable(const Packet&, const Progress& p) const override {
    if (p.stage == 0 && p.until_ns != 0) return false;
    return p.stage <= 1 && unused(p.done, p.value);
  }
};

constexpr Spin kObject;

}  // namespace

const Executor& kSpin = kObject;

}  // namespace figment
