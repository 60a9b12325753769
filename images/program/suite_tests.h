// SPDX-License-Identifier: MIT
//
// Suites that others wrote, each in a guest with Figment; docs/conformance.md says what they are.
#ifndef FIGMENT_PROGRAM_SUITE_TESTS_H
#define FIGMENT_PROGRAM_SUITE_TESTS_H

#include <memory>

#include "suite.h"
#include "test_sources.h"

namespace figment::host {

// A suite: what it needs, how its programs are started, and how their output is read. What is run
// and what is expected are in tests/NAME, in the files list, fails, skips and flakes.
struct Suite {
  std::string name;
  std::string prefix;  // of the names of its tests
  // Images, shares and the folder of the guest; made when tests run, not when they are listed.
  std::function<GuestNeeds()> needs;
  // For the guest's shell, once before all tests; when it fails, nothing runs.
  std::string setup;
  // For the guest's shell: one test.
  std::function<std::string(const ListedTest&, const Expectations&)> command;
  std::function<SuiteTest(const ProgramOutput&)> parse;
  // Beside all of it the GPU works on memory of processes that fork, with the data oracle.
  bool busy = false;
};

std::unique_ptr<TestSource> suite_tests(Workshop& workshop, const VmOptions& vm, Suite suite);

// tests/NAME/list of a checkout.
std::vector<ListedTest> suite_list(const fs::path& checkout, const std::string& name);

// Arguments before a program: it has so many seconds, then it is ended.
Argv with_limit(unsigned seconds, Argv command);

// Tests of IGT that are not of a single driver.
Suite igt_suite(Workshop& workshop);
// The kernel's unit tests of what the driver uses; `kernel` is the one that they are run on.
Suite kunit_suite(Workshop& workshop, const std::string& kernel);
// The kernel's tests in user space.
Suite selftest_suite(Workshop& workshop);
// Other users of memory: on a kernel that checks itself, and what only Debian's has on "stock".
Suite stress_ng_suite(const std::string& kernel);
// Programs that come with libdrm.
Suite libdrm_suite();

}  // namespace figment::host

#endif
