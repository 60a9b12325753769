// SPDX-License-Identifier: MIT
//
// Where tests come from, and how each kind is run. A source knows the names of its tests and runs
// a selection of them; results go to a callback as they come.
//
//   SUITE.Suite.Case   GoogleTest programs that meson knows as tests, on this machine. SUITE is the
//                      meson suite, or the test's own name where it has none
//   guest.Suite.Case   figment-guest-tests, in a guest
//   debug., paranoid.  the same on kernels that check themselves, on paranoid a part, and by name
//   only;
//                      kernel_tests.h has what else is done with these: controls., mutants.,
//                      driver.
//   kunit., igt., selftests., stressng., libdrm.
//                      suites that others wrote, in a guest: suite_tests.h
//   mesa.Suite.Case    figment-mesa-tests, in a guest: with Mesa's software Vulkan driver
//   fuzz.*             the fuzzer of the model, and the bugs that it must find
//   chain.*            figment-stress chain, in a guest with four GPUs
//   demo.Oracle.*      figment-stress, in a guest, judged by its own results
#ifndef FIGMENT_PROGRAM_TEST_SOURCES_H
#define FIGMENT_PROGRAM_TEST_SOURCES_H

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "gtest_log.h"

namespace figment::host {

using Report = std::function<void(const TestResult&)>;

class TestSource {
 public:
  virtual ~TestSource() = default;
  // Full names, in the order in which they run.
  virtual std::vector<std::string> names() = 0;
  // Runs those of `selected` (full names of this source) and reports each exactly once; more
  // results may come for what no single test is to blame for.
  virtual void run(const std::vector<std::string>& selected, const Report& report) = 0;
  // The kernels whose guests it boots, to be made before anything runs.
  virtual std::vector<std::string> kernels() const { return {}; }
  // Whether it keeps no more than one processor busy, and its tests do not mind others beside them.
  virtual bool leaves_a_processor() const { return false; }
};

// Every source that can have tests which `patterns` select. Builds what is needed to know the names.
std::vector<std::unique_ptr<TestSource>> test_sources(Workshop& workshop, const VmOptions& vm,
                                                      const std::vector<std::string>& patterns);

// False when no name that begins with `prefix` ("guest.") can match: each pattern begins with a
// whole other prefix of `all`. Saves building what is not asked for.
bool may_match(const std::string& prefix, const std::vector<std::string>& all,
               const std::vector<std::string>& patterns);

// One execution of a GoogleTest program: gets a filter, feeds the output to a log, and says how it
// ended: status, and in words what is to be told about a test that did not end.
struct GtestRun {
  int status = 0;
  std::string trouble;
};
using GtestRunner =
    std::function<GtestRun(const std::string& filter, const std::function<void(std::string_view)>&)>;

// Runs `tests` (Suite.Case), again and again without those that are done, until each has a result:
// a test that takes the program down fails, and the others still run. `prefix` goes before names.
void run_gtest(const std::string& prefix, std::vector<std::string> tests, const GtestRunner& runner,
               const Report& report);

}  // namespace figment::host

#endif
