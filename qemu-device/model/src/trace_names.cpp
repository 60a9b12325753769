// SPDX-License-Identifier: MIT
#include "trace_names.h"

#include <iterator>

#include "figment/figment_model.h"

namespace figment {

namespace {

struct TracePoint {
  const char* name;
  const char* format;
};

// In the order of enum figment_trace.
constexpr TracePoint kPoints[] = {
    {"doorbell", "queue=%llu write=%#llx"},
    {"queue_state", "queue=%llu old=%llu new=%llu"},
    {"schedule", "engine=%llu queue=%llu priority=%llu"},
    {"deschedule", "engine=%llu queue=%llu ran_ns=%llu"},
    {"packet", "queue=%llu header=%#llx address=%#llx depth=%llu"},
    {"retire", "queue=%llu header=%#llx address=%#llx read=%#llx"},
    {"walk", "asid=%llu va=%#llx level=%llu entry=%#llx"},
    {"tlb_hit", "asid=%llu va=%#llx entry=%#llx"},
    {"prefetch", "asid=%llu va=%#llx entry=%#llx"},
    {"invalidate", "seq=%llu asid=%llu first=%#llx last=%#llx"},
    {"invalidated", "seq=%llu"},
    {"event", "index=%llu type=%llu queue=%llu value=%#llx"},
    {"interrupt", "vector=%llu"},
    {"reset", ""},
    {"fault", "asid=%llu va=%#llx access=%llu code=%llu"},
    {"queue_error", "queue=%llu code=%llu address=%#llx"},
    {"event_stall", "queue=%llu type=%llu"},
    {"injected", "kind=%llu rule=%llu queue=%lld value=%#llx"},
    {"guest_error", "offset=%#llx width=%llu value=%#llx is_write=%llu"},
};
static_assert(std::size(kPoints) == FIGMENT_TRACE_COUNT);

}  // namespace

const char* trace_name(unsigned int event) {
  return event < FIGMENT_TRACE_COUNT ? kPoints[event].name : "?";
}

const char* trace_format(unsigned int event) {
  return event < FIGMENT_TRACE_COUNT ? kPoints[event].format : "";
}

}  // namespace figment
