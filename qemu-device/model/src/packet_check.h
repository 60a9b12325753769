// SPDX-License-Identifier: MIT
// Is the packet that a queue is in well formed, and can the queue have come
// this far in it? The engine asks the first of what it has fetched; load() asks
// both of what a stream says.
#pragma once

#include "executor.h"
#include "queue.h"

namespace figment {

// Of the packet at the top of queue.run, as far as it is fetched: at least the header. Code::none
// when nothing is wrong so far.
Code check_packet(const Queue& queue);
// Whether all of that packet is here that its executor needs. Its opcode is known.
bool is_complete(const Execution& run);

// Both throw StreamRefused. The queue's ring and indexes have been checked.
void check_execution(const Queue& queue);
// `access` is in flight for the queue, whose execution has been checked.
void check_access(const Queue& queue, const Access& access);

}  // namespace figment
