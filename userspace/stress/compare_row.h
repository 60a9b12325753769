// SPDX-License-Identifier: MIT
//
// One row of a comparison: rounds of it, in a process of its own, each with fresh memory and a
// fresh user, so that each is judged by itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "compare_plan.h"
#include "shared.h"

namespace figment::stress {

struct CompareResult {
  CompareRowConfig config;
  std::uint64_t rounds = 0;
  std::uint64_t wrong_rounds = 0;  // with a wrong word in them
  Sightings sightings;
  std::uint64_t kernel_reports = 0;
  std::string skipped;  // for this reason; empty: it was not
  double seconds = 0;
  std::vector<std::string> failures;
};

/// Runs it. What goes wrong in the processes is in the result. Needs root.
[[nodiscard]] CompareResult run_compare_row(const CompareRowConfig& config);

/// Why this row fails the run; empty when it does not. Of what is no GPU wrong words are told and
/// not complained about: how often the kernel goes wrong is the question.
[[nodiscard]] std::vector<std::string> complaints(const CompareResult& row);

/// right, caught (the control), told (wrong words without a GPU), wrong, failed, skipped.
[[nodiscard]] std::string_view verdict(const CompareResult& row);

// What the processes of a row share, and the rounds of the two comparisons.

struct CompareStage {
  std::atomic<std::uint64_t> rounds = 0;
  std::atomic<std::uint64_t> wrong_rounds = 0;
  Sightings sightings;  // of the row's first process, which has the others' added
  FirstText failure;
  FirstText skipped;
};

void run_direct_rounds(const CompareRowConfig& config, CompareStage& stage);
void run_tree_rounds(const CompareRowConfig& config, CompareStage& stage);

}  // namespace figment::stress
