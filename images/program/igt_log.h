// SPDX-License-Identifier: MIT
//
// What tests of IGT print, and what is expected of them: in the form of the kernel's own DRM CI,
// lines "test@subtest,State" of what fails, names with wildcards of what is not run, and of what
// may fail or not. Pure, so that it is tested on saved logs.
#ifndef FIGMENT_PROGRAM_IGT_LOG_H
#define FIGMENT_PROGRAM_IGT_LOG_H

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace figment::host {

enum class IgtState { pass, fail, skip, crash, timeout };
// As in the files of expectations: Pass, Fail, Skip, Crash, Timeout.
std::string_view name_of(IgtState state);

struct IgtSubtest {
  std::string name;  // empty: of a test that has none
  IgtState state{};
  std::string reason;  // of a skip, the requirement; of a failure, the assertion
};

struct IgtTest {
  std::string name;
  unsigned milliseconds = 0;
  std::vector<IgtSubtest> subtests;
};

// Lines that whoever runs tests writes around the output of each, the second one with its exit
// status and how long it took.
std::string igt_begin(std::string_view test);
std::string igt_end(std::string_view test, std::string_view status, std::string_view milliseconds);

// The tests in such a log. One that was ended by a signal or by the time limit has its last subtest
// as crashed or timed out; so has the last one of a log that ends before it does.
std::vector<IgtTest> parse_igt_log(std::string_view log);

struct IgtExpectations {
  std::map<std::string, IgtState> fails;  // test@subtest
  std::vector<std::string> skips;         // patterns of what is not run: nothing is known of it
  std::vector<std::string> flakes;        // patterns of what is not judged
};

// From the three files. A line without a comment before it, which says why, is refused: Failure.
IgtExpectations parse_igt_expectations(std::string_view fails, std::string_view skips,
                                       std::string_view flakes);

// Subtests of `test` that are not to be run, as IGT's --run-subtest takes them; empty: all are.
std::string igt_selection(const std::string& test, const IgtExpectations& expected);

// What is not as expected, a line each; empty when all is.
std::string igt_complaints(const IgtTest& test, const IgtExpectations& expected);

// For documents: a table of the tests, with what was skipped and why.
std::string igt_table(const std::vector<IgtTest>& tests);

}  // namespace figment::host

#endif
