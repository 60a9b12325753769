// SPDX-License-Identifier: MIT
// CHASE: follows pointers, one access each. Progress::done: pointers followed,
// and Progress::value the last one. Progress::stage 1: the result is stored.
#include "executor.h"

namespace figment {

namespace {

class Chase final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_chase) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    const auto operands = packet.as<figment_packet_chase>();
    if (packet.flags() != 0) return Code::field;
    if (!is_pointer(operands.address)) return Code::field;
    return check_value(operands.result, 8);
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace&) const override {
    const auto operands = packet.as<figment_packet_chase>();
    if (progress.stage != 0) return {};
    const uint64_t pointer = pointer_of(operands, progress);
    if (pointer != 0 && progress.done < operands.count) return Want::to_read(pointer, 8);
    return operands.result != 0 ? Want::to_write(operands.result, 8) : Want{};
  }

  Result<void> apply(const Packet& packet, Progress& progress, const Access& access, Memory& memory,
                     Nanos) const override {
    const auto operands = packet.as<figment_packet_chase>();
    if (access.write.bytes != 0) {
      progress.stage = 1;
      return store_value(access.write, memory, pointer_of(operands, progress));
    }
    const Result<uint64_t> next = load_value(access.read, memory);
    if (!next) return std::unexpected(next.error());
    // What memory holds is as little trusted as what the packet holds.
    if (!is_pointer(*next)) return std::unexpected(Fault{Code::field, *next});
    progress.value = *next;
    ++progress.done;
    return {};
  }

  bool reachable(const Packet& packet, const Progress& p) const override {
    const auto operands = packet.as<figment_packet_chase>();
    if (p.done > operands.count || !is_pointer(p.value) || p.until_ns != 0) return false;
    if (p.done == 0 && p.value != 0) return false;
    const bool ended = p.done == operands.count || pointer_of(operands, p) == 0;
    return p.stage == 0 || (p.stage == 1 && ended && operands.result != 0);
  }

  static bool is_pointer(uint64_t value) { return check_value(value, 8) == Code::none; }
  static uint64_t pointer_of(const figment_packet_chase& operands, const Progress& progress) {
    return progress.done == 0 ? operands.address : progress.value;
  }
};

constexpr Chase kObject;

}  // namespace

const Executor& kChase = kObject;

}  // namespace figment
