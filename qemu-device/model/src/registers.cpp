// SPDX-License-Identifier: MIT
#include "registers.h"

#include <span>

namespace figment {

namespace {

enum class Direction : uint8_t { ro, wo, rw };

struct Entry {
  uint32_t offset;
  uint8_t bytes;
  Direction direction;
  Register which;
};

constexpr Entry kGlobal[] = {
    {FIGMENT_REG_ID, 4, Direction::ro, Register::id},
    {FIGMENT_REG_VERSION, 4, Direction::ro, Register::version},
    {FIGMENT_REG_FEATURES, 8, Direction::ro, Register::features},
    {FIGMENT_REG_CONFIG, 8, Direction::ro, Register::config},
    {FIGMENT_REG_VRAM_BYTES, 8, Direction::ro, Register::vram_bytes},
    {FIGMENT_REG_TIME, 8, Direction::ro, Register::time},
    {FIGMENT_REG_SCRATCH, 8, Direction::rw, Register::scratch},
    {FIGMENT_REG_GUEST_ERRORS, 8, Direction::ro, Register::guest_errors},
    {FIGMENT_REG_CONTROL, 4, Direction::rw, Register::control},
    {FIGMENT_REG_STATUS, 4, Direction::ro, Register::status},
    {FIGMENT_REG_RESET, 4, Direction::wo, Register::reset},
    {FIGMENT_REG_ERROR, 4, Direction::rw, Register::error},
    {FIGMENT_REG_EVENT_BASE, 8, Direction::rw, Register::event_base},
    {FIGMENT_REG_EVENT_SIZE_LG2, 4, Direction::rw, Register::event_size_lg2},
    {FIGMENT_REG_EVENT_READ, 4, Direction::rw, Register::event_read},
    {FIGMENT_REG_EVENT_WRITE, 4, Direction::ro, Register::event_write},
    {FIGMENT_REG_EVENT_STALLS, 4, Direction::ro, Register::event_stalls},
    {FIGMENT_REG_INVAL_FIRST, 8, Direction::rw, Register::inval_first},
    {FIGMENT_REG_INVAL_LAST, 8, Direction::rw, Register::inval_last},
    {FIGMENT_REG_INVAL_COMMAND, 8, Direction::wo, Register::inval_command},
    {FIGMENT_REG_INVAL_SEQ, 8, Direction::ro, Register::inval_seq},
    {FIGMENT_REG_INVAL_DONE, 8, Direction::ro, Register::inval_done},
};

constexpr Entry kInject[] = {
    {FIGMENT_REG_INJECT_KIND, 4, Direction::rw, Register::inject_kind},
    {FIGMENT_REG_INJECT_WHEN, 4, Direction::rw, Register::inject_when},
    {FIGMENT_REG_INJECT_NUMBER, 8, Direction::rw, Register::inject_number},
    {FIGMENT_REG_INJECT_AFTER, 8, Direction::rw, Register::inject_after},
    {FIGMENT_REG_INJECT_VALUE, 8, Direction::rw, Register::inject_value},
    {FIGMENT_REG_INJECT_QUEUE, 4, Direction::rw, Register::inject_queue},
    {FIGMENT_REG_INJECT_ENGINE, 4, Direction::rw, Register::inject_engine},
    {FIGMENT_REG_INJECT_VECTOR, 4, Direction::rw, Register::inject_vector},
    {FIGMENT_REG_INJECT_EVENT, 4, Direction::rw, Register::inject_event},
    {FIGMENT_REG_INJECT_FIRST, 8, Direction::rw, Register::inject_first},
    {FIGMENT_REG_INJECT_LAST, 8, Direction::rw, Register::inject_last},
    {FIGMENT_REG_INJECT_COMMAND, 4, Direction::wo, Register::inject_command},
    {FIGMENT_REG_INJECT_RULES, 4, Direction::ro, Register::inject_rules},
    {FIGMENT_REG_INJECT_SELECT, 4, Direction::rw, Register::inject_select},
    {FIGMENT_REG_INJECT_STRIKES, 8, Direction::ro, Register::inject_strikes},
};

// Offsets inside a queue's block.
constexpr Entry kQueue[] = {
    {FIGMENT_QUEUE_DESC, 8, Direction::rw, Register::queue_desc},
    {FIGMENT_QUEUE_COMMAND, 4, Direction::wo, Register::queue_command},
    {FIGMENT_QUEUE_STATE, 4, Direction::ro, Register::queue_state},
    {FIGMENT_QUEUE_CODE, 4, Direction::ro, Register::queue_code},
    {FIGMENT_QUEUE_ENGINE, 4, Direction::ro, Register::queue_engine},
    {FIGMENT_QUEUE_ADDRESS, 8, Direction::ro, Register::queue_address},
    {FIGMENT_QUEUE_READ, 8, Direction::ro, Register::queue_read},
    {FIGMENT_QUEUE_WRITE, 8, Direction::ro, Register::queue_write},
};

constexpr Entry kRoot[] = {{0, 8, Direction::rw, Register::asid_root}};

constexpr uint64_t kInjectFirst = FIGMENT_REG_INJECT_KIND;
constexpr uint64_t kQueueFirst = FIGMENT_REG_QUEUE(0);
constexpr uint64_t kQueueBytes = FIGMENT_REG_QUEUE(1) - kQueueFirst;
constexpr uint64_t kRootFirst = FIGMENT_REG_ASID_ROOT(0);
constexpr uint64_t kRootBytes = FIGMENT_REG_ASID_ROOT(1) - kRootFirst;
static_assert(FIGMENT_REG_QUEUE(FIGMENT_QUEUES_MAX) <= kRootFirst);
static_assert(FIGMENT_REG_ASID_ROOT(FIGMENT_ASIDS_MAX) <= FIGMENT_REGISTERS_BYTES);

std::optional<RegisterAccess> find(std::span<const Entry> table, uint64_t offset, unsigned bytes,
                                   bool write, uint32_t index) {
  for (const Entry& entry : table) {
    if (entry.offset != offset) continue;
    if (entry.bytes != bytes || entry.direction == (write ? Direction::ro : Direction::wo)) {
      return std::nullopt;
    }
    return RegisterAccess{.which = entry.which, .index = index};
  }
  return std::nullopt;
}

}  // namespace

std::optional<RegisterAccess> decode_register(uint64_t offset, unsigned bytes, bool write,
                                              const figment_model_config& config) {
  if (offset < kInjectFirst) return find(kGlobal, offset, bytes, write, 0);
  if (offset < kQueueFirst) {
    if (!config.inject) return std::nullopt;
    return find(kInject, offset, bytes, write, 0);
  }
  if (offset < kQueueFirst + config.queues * kQueueBytes) {
    const uint64_t in_blocks = offset - kQueueFirst;
    return find(kQueue, in_blocks % kQueueBytes, bytes, write,
                static_cast<uint32_t>(in_blocks / kQueueBytes));
  }
  if (offset >= kRootFirst && offset < kRootFirst + config.asids * kRootBytes) {
    const uint64_t in_blocks = offset - kRootFirst;
    return find(kRoot, in_blocks % kRootBytes, bytes, write,
                static_cast<uint32_t>(in_blocks / kRootBytes));
  }
  return std::nullopt;
}

}  // namespace figment
