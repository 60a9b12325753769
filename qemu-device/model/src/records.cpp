// SPDX-License-Identifier: MIT
#include "records.h"

namespace figment {

void describe(Archive& archive, GpuVa& va) {
  auto& [value] = va;
  FIGMENT_FIELDS(archive, value);
}

void describe(Archive& archive, BusAddr& bus) {
  auto& [value] = bus;
  FIGMENT_FIELDS(archive, value);
}

void describe(Archive& archive, Asid& asid) {
  auto& [value] = asid;
  FIGMENT_FIELDS(archive, value);
}

void describe(Archive& archive, Location& location) {
  bool in_vram = location.in_vram();
  uint64_t offset = in_vram ? location.vram().value : location.bus().value;
  FIGMENT_FIELDS(archive, in_vram, offset);
  location = in_vram ? Location(VramOffset{offset}) : Location(BusAddr{offset});
}

void describe(Archive& archive, Fault& fault) {
  auto& [code, address, recoverable] = fault;
  FIGMENT_FIELDS(archive, code, address);
}

void describe(Archive& archive, figment_event& event) {
  auto& [seq, type, queue, asid, detail, value, time_ns] = event;
  FIGMENT_FIELDS(archive, seq, type, queue, asid, detail, value, time_ns);
}

void describe(Archive& archive, figment_injection& rule) {
  auto& [kind, when, number, after, value, queue, engine, vector, event, first, last] = rule;
  FIGMENT_FIELDS(archive, kind, when, number, after, value, queue, engine, vector, event, first,
                 last);
}

void describe(Archive& archive, Piece& piece) {
  auto& [at, bytes] = piece;
  FIGMENT_FIELDS(archive, at, bytes);
}

void describe(Archive& archive, Extent& extent) {
  auto& [va, bytes, count, backward, pieces] = extent;
  FIGMENT_FIELDS(archive, va, bytes, backward);
  archive.sequence("pieces", pieces, count);
}

void describe(Archive& archive, Access& access) {
  auto& [asid, read, write, done_ns] = access;
  FIGMENT_FIELDS(archive, asid, read, write, done_ns);
}

void describe(Archive& archive, Packet& packet) {
  auto& [at, words] = packet;
  FIGMENT_FIELDS(archive, at, words);
}

void describe(Archive& archive, Progress& progress) {
  auto& [done, value, until_ns, stage, reserved] = progress;
  FIGMENT_FIELDS(archive, done, value, until_ns, stage, reserved);
}

void describe(Archive& archive, Execution::Frame& frame) {
  auto& [at, end, privileged] = frame;
  FIGMENT_FIELDS(archive, at, end, privileged);
}

void describe(Archive& archive, Execution& execution) {
  auto& [depth, phase, frames, packet, fetched, progress] = execution;
  FIGMENT_FIELDS(archive, depth, phase, frames, packet, fetched, progress);
}

void describe(Archive& archive, Queue& queue) {
  auto& [id, state, error, descriptor, ring, ring_bytes, asid, priority, privileged, timeslice_ns,
         read, announced, visible, doorbell_due_ns, engine, stop, stop_error, preempt_due_ns, run,
         fence_pending, reset_pending, fault_pending, preempted_pending, errors_pending,
         held_by_fence] = queue;
  // `engine` is what the engines say.
  FIGMENT_FIELDS(archive, id, state, error, descriptor, ring, ring_bytes, asid, priority,
                 privileged, timeslice_ns, read, announced, visible, doorbell_due_ns, stop,
                 stop_error, preempt_due_ns, run, fence_pending, reset_pending, fault_pending,
                 preempted_pending, errors_pending, held_by_fence);
}

}  // namespace figment
