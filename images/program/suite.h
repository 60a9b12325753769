// SPDX-License-Identifier: MIT
//
// Tests that others wrote: what a program of theirs has said, and what is expected of it, in the
// form of the kernel's own DRM CI: lines "test@subtest,State" of what fails, names with wildcards
// of what is not run, and of what may fail or not. Pure, so that it is tested on saved logs.
#ifndef FIGMENT_PROGRAM_SUITE_H
#define FIGMENT_PROGRAM_SUITE_H

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace figment::host {

enum class SubtestState { pass, fail, skip, crash, timeout };
// As in the files of expectations: Pass, Fail, Skip, Crash, Timeout.
std::string_view name_of(SubtestState state);

struct Subtest {
  std::string name;  // empty: of a test that has none
  SubtestState state{};
  std::string reason;  // of a skip, what was missing; of a failure, what was wrong
};

struct SuiteTest {
  std::string name;
  unsigned milliseconds = 0;
  std::vector<Subtest> subtests;
};

// What one program of several in a log has printed, and how it ended.
struct ProgramOutput {
  std::string name;
  std::string text;
  int status = 137;  // until it has said so: whoever ran it is gone
  unsigned milliseconds = 0;
};

// For a shell: runs the command, with lines around its output that say its name, its exit status
// and how long it took.
std::string marked_step(std::string_view name, std::string_view command);
// The programs in such a log.
std::vector<ProgramOutput> parse_outputs(std::string_view log);

// What the exit status alone says: ended by a signal, or by the time limit.
std::optional<SubtestState> violent_end(int status);

// A program that is asked for one thing: its exit status is the result. `skip_status`: what it ends
// with when something is missing.
SuiteTest judged_by_status(const ProgramOutput& output, int skip_status);

// A test of a suite's list, with arguments for it.
struct ListedTest {
  std::string name;
  std::vector<std::string> arguments;
  bool operator==(const ListedTest&) const = default;
};
// "NAME ARGUMENT..." a line, with comments.
std::vector<ListedTest> parse_suite_list(std::string_view text);

struct LeftOut {
  std::string pattern;  // a test, or test@subtest, with wildcards
  std::string reason;
};

struct Expectations {
  std::map<std::string, SubtestState> fails;  // test@subtest
  std::vector<LeftOut> skips;                 // what is not run: nothing is known of it
  std::vector<std::string> flakes;            // patterns of what is not judged

  // Whether the whole test is among the skips.
  bool leaves_out(std::string_view test) const;
  // Patterns of the subtests of `test` that are not to be run.
  std::vector<std::string> left_out_of(std::string_view test) const;
};

// From the three files. A line without a comment before it, which says why, is refused: Failure.
Expectations parse_expectations(std::string_view fails, std::string_view skips,
                                std::string_view flakes);

// What is not as expected, a line each; empty when all is. `folder` is where it is written.
std::string complaints(const SuiteTest& test, const Expectations& expected,
                       std::string_view folder);

// Lines of the table in docs/conformance.md: the tests of a suite, with what was skipped and why,
// and what is not run at all. Its head is the other one.
std::string table_lines(std::string_view suite, const std::vector<SuiteTest>& tests,
                        const Expectations& expected);
std::string table_head();

}  // namespace figment::host

#endif
