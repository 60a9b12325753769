// SPDX-License-Identifier: MIT
// The state of the whole model as a stream: what it begins with, what is in it,
// and what must hold between the parts.
//
//   8 bytes   "FIGMODEL"
//   u32       version of this frame
//   u32, text the layout of everything that follows
//   record    the shape: what of the configuration the state depends on
//   record    the state
//
// The layout is made by the same functions that save and load, so a model with
// one member more or less refuses the stream and does not misread it.
#include <algorithm>
#include <cinttypes>
#include <utility>

#include "model.h"
#include "records.h"

namespace figment {

namespace {

constexpr uint64_t kMagic = 0x4c45444f4d474946;  // "FIGMODEL"
constexpr uint32_t kVersion = 1;
constexpr size_t kLayoutMost = 64u << 10;

// Sizes that the state depends on: indexes are below them, lists are as long.
struct Shape {
  uint32_t engines = 0;
  uint32_t queues = 0;
  uint32_t asids = 0;
  uint32_t va_bits = 0;
  uint32_t preempt = 0;
  bool faults = false;
  bool inject = false;
  uint32_t tlb_entries = 0;
  uint32_t walk_cache_entries = 0;
  uint64_t vram_bytes = 0;

  Shape(const figment_model_config& config, const Host& host) {
    // All members are named, so that a new one is decided on. What is not used here only sets the
    // pace, and may be another one from now on.
    [[maybe_unused]] const auto& [engines_, queues_, asids_, va_bits_, preempt_, faults_, inject_,
                                  tlb_entries_, walk_cache_entries_, prefetch_pages, retention_ns,
                                  step_bytes, step_bytes_min, bytes_per_us, timeslice_ns, poll_ns,
                                  doorbell, invalidate, access, event, interrupt, preemption] =
        config;
    engines = engines_;
    queues = queues_;
    asids = asids_;
    va_bits = va_bits_;
    preempt = preempt_;
    faults = faults_;
    inject = inject_;
    tlb_entries = tlb_entries_;
    walk_cache_entries = walk_cache_entries_;
    vram_bytes = host.vram_bytes();
  }

  void describe(Archive& archive) {
    FIGMENT_FIELDS(archive, engines, queues, asids, va_bits, preempt, faults, inject, tlb_entries,
                   walk_cache_entries, vram_bytes);
  }
};

void require_same(const Shape& theirs, const Shape& ours) {
  const auto same = [](const char* name, uint64_t there, uint64_t here) {
    require(there == here, "%s is %" PRIu64 " in the stream, but %" PRIu64 " here", name, there, here);
  };
  same("engines", theirs.engines, ours.engines);
  same("queues", theirs.queues, ours.queues);
  same("asids", theirs.asids, ours.asids);
  same("va_bits", theirs.va_bits, ours.va_bits);
  same("preempt", theirs.preempt, ours.preempt);
  same("faults", theirs.faults, ours.faults);
  same("inject", theirs.inject, ours.inject);
  same("tlb_entries", theirs.tlb_entries, ours.tlb_entries);
  same("walk_cache_entries", theirs.walk_cache_entries, ours.walk_cache_entries);
  same("vram_bytes", theirs.vram_bytes, ours.vram_bytes);
}

// Where two layouts part, in a few words.
std::string difference(const std::string& theirs, const std::string& ours) {
  const auto at = static_cast<size_t>(std::ranges::mismatch(theirs, ours).in1 - theirs.begin());
  const auto near = [&](const std::string& text) {
    const size_t begin = at < 20 ? 0 : at - 20;
    std::string words = begin < text.size() ? text.substr(begin, 50) : "";
    std::ranges::replace_if(words, [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
    return words;
  };
  return "'" + near(theirs) + "' there, '" + near(ours) + "' here";
}

}  // namespace

void Model::describe(Archive& archive) {
  auto& [config, host, injector, memory, mmu, interrupts, events, run_queue, queues, invalidator,
         scheduler, guest_errors, scratch, error, resetting] = *this;
  // `memory` keeps nothing between two calls; time, VRAM and randomness are the host's. Engines
  // refer to queues, so they come after them.
  FIGMENT_FIELDS(archive, guest_errors, scratch, error, resetting, injector, mmu, interrupts,
                 events, queues, run_queue, scheduler, invalidator);
}

void Model::frame(Archive& archive) {
  const Shape ours(config_, host_);
  Shape shape = ours;
  // The layout is that of the types: it does not depend on what this model holds.
  static const std::string own_layout = [&] {
    Archive layouter = Archive::for_layout();
    layouter.field("shape", shape);
    describe(layouter);
    return layouter.layout();
  }();
  std::string layout = own_layout;

  uint64_t magic = kMagic;
  uint32_t version = kVersion;
  archive.bare(magic);
  require(magic == kMagic, "this is not the state of a Figment model");
  archive.bare(version);
  require(version == kVersion, "the stream has version %u, but only %u is known", version, kVersion);
  archive.bytes(layout, kLayoutMost);
  if (layout != own_layout) {
    throw StreamRefused("the stream is of a model that holds other things: " +
                        difference(layout, own_layout));
  }
  archive.field("shape", shape);
  require_same(shape, ours);
  describe(archive);
}

std::vector<std::byte> Model::save() {
  Archive archive = Archive::for_save();
  frame(archive);
  return archive.saved();
}

void Model::load(std::span<const std::byte> stream) {
  Archive archive = Archive::for_load(stream);
  frame(archive);
  archive.end();
  check();
}

// The parts have checked each number by itself; here they look at what they hold together.
void Model::check() const {
  constexpr uint32_t kErrors = FIGMENT_ERROR_EVENT_BUS | FIGMENT_ERROR_EVENT_FULL |
                               FIGMENT_ERROR_INVAL_FULL | FIGMENT_ERROR_DESC_BUS;
  require((error_ & ~kErrors) == 0, "ERROR has bits that there are not: %#x", error_);
  mmu_.check();
  events_.check(config_.queues, config_.asids);
  queues_.check();
  scheduler_.check();
  invalidator_.check(events_.waiting(FIGMENT_EVENT_NO_QUEUE, FIGMENT_EVENT_INVALIDATED),
                     scheduler_.engines_in_flight());
  require(!resetting_ || scheduler_.engines_in_flight() != 0,
          "a reset waits for accesses, but none is in flight");
}

}  // namespace figment
