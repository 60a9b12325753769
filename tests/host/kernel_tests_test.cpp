// SPDX-License-Identifier: MIT
//
// What the tests on kernels of ours read: headers of mutants.
#include "kernel_tests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace figment::host {
namespace {

using testing::ElementsAre;

constexpr const char* kPatch = "\n--- a/kernel-driver/x.c\n+++ b/kernel-driver/x.c\n";

Mutant mutant(const std::string& header) { return parse_mutant("m", header + kPatch); }

TEST(Mutant, says_what_catches_it) {
  const Mutant found = mutant(
      "SPDX-License-Identifier: GPL-2.0-only OR MIT\nSubject: a bug\n\nSome prose: with a colon.\n"
      "Test: Suite.Case\nKernel: debug\nReport: lockdep\nTrace: f\n");
  EXPECT_EQ(found.test, "Suite.Case");
  EXPECT_EQ(found.kernel, "debug");
  EXPECT_EQ(found.report, "lockdep");
  EXPECT_EQ(found.trace, "f");
}

TEST(Mutant, may_be_caught_by_a_command_that_fails) {
  const Mutant found = mutant("Run: figment-stress --seconds 5\nKernel: stock\nOutput: corrupt\n");
  EXPECT_EQ(found.run, "figment-stress --seconds 5");
  EXPECT_EQ(found.output, "corrupt");
  EXPECT_EQ(found.report, "");
}

TEST(Mutant, may_need_a_machine_of_its_own) {
  const Mutant found =
      mutant("Test: A.b\nKernel: stock\nMachine: iommu\nGpu: preempt-ns=5,faults=off\n");
  EXPECT_TRUE(found.iommu);
  EXPECT_TRUE(mutant("Test: A.b\nKernel: stock\nMachine: two GPUs\n").two_gpus);
  EXPECT_THAT(found.gpu, ElementsAre(std::pair{"preempt-ns", "5"}, std::pair{"faults", "off"}));
}

TEST(Mutant, that_is_not_complete_is_an_error) {
  EXPECT_ANY_THROW(mutant("Kernel: debug\n"));
  EXPECT_ANY_THROW(mutant("Test: A.b\n"));
  EXPECT_ANY_THROW(mutant("Test: A.b\nRun: c\nKernel: debug\n"));
  EXPECT_ANY_THROW(mutant("Test: A.b\nKernel: newest\n"));
  EXPECT_ANY_THROW(mutant("Test: A.b\nKernel: debug\nTrace: f\n"));
  EXPECT_ANY_THROW(mutant("Test: A.b\nKernel: debug\nRepotr: lockdep\n"));
  EXPECT_ANY_THROW(mutant("Test: A.b\nKernel: debug\nMachine: toaster\n"));
  EXPECT_ANY_THROW(parse_mutant("m", "Test: A.b\nKernel: debug\n"));
}

}  // namespace
}  // namespace figment::host
