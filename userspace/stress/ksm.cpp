// SPDX-License-Identifier: MIT
#include "ksm.h"

#include <sys/mman.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "page_kind.h"
#include "process.h"

namespace figment::stress {
namespace {

std::string knob(const char* name) {
  return std::string("/sys/kernel/mm/ksm/") + name;
}

std::uint64_t scans() {
  std::uint64_t count = 0;
  std::ifstream(knob("full_scans")) >> count;
  return count;
}

}  // namespace

void merge_same_pages(std::span<std::byte> memory) {
  if (::madvise(memory.data(), memory.size(), MADV_MERGEABLE) != 0) {
    throw Lacks("this kernel has no KSM");
  }
  std::ofstream(knob("sleep_millisecs")) << 1;
  std::ofstream(knob("pages_to_scan")) << 10000;
  // Pages that did not change since the scan before are skipped for a while.
  std::ofstream(knob("smart_scan")) << 0;
  std::ofstream(knob("run")) << 1;
  // The first scan notes what the pages hold, the second one merges those that still do; the one
  // that was under way counts for nothing.
  const std::uint64_t enough = scans() + 3;
  const bool done = poll_until([&] { return scans() >= enough; }, after(std::chrono::seconds(60)),
                               std::chrono::milliseconds(1));
  std::ofstream(knob("run")) << 0;
  if (!done) throw Lacks("KSM does not scan");
}

}  // namespace figment::stress
