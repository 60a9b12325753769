// SPDX-License-Identifier: MIT
// describe() of the model's plain values, and which values their enumerations have (archive.h).
#pragma once

#include "archive.h"
#include "executor.h"
#include "queue.h"

namespace figment {

void describe(Archive& archive, GpuVa& va);
void describe(Archive& archive, BusAddr& bus);
void describe(Archive& archive, Asid& asid);
void describe(Archive& archive, Location& location);
void describe(Archive& archive, Fault& fault);
void describe(Archive& archive, figment_event& event);
void describe(Archive& archive, figment_injection& rule);
void describe(Archive& archive, Piece& piece);
void describe(Archive& archive, Extent& extent);
void describe(Archive& archive, Access& access);
void describe(Archive& archive, Packet& packet);
void describe(Archive& archive, Progress& progress);
void describe(Archive& archive, Execution::Frame& frame);
void describe(Archive& archive, Execution& execution);
void describe(Archive& archive, Queue& queue);

constexpr bool known(Code code) {
  return code <= Code::killed;
}
constexpr bool known(Execution::Phase phase) {
  return phase <= Execution::Phase::run;
}
constexpr bool known(Queue::Stop stop) {
  return stop <= Queue::Stop::error;
}
constexpr bool known(QueueState state) {
  return state <= QueueState::error;
}

}  // namespace figment
