// SPDX-License-Identifier: MIT
//
// The measurements of figment-bench, each a function that makes what it needs,
// warms up, and returns a series of samples. Statistics and printing are elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "figment/device.h"
#include "figment/types.h"

namespace figment::bench {

/// Round trips, in turns of a few hundred samples each, so that a machine that is busier
/// at one time than at another disturbs all alike.
struct RoundTrips {
  /// Microseconds from SUBMIT of an empty job to the return of the wait for its fence.
  std::vector<double> job_us;
  /// In a long-running VM: of a job that is a RELEASE with an event, from SUBMIT to the return of
  /// the wait for its user fence. Nothing: the GPU has no such VM.
  std::vector<double> user_fence_us;
  /// The same packet and wait, by a user queue.
  std::vector<double> user_queue_us;
  /// Microseconds of a 4 KiB read with O_DIRECT at pseudo-random places: the round trip of
  /// a device that QEMU itself brings. Nothing, and a reason, when there is no such disk.
  std::vector<double> read_us;
  std::string why_no_reads;
};
[[nodiscard]] RoundTrips round_trips_us(const Device& device, const std::string& disk,
                                        unsigned samples);

/// Bytes per second of one COPY of `bytes`, from system memory to `to`. Each sample is a
/// job of enough copies that the round trip is small beside them; checks the copy.
[[nodiscard]] std::vector<double> copy_bytes_per_second(const Device& device, Placement to,
                                                        std::uint64_t bytes, unsigned samples);

/// Microseconds of fork() of this process with `touched` bytes of anonymous memory
/// mapped into an idle GPU. The child leaves at once.
[[nodiscard]] std::vector<double> fork_us(const Device& device, std::uint64_t touched,
                                          unsigned samples);

}  // namespace figment::bench
