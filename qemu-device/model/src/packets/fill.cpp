// SPDX-License-Identifier: MIT
// FILL: elements of 1, 2, 4 or 8 bytes, in order. Progress::done: bytes written.
//
// Addresses, sizes and pages are all multiples of the element, so an access
// never ends inside one.
#include "executor.h"

namespace figment {

namespace {

constexpr uint32_t kFlags = FIGMENT_FILL_ELEMENT_LG2 | FIGMENT_FILL_INCREMENT;

class Fill final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_fill) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    const auto operands = packet.as<figment_packet_fill>();
    if ((packet.flags() & ~kFlags) != 0) return Code::field;
    const uint64_t element = element_bytes(packet);
    if (!is_multiple(operands.address, element) || !is_multiple(operands.bytes, element)) {
      return Code::field;
    }
    return check_range(operands.address, operands.bytes);
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace& pace) const override {
    const auto operands = packet.as<figment_packet_fill>();
    if (progress.done == operands.bytes) return {};
    return Want::to_write(operands.address + progress.done,
                          std::min<uint64_t>(pace.step_bytes, operands.bytes - progress.done));
  }

  Result<void> apply(const Packet& packet, Progress& progress, const Access& access, Memory& memory,
                     Nanos) const override {
    const auto operands = packet.as<figment_packet_fill>();
    Pattern pattern{.value = operands.value,
                    .element_bytes = element_bytes(packet),
                    .increment = (packet.flags() & FIGMENT_FILL_INCREMENT) != 0};
    for (const Piece& piece : std::span(access.write.pieces).first(access.write.count)) {
      if (pattern.increment) pattern.value = operands.value + progress.done / pattern.element_bytes;
      if (!memory.fill(piece.at, piece.bytes, pattern)) {
        return std::unexpected(Fault{Code::bus, operands.address + progress.done});
      }
      progress.done += piece.bytes;
    }
    return {};
  }

  bool reachable(const Packet& packet, const Progress& p) const override {
    return p.stage == 0 && unused(p.value, p.until_ns) &&
           p.done <= packet.as<figment_packet_fill>().bytes &&
           is_multiple(p.done, element_bytes(packet));
  }

  uint64_t granule(const Packet& packet) const override { return element_bytes(packet); }

  static unsigned element_bytes(const Packet& packet) {
    return 1u << field(packet.flags(), FIGMENT_FILL_ELEMENT_LG2);
  }
};

constexpr Fill kObject;

}  // namespace

const Executor& kFill = kObject;

}  // namespace figment
