// SPDX-License-Identifier: MIT
#include "packet_check.h"

#include <cinttypes>

#include "archive.h"
#include "config.h"

namespace figment {

namespace {

// An extent that translation can have made: pages of memory in the order of work.
void check_extent(const Queue& queue, const Extent& extent) {
  const auto need = [&](bool condition, const char* what) {
    require(condition, "queue %u: an access in flight %s", queue.id, what);
  };
  if (extent.bytes == 0) return;
  need(extent.bytes <= kStepBytesMax, "is larger than a step");
  need(in_va_space(extent.va.value, extent.bytes), "is outside the address space");
  uint64_t covered = 0;
  for (const Piece& piece : std::span(extent.pieces).first(extent.count)) {
    need(piece.bytes != 0 && piece.bytes <= extent.bytes - covered, "has a piece of a wrong size");
    const uint64_t va = extent.backward ? extent.va.value + extent.bytes - covered - piece.bytes
                                        : extent.va.value + covered;
    const uint64_t offset = piece.at.in_vram() ? piece.at.vram().value : piece.at.bus().value;
    need(is_multiple(offset - va, kPageBytes), "has a piece at a wrong place of its page");
    need(offset < kBusEnd && piece.bytes <= kBusEnd - offset, "is outside the bus");
    // Work goes through one piece after the other: they meet at ends of pages.
    need(covered == 0 || is_multiple(extent.backward ? va + piece.bytes : va, kPageBytes),
         "has pieces that meet inside a page");
    covered += piece.bytes;
  }
  need(covered == extent.bytes, "has pieces of a wrong size");
}

// One side of an access against what the packet wants. Less of it than wanted is possible.
void check_side(const Queue& queue, const Extent& extent, GpuVa va, uint64_t bytes, bool backward,
                uint64_t granule) {
  check_extent(queue, extent);
  const bool part = granule != 0 && extent.bytes != 0 && extent.bytes < bytes &&
                    is_multiple(extent.bytes, granule);
  require(extent.bytes == bytes || part, "queue %u: an access in flight has %" PRIu64 " of %" PRIu64 " bytes",
          queue.id, extent.bytes, bytes);
  if (bytes == 0) return;
  const GpuVa at = backward ? va + (bytes - extent.bytes) : va;
  require(extent.va == at && extent.backward == backward,
          "queue %u: an access in flight is not what its packet wants", queue.id);
}

void check_fetch(const Queue& queue, const Access& access) {
  const Execution& run = queue.run;
  const uint64_t qwords = run.fetched == 0 ? kPacketQwordsMax : run.packet.qwords();
  const uint64_t most = std::min(qwords * 8, queue.source_bytes()) - run.fetched * 8;
  require(access.write.bytes == 0 && access.read.bytes != 0,
          "queue %u: a fetch in flight does not read", queue.id);
  check_side(queue, access.read, queue.source_at(run.fetched * 8), most, false, 8);
  require(access.read.count == 1, "queue %u: a fetch in flight has %u pieces", queue.id,
          access.read.count);
}

}  // namespace

Code check_packet(const Queue& queue) {
  const Execution& run = queue.run;
  const Packet& packet = run.packet;
  if (packet.version() != FIGMENT_PACKET_VERSION_0) return Code::version;
  const Executor* executor = executor_of(packet.opcode());
  if (!executor) return Code::opcode;
  const uint32_t qwords = executor->qwords();
  if (packet.qwords() == 0 || (qwords != 0 && packet.qwords() != qwords) ||
      packet.bytes() > queue.source_bytes()) {
    return Code::length;
  }
  if (!is_complete(run)) return Code::none;
  return executor->check(packet, {.privileged = queue.has_privilege(), .depth = run.depth});
}

bool is_complete(const Execution& run) {
  return run.fetched >= std::max(executor_of(run.packet.opcode())->qwords(), 1u);
}

void check_execution(const Queue& queue) {
  const auto need = [&](bool condition, const char* what) {
    require(condition, "queue %u: %s", queue.id, what);
  };
  const Execution& run = queue.run;
  need(run.depth <= FIGMENT_INDIRECT_DEPTH, "its buffers nest too deep");
  need(run.fetched <= kPacketQwordsMax, "more of a packet is fetched than there can be");
  bool privileged = queue.privileged;
  for (const Execution::Frame& frame : std::span(run.frames).first(run.depth)) {
    need(is_multiple(frame.at, 8) && is_multiple(frame.end, 8) && frame.at <= frame.end &&
             frame.end <= kVaEnd,
         "a buffer is not in the address space");
    need(frame.privileged <= (privileged ? 1u : 0u), "a buffer has a privilege from nowhere");
    privileged = frame.privileged != 0;
  }
  need(run.depth == 0 || queue.visible - queue.read >= sizeof(figment_packet_indirect),
       "a buffer runs, but no packet that could have called it is announced");
  if (run.phase == Execution::Phase::fetch && run.fetched == 0) return;
  need(run.fetched != 0 && run.packet.at == queue.source_at(0).value,
       "it is in a packet that is not the next one");
  need(check_packet(queue) == Code::none, "it is in a packet that is malformed");
  if (run.phase == Execution::Phase::fetch) {
    need(!is_complete(run), "a packet is complete and still being fetched");
    return;
  }
  need(is_complete(run), "a packet runs that is not complete");
  need(run.progress.reserved == 0 &&
           executor_of(run.packet.opcode())->reachable(run.packet, run.progress),
       "no packet of this kind gets to where this one is");
}

void check_access(const Queue& queue, const Access& access) {
  require(access.asid == queue.asid, "queue %u: an access in flight is in another address space",
          queue.id);
  const Execution& run = queue.run;
  if (run.phase == Execution::Phase::fetch) {
    check_fetch(queue, access);
    return;
  }
  // At the end of time nothing is too early, and a large step cuts nothing off.
  const Executor* executor = executor_of(run.packet.opcode());
  const Pace pace{.now = kNever, .step_bytes = kVaEnd, .poll_ns = 0};
  const Want want = executor->plan(run.packet, run.progress, pace);
  require(want.kind == Want::Kind::access, "queue %u: its packet wants no access, but one is in flight",
          queue.id);
  const uint64_t granule = executor->granule(run.packet);
  check_side(queue, access.read, want.read, want.read_bytes, want.backward, granule);
  check_side(queue, access.write, want.write, want.write_bytes, want.backward, granule);
  require(want.read_bytes == 0 || access.write.bytes <= access.read.bytes,
          "queue %u: an access in flight writes more than it reads", queue.id);
}

}  // namespace figment
