// SPDX-License-Identifier: MIT
#include "model.h"

#include <algorithm>
#include <bit>

namespace figment {

namespace {

// Reports that a queue may have under way: one fence, two errors, one reset, one fault, one
// preemption.
constexpr size_t kReportsPerQueue = 6;

// What a device reads as that is not there.
constexpr uint64_t kNothing = ~0ull;

constexpr uint64_t to_field(uint64_t value, uint64_t mask) {
  return value << std::countr_zero(mask) & mask;
}

}  // namespace

Model::Model(const figment_model_config& config, const figment_model_host& host)
    : config_(config),
      host_(host),
      injector_(host_, config_),
      memory_(host_, injector_),
      mmu_(host_, memory_, config_),
      interrupts_(host_, injector_, config_.interrupt),
      events_(host_, memory_, interrupts_, injector_, config_.event,
              config_.queues * kReportsPerQueue + FIGMENT_INVAL_DEPTH, *this),
      run_queue_(config_.queues),
      queues_(host_, memory_, events_, run_queue_, injector_, config_, *this),
      invalidator_(host_, mmu_, events_, config_, *this),
      scheduler_(host_, memory_, mmu_, queues_, run_queue_, injector_, config_, *this) {}

// Guest accesses

bool Model::gone(const Opportunity& access) {
  return injector_.removed() || injector_.strike(InjectKind::removed, access);
}

uint64_t Model::register_read(uint64_t offset, unsigned bytes) {
  const Call call(memory_);
  if (gone({})) return kNothing;
  const auto access = decode_register(offset, bytes, false, config_);
  if (!access) {
    guest_error(offset, bytes, 0, false);
    return 0;
  }
  return read(*access);
}

void Model::register_write(uint64_t offset, uint64_t value, unsigned bytes) {
  const Call call(memory_);
  if (gone({})) return;
  const auto access = decode_register(offset, bytes, true, config_);
  if (!access || resetting_ || !write(*access, value)) guest_error(offset, bytes, value, true);
  pump(host_.now());
}

uint64_t Model::doorbell_read(uint64_t offset, unsigned bytes) {
  if (gone({})) return kNothing;
  guest_error(offset, bytes, 0, false);
  return 0;
}

void Model::doorbell_write(uint64_t offset, uint64_t value, unsigned bytes) {
  const Call call(memory_);
  const uint64_t queue = offset / FIGMENT_DOORBELL_BYTES;
  if (gone({.queue = queue < config_.queues ? static_cast<uint32_t>(queue) : FIGMENT_INJECT_ANY})) {
    return;
  }
  if (offset % FIGMENT_DOORBELL_BYTES != 0 || bytes != 8 || queue >= config_.queues) {
    guest_error(offset, bytes, value, true);
    return;
  }
  if (resetting_) return;
  const Nanos now = host_.now();
  queues_.doorbell(static_cast<uint32_t>(queue), value, now);
  pump(now);
}

uint64_t Model::read(const RegisterAccess& access) const {
  switch (access.which) {
    case Register::id:
      return FIGMENT_ID;
    case Register::version:
      return FIGMENT_VERSION;
    case Register::features:
      return features();
    case Register::config:
      return configuration();
    case Register::vram_bytes:
      return host_.vram_bytes();
    case Register::time:
      return host_.now();
    case Register::scratch:
      return scratch_;
    case Register::guest_errors:
      return guest_errors_;
    case Register::control:
      return scheduler_.enabled() ? FIGMENT_CONTROL_ENABLE : 0;
    case Register::status:
      return status();
    case Register::error:
      return error_;
    case Register::event_base:
      return events_.base();
    case Register::event_size_lg2:
      return events_.size_lg2();
    case Register::event_read:
      return events_.read_index();
    case Register::event_write:
      return events_.write_index();
    case Register::event_stalls:
      return events_.stalls();
    case Register::inval_first:
      return invalidator_.first();
    case Register::inval_last:
      return invalidator_.last();
    case Register::inval_seq:
      return invalidator_.sequence();
    case Register::inval_done:
      return invalidator_.done();
    case Register::inject_kind:
      return injector_.draft().kind;
    case Register::inject_when:
      return injector_.draft().when;
    case Register::inject_number:
      return injector_.draft().number;
    case Register::inject_after:
      return injector_.draft().after;
    case Register::inject_value:
      return injector_.draft().value;
    case Register::inject_queue:
      return injector_.draft().queue;
    case Register::inject_engine:
      return injector_.draft().engine;
    case Register::inject_vector:
      return injector_.draft().vector;
    case Register::inject_event:
      return injector_.draft().event;
    case Register::inject_first:
      return injector_.draft().first;
    case Register::inject_last:
      return injector_.draft().last;
    case Register::inject_rules:
      return injector_.rules();
    case Register::inject_select:
      return injector_.selected();
    case Register::inject_strikes:
      return injector_.strikes(injector_.selected());
    case Register::queue_desc:
      return queues_[access.index].descriptor.value;
    case Register::queue_state:
      return static_cast<uint32_t>(queues_[access.index].state);
    case Register::queue_code:
      return static_cast<uint32_t>(queues_[access.index].error.code);
    case Register::queue_engine:
      return static_cast<uint32_t>(queues_[access.index].engine);
    case Register::queue_address:
      return queues_[access.index].error.address;
    case Register::queue_read:
      return queues_[access.index].read;
    case Register::queue_write:
      return queues_[access.index].announced;
    case Register::asid_root:
      return mmu_.root(Asid{access.index});
    case Register::reset:
    case Register::inval_command:
    case Register::inject_command:
    case Register::queue_command:
      break;
  }
  FIGMENT_ASSERT(!"read of a write-only register");
}

bool Model::write(const RegisterAccess& access, uint64_t value) {
  const auto value32 = static_cast<uint32_t>(value);
  switch (access.which) {
    case Register::scratch:
      scratch_ = value;
      return true;
    case Register::control:
      if ((value & ~FIGMENT_CONTROL_ENABLE) != 0) return false;
      scheduler_.set_enabled(value != 0);
      return true;
    case Register::reset:
      return start_reset(value);
    case Register::error:
      error_ &= ~value32;
      return true;
    case Register::event_base:
      return events_.set_base(value);
    case Register::event_size_lg2:
      return events_.set_size_lg2(value32);
    case Register::event_read:
      return events_.set_read_index(value32);
    case Register::inval_first:
      invalidator_.set_first(value);
      return true;
    case Register::inval_last:
      invalidator_.set_last(value);
      return true;
    case Register::inval_command:
      return invalidator_.command(value, host_.now());
    case Register::inject_kind:
      injector_.draft().kind = value32;
      return true;
    case Register::inject_when:
      injector_.draft().when = value32;
      return true;
    case Register::inject_number:
      injector_.draft().number = value;
      return true;
    case Register::inject_after:
      injector_.draft().after = value;
      return true;
    case Register::inject_value:
      injector_.draft().value = value;
      return true;
    case Register::inject_queue:
      injector_.draft().queue = value32;
      return true;
    case Register::inject_engine:
      injector_.draft().engine = value32;
      return true;
    case Register::inject_vector:
      injector_.draft().vector = value32;
      return true;
    case Register::inject_event:
      injector_.draft().event = value32;
      return true;
    case Register::inject_first:
      injector_.draft().first = value;
      return true;
    case Register::inject_last:
      injector_.draft().last = value;
      return true;
    case Register::inject_command:
      return injector_.command(value32, host_.now());
    case Register::inject_select:
      return injector_.select(value32);
    case Register::queue_desc:
      return queues_.set_descriptor(access.index, value);
    case Register::queue_command:
      return queues_.command(access.index, value32, host_.now());
    case Register::asid_root:
      mmu_.set_root(Asid{access.index}, value);
      return true;
    case Register::id:
    case Register::version:
    case Register::features:
    case Register::config:
    case Register::vram_bytes:
    case Register::time:
    case Register::guest_errors:
    case Register::status:
    case Register::event_write:
    case Register::event_stalls:
    case Register::inval_seq:
    case Register::inval_done:
    case Register::inject_rules:
    case Register::inject_strikes:
    case Register::queue_state:
    case Register::queue_code:
    case Register::queue_engine:
    case Register::queue_address:
    case Register::queue_read:
    case Register::queue_write:
      break;
  }
  FIGMENT_ASSERT(!"write of a read-only register");
}

uint64_t Model::features() const {
  return (config_.faults ? FIGMENT_FEATURE_FAULTS : 0) |
         (config_.inject ? FIGMENT_FEATURE_INJECT : 0) |
         to_field(config_.preempt, FIGMENT_FEATURE_PREEMPT);
}

uint64_t Model::configuration() const {
  return to_field(config_.engines, FIGMENT_CONFIG_ENGINES) |
         to_field(config_.queues, FIGMENT_CONFIG_QUEUES) |
         to_field(config_.asids, FIGMENT_CONFIG_ASIDS) |
         to_field(config_.va_bits, FIGMENT_CONFIG_VA_BITS);
}

uint32_t Model::status() const {
  const bool idle = !resetting_ && scheduler_.idle() && queues_.next_ns() == kNever &&
                    !invalidator_.pending() && !events_.pending() && !interrupts_.pending();
  return (idle ? FIGMENT_STATUS_IDLE : 0) | (resetting_ ? FIGMENT_STATUS_RESETTING : 0);
}

void Model::guest_error(uint64_t offset, unsigned bytes, uint64_t value, bool write) {
  ++guest_errors_;
  host_.trace(FIGMENT_TRACE_GUEST_ERROR, offset, bytes, value, write);
}

// What the parts tell

void Model::event_entered(uint16_t queue, uint16_t type) {
  if (type == FIGMENT_EVENT_INVALIDATED) {
    invalidator_.event_entered();
  } else {
    queues_.event_entered(queue, type, host_.now());
  }
}

void Model::raise_error(uint32_t bits) {
  const uint32_t risen = bits & ~error_;
  error_ |= bits;
  if (risen != 0) interrupts_.raise(FIGMENT_VECTOR_ERROR);
}

uint32_t Model::engines_using(Asid asid, GpuVa first, GpuVa last) const {
  return scheduler_.engines_using(asid, first, last);
}

uint32_t Model::engines_in_flight() const {
  return scheduler_.engines_in_flight();
}

void Model::access_completed(unsigned engine) {
  invalidator_.access_completed(engine);
}

// Time

void Model::pump(Nanos now) {
  if (resetting_) {
    scheduler_.drain(now);
    if (scheduler_.engines_in_flight() != 0) return;
    resetting_ = false;
    reset_parts();
  }
  queues_.pump(now);
  invalidator_.pump(now);
  events_.pump(now);
  interrupts_.pump(now);
}

Nanos Model::next_ns() const {
  if (injector_.removed()) return kNever;
  if (resetting_) return scheduler_.next_drain_ns();
  return std::min({scheduler_.next_ns(), queues_.next_ns(), invalidator_.next_ns(),
                   events_.next_ns(), interrupts_.next_ns()});
}

figment_model_progress Model::run(uint64_t steps) {
  const Call call(memory_);
  uint64_t done = 0;
  for (; !injector_.removed(); ++done) {
    const Nanos now = host_.now();
    pump(now);
    if (done == steps || resetting_ || !scheduler_.step(now)) break;
  }
  return {.steps = done, .next_ns = next_ns()};
}

// Resets

bool Model::start_reset(uint64_t key) {
  if (key != FIGMENT_RESET_KEY) return false;
  host_.trace(FIGMENT_TRACE_RESET);
  resetting_ = true;  // pump() goes on, at once when nothing is in flight
  return true;
}

void Model::reset() {
  const Call call(memory_);
  host_.trace(FIGMENT_TRACE_RESET);
  resetting_ = false;
  guest_errors_ = 0;
  reset_parts();
}

void Model::reset_parts() {
  scheduler_.reset();
  queues_.reset();
  run_queue_.clear();
  invalidator_.reset();
  events_.reset();
  interrupts_.reset();
  mmu_.reset();
  injector_.reset();
  scratch_ = 0;
  error_ = 0;
}

// Injection

std::expected<unsigned, std::string> Model::inject(const figment_injection& rule) {
  return injector_.arm(rule, host_.now());
}

void Model::clear_injection() {
  const bool was_removed = injector_.removed();
  injector_.clear();
  if (was_removed) reset();
}

}  // namespace figment
