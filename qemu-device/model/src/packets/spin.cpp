// SPDX-License-Identifier: MIT
// SPIN: keeps the engine busy for a time. Progress::stage 1: it is on an engine,
// and Progress::until_ns is its end; 2: it was taken off, and Progress::value is
// the time that is left.
#include "executor.h"

namespace figment {

namespace {

class Spin final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_spin) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    return packet.flags() == 0 ? Code::none : Code::field;
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace& pace) const override {
    Nanos end = progress.until_ns;
    if (progress.stage == 0) end = later(pace.now, packet.as<figment_packet_spin>().ns);
    if (progress.stage == 2) end = later(pace.now, progress.value);
    return pace.now < end ? Want::to_sleep(end) : Want{};
  }

  void begin_sleep(Progress& progress, Nanos until_ns) const override {
    progress = {.until_ns = until_ns, .stage = 1};
  }

  void pause(Progress& progress, Nanos now) const override {
    if (progress.stage != 1) return;
    progress = {.value = progress.until_ns > now ? progress.until_ns - now : 0, .stage = 2};
  }

  bool reachable(const Packet&, const Progress& p) const override {
    if (p.stage != 1 && p.until_ns != 0) return false;
    if (p.stage != 2 && p.value != 0) return false;
    return p.stage <= 2 && p.done == 0;
  }
};

constexpr Spin kObject;

}  // namespace

const Executor& kSpin = kObject;

}  // namespace figment
