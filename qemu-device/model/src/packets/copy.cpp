// SPDX-License-Identifier: MIT
// COPY: memmove() by GPU address. Progress::done: bytes copied, counted from
// the end that goes first.
//
// When the destination starts inside the source, the last byte goes first,
// otherwise the first. Both extents are in that order, so the data moves piece
// by piece between mapped memory without a buffer.
#include "executor.h"

namespace figment {

namespace {

// From here on source and destination do not stay in a core's caches from one packet to the next.
constexpr uint64_t kStreamingBytes = 4u << 20;

class Copy final : public Executor {
  uint32_t qwords() const override { return sizeof(figment_packet_copy) / 8; }

  Code check(const Packet& packet, const Standing&) const override {
    const auto operands = packet.as<figment_packet_copy>();
    if (packet.flags() != 0) return Code::field;
    const Code code = check_range(operands.destination, operands.bytes);
    return code == Code::none ? check_range(operands.source, operands.bytes) : code;
  }

  Want plan(const Packet& packet, const Progress& progress, const Pace& pace) const override {
    const auto operands = packet.as<figment_packet_copy>();
    const uint64_t rest = operands.bytes - progress.done;
    if (rest == 0) return {};
    const uint64_t bytes = std::min(pace.step_bytes, rest);
    const bool backward = is_backward(operands);
    const uint64_t skip = backward ? rest - bytes : progress.done;
    return {.kind = Want::Kind::access,
            .backward = backward,
            .read = {operands.source + skip},
            .read_bytes = bytes,
            .write = {operands.destination + skip},
            .write_bytes = bytes};
  }

  Result<void> apply(const Packet& packet, Progress& progress, const Access& access, Memory& memory,
                     Nanos) const override {
    const auto operands = packet.as<figment_packet_copy>();
    const bool backward = is_backward(operands);
    const bool streaming = operands.bytes >= kStreamingBytes;
    Cursor source(access.read);
    Cursor target(access.write);
    uint64_t rest = std::min(access.read.bytes, access.write.bytes);
    while (rest != 0) {
      const uint64_t bytes = std::min({rest, source.rest(), target.rest()});
      switch (memory.copy(target.take(bytes), source.take(bytes), bytes, backward,
                          streaming)) {
        case Memory::Copied::all:
          break;
        case Memory::Copied::source_failed:
          return std::unexpected(Fault{Code::bus, source.taken_va()});
        case Memory::Copied::target_failed:
          return std::unexpected(Fault{Code::bus, target.taken_va()});
      }
      progress.done += bytes;
      rest -= bytes;
    }
    return {};
  }

  bool reachable(const Packet& packet, const Progress& p) const override {
    return p.stage == 0 && unused(p.value, p.until_ns) &&
           p.done <= packet.as<figment_packet_copy>().bytes;
  }

  uint64_t granule(const Packet&) const override { return 1; }

  static bool is_backward(const figment_packet_copy& operands) {
    return operands.destination > operands.source &&
           operands.destination - operands.source < operands.bytes;
  }

  // A place in an extent that moves in the extent's direction.
  class Cursor {
   public:
    explicit Cursor(const Extent& extent) : extent_(extent) {}

    // Contiguous bytes ahead.
    uint64_t rest() const { return extent_.pieces[piece_].bytes - used_; }

    // The lowest location of the next `bytes`, which are passed. bytes <= rest().
    Location take(uint64_t bytes) {
      const Piece& piece = extent_.pieces[piece_];
      const uint64_t offset = extent_.backward ? piece.bytes - used_ - bytes : used_;
      taken_va_ = extent_.backward ? extent_.va.value + extent_.bytes - passed_ - bytes
                                   : extent_.va.value + passed_;
      passed_ += bytes;
      used_ += bytes;
      if (used_ == piece.bytes && piece_ + 1 < extent_.count) {
        ++piece_;
        used_ = 0;
      }
      return piece.at + offset;
    }
    uint64_t taken_va() const { return taken_va_; }

   private:
    const Extent& extent_;
    unsigned piece_ = 0;
    uint64_t used_ = 0;    // of the piece
    uint64_t passed_ = 0;  // of the extent
    uint64_t taken_va_ = 0;
  };
};

constexpr Copy kObject;

}  // namespace

const Executor& kCopy = kObject;

}  // namespace figment
