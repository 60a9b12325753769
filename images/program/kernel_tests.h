// SPDX-License-Identifier: MIT
//
// Tests that the judge is worth something, and what only a kernel of ours can be asked:
//
//   controls.Judge.*   each class of kernel report is provoked once and must be found
//   mutants.*          patches with known bugs in the driver (tests/mutants): each must be caught
//   driver.Source.*    compilers and checkers on the driver's source
#ifndef FIGMENT_PROGRAM_KERNEL_TESTS_H
#define FIGMENT_PROGRAM_KERNEL_TESTS_H

#include <memory>
#include <string>
#include <string_view>

#include "test_sources.h"

namespace figment::host {

std::unique_ptr<TestSource> control_tests(Workshop& workshop, const VmOptions& vm);
std::unique_ptr<TestSource> mutant_tests(Workshop& workshop, const VmOptions& vm);
std::unique_ptr<TestSource> driver_source_tests(Workshop& workshop);

// The header of a mutant: what comes before the patch, "Key: value" a line, prose in between.
struct Mutant {
  std::string name;    // of the file, without .patch
  std::string test;    // a guest test, Suite.Case; or
  std::string run;     // any command for the shell of the guest
  std::string kernel;  // debug, paranoid or stock
  bool iommu = false;  // on a machine with one
  bool two_gpus = false;
  GpuProperties gpu;   // of the GPU
  // What must be seen: a report of this kind in the kernel's log; or, with none, that the test or
  // command fails while the log stays clean; `output` must be in what it prints then.
  std::string report;
  std::string output;
  // A line of the report's trace must have it: the report is about this bug and no other.
  std::string trace;
};

// Throws Failure when something is missing, unknown or contradicts.
Mutant parse_mutant(const std::string& name, std::string_view patch);

}  // namespace figment::host

#endif
