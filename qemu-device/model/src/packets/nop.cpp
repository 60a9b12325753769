// SPDX-License-Identifier: MIT
// NOP: skips its own length. Its operands are not even fetched.
#include "executor.h"

namespace figment {

namespace {

class Nop final : public Executor {
  uint32_t qwords() const override { return 0; }

  Code check(const Packet& packet, const Standing&) const override {
    return packet.flags() == 0 ? Code::none : Code::field;
  }

  Want plan(const Packet&, const Progress&, const Pace&) const override { return {}; }

  bool reachable(const Packet&, const Progress& p) const override {
    return p.stage == 0 && unused(p.done, p.value, p.until_ns);
  }
};

constexpr Nop kObject;

}  // namespace

const Executor& kNop = kObject;

}  // namespace figment
