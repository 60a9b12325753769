// SPDX-License-Identifier: MIT
// The register map as data: which register an access means, and whether it may.
//
// What a register holds and does is the Model's business. Here is only what the
// contract says about offset, width and direction, once for all registers.
#pragma once

#include <optional>

#include "figment_hw.h"
#include "units.h"

namespace figment {

enum class Register : uint8_t {
  id,
  version,
  features,
  config,
  vram_bytes,
  time,
  scratch,
  guest_errors,
  control,
  status,
  reset,
  error,
  event_base,
  event_size_lg2,
  event_read,
  event_write,
  event_stalls,
  inval_first,
  inval_last,
  inval_command,
  inval_seq,
  inval_done,
  inject_kind,
  inject_when,
  inject_number,
  inject_after,
  inject_value,
  inject_queue,
  inject_engine,
  inject_vector,
  inject_event,
  inject_first,
  inject_last,
  inject_command,
  inject_rules,
  inject_select,
  inject_strikes,
  queue_desc,
  queue_command,
  queue_state,
  queue_code,
  queue_engine,
  queue_address,
  queue_read,
  queue_write,
  asid_root,
};

struct RegisterAccess {
  Register which;
  uint32_t index = 0;  // of the queue or the address space
};

// Nothing: no such register in a device with these properties, or not of this
// width, or not in this direction.
std::optional<RegisterAccess> decode_register(uint64_t offset, unsigned bytes, bool write,
                                              const figment_model_config& config);

}  // namespace figment
