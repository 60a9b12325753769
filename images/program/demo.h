// SPDX-License-Identifier: MIT
//
// The demo: figment-stress in one guest, and a taste of the torture table in the same one. Used by
// the command and by the tests.
#ifndef FIGMENT_PROGRAM_DEMO_H
#define FIGMENT_PROGRAM_DEMO_H

#include <cstdint>

#include "commands.h"
#include "matrix.h"

namespace figment::host {

// What is needed here of a row of figment-stress --json.
struct DemoRow {
  std::string strategy;
  std::string scenario;
  std::uint64_t forks = 0;
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;
  std::uint64_t kernel_reports = 0;
};

struct DemoLimits {
  unsigned seconds = 60;  // of all rows together
  unsigned forks = 1000;  // at least, in all rows of safe strategies together
  bool table = true;      // some events of the torture table, too
};

struct DemoResult {
  Verdict verdict;
  std::vector<DemoRow> rows;
  std::string json;    // as figment-stress wrote it; empty when it did not
  std::string errors;  // what it wrote to stderr
  Matrix table;        // what of the torture table was done
};

using Sink = std::function<void(std::string_view)>;

// Boots, runs and reads the results. Sinks may be empty.
DemoResult run_demo(Workshop& workshop, const VmOptions& vm, const DemoLimits& limits,
                    const Sink& on_stdout, const Sink& on_stderr);

// What the torture table came to: a line for each strategy.
std::string table_summary(const Matrix& table);

// Rows of the JSON text. Throws Failure when it is not what docs/oracle.md describes.
std::vector<DemoRow> parse_demo_rows(const std::string& json);

}  // namespace figment::host

#endif
