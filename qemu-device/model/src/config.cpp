// SPDX-License-Identifier: MIT
#include "config.h"

#include <format>
#include <string_view>

#include "units.h"

namespace figment {

namespace {

constexpr uint32_t kEnginesMax = 16;
constexpr uint32_t kStepBytesMin = 64;
constexpr uint32_t kTlbEntriesMin = 16;
constexpr uint32_t kCacheEntriesMax = 65536;
constexpr uint32_t kPrefetchPagesMax = 64;

}  // namespace

figment_model_config default_config() {
  return {
      .engines = FIGMENT_MODEL_DEFAULT_ENGINES,
      .queues = FIGMENT_MODEL_DEFAULT_QUEUES,
      .asids = FIGMENT_MODEL_DEFAULT_ASIDS,
      .va_bits = FIGMENT_MODEL_DEFAULT_VA_BITS,
      .preempt = FIGMENT_PREEMPT_NONE,
      .faults = false,
      .inject = false,
      .tlb_entries = FIGMENT_MODEL_DEFAULT_TLB_ENTRIES,
      .walk_cache_entries = FIGMENT_MODEL_DEFAULT_WALK_CACHE_ENTRIES,
      .prefetch_pages = FIGMENT_MODEL_DEFAULT_PREFETCH_PAGES,
      .retention_ns = FIGMENT_MODEL_DEFAULT_RETENTION_NS,
      .step_bytes = FIGMENT_MODEL_DEFAULT_STEP_BYTES,
      .step_bytes_min = 0,
      .bytes_per_us = FIGMENT_MODEL_DEFAULT_BYTES_PER_US,
      .timeslice_ns = FIGMENT_MODEL_DEFAULT_TIMESLICE_NS,
      .poll_ns = FIGMENT_MODEL_DEFAULT_POLL_NS,
      .doorbell = {},
      .invalidate = {},
      .access = {},
      .event = {},
      .interrupt = {},
      .preemption = {},
  };
}

std::expected<void, std::string> check_config(const figment_model_config& config) {
  struct Range {
    std::string_view name;
    uint64_t value, min, max;
  };
  const Range ranges[] = {
      {"engines", config.engines, 1, kEnginesMax},
      {"queues", config.queues, 1, FIGMENT_QUEUES_MAX},
      {"asids", config.asids, 1, FIGMENT_ASIDS_MAX},
      {"va_bits", config.va_bits, FIGMENT_VA_BITS, FIGMENT_VA_BITS},
      {"preempt", config.preempt, FIGMENT_PREEMPT_NONE, FIGMENT_PREEMPT_INSTRUCTION},
      {"tlb_entries", config.tlb_entries, kTlbEntriesMin, kCacheEntriesMax},
      {"walk_cache_entries", config.walk_cache_entries, 0, kCacheEntriesMax},
      {"prefetch_pages", config.prefetch_pages, 0, kPrefetchPagesMax},
      {"step_bytes", config.step_bytes, kStepBytesMin, kStepBytesMax},
  };
  for (const Range& range : ranges) {
    if (range.value >= range.min && range.value <= range.max) continue;
    if (range.min == range.max) {
      return std::unexpected(
          std::format("{} is {}, but must be {}", range.name, range.value, range.min));
    }
    return std::unexpected(std::format("{} is {}, but must be from {} to {}", range.name,
                                       range.value, range.min, range.max));
  }
  if (config.step_bytes_min != 0 && (config.step_bytes_min < kStepBytesMin ||
                                     config.step_bytes_min > config.step_bytes)) {
    return std::unexpected(std::format("step_bytes_min is {}, but must be 0, or from {} to {}",
                                       config.step_bytes_min, kStepBytesMin, config.step_bytes));
  }
  const std::pair<std::string_view, figment_latency> latencies[] = {
      {"doorbell", config.doorbell},
      {"invalidate", config.invalidate},
      {"access", config.access},
      {"event", config.event},
      {"interrupt", config.interrupt},
      {"preemption", config.preemption},
  };
  for (const auto& [name, latency] : latencies) {
    if (latency.min_ns <= latency.max_ns) continue;
    return std::unexpected(
        std::format("latency {} is {}..{} ns, but its minimum must not exceed "
                    "its maximum",
                    name, latency.min_ns, latency.max_ns));
  }
  return {};
}

}  // namespace figment
