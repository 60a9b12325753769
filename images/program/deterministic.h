// SPDX-License-Identifier: MIT
//
// What makes a prepared guest deterministic: a seed decides all that hardware may decide, and what
// the guest reads is in images that do not change. docs/determinism.md says what that is good for.
#ifndef FIGMENT_PROGRAM_DETERMINISTIC_H
#define FIGMENT_PROGRAM_DETERMINISTIC_H

#include "commands.h"

namespace figment::host {

// What one seed draws, within what the hardware contract allows: latencies of the GPU, and how
// often the turns of the CPUs end early.
struct Draw {
  GpuProperties gpu;
  std::uint64_t turn_min_ns = 0;
  std::uint64_t turn_max_ns = 0;
  bool operator==(const Draw&) const = default;
};
Draw draw(std::uint64_t seed);

// The properties of a GPU for a seed: the user's, and for the rest what the seed draws.
GpuProperties seeded_properties(const GpuProperties& asked, std::uint64_t seed);

// Turns a prepared guest into a deterministic one: images instead of disks and shares, the clock of
// instructions, the seed's draw. Throws UsageError for what cannot be had together with a seed.
void make_deterministic(Workshop& workshop, const VmOptions& vm, const Kernel& kernel,
                        Prepared& prepared);

// Another seed for a guest that is deterministic.
void set_seed(Guest& guest, const GpuProperties& asked, std::uint64_t seed);

// Writes the orders of the agent as an image.
MemoryImage write_orders(const fs::path& file, const guest::Start& start);

// The first thing that differs between two texts, by lines, in words; empty when nothing does.
std::string first_difference(const std::string& one, const std::string& other);

}  // namespace figment::host

#endif
