// SPDX-License-Identifier: MIT
//
// What a GoogleTest program prints, read line by line: names, verdicts, reasons. Pure, so that it
// is tested on saved logs. Printed output is the one form that is complete up to a crash.
#ifndef FIGMENT_PROGRAM_GTEST_LOG_H
#define FIGMENT_PROGRAM_GTEST_LOG_H

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace figment::host {

enum class Outcome { passed, failed, skipped };

struct TestResult {
  std::string name;  // Suite.Case
  Outcome outcome{};
  std::string detail;  // of a failure: what the test printed; of a skip: the reason in one line
  unsigned milliseconds = 0;
  bool operator==(const TestResult&) const = default;
};

// Names from --gtest_list_tests, without those that are disabled.
std::vector<std::string> parse_test_list(std::string_view text);

class GtestLog {
 public:
  // Takes in output in any pieces; gives the results that it completes.
  std::vector<TestResult> feed(std::string_view bytes);

  // The test that has begun and not ended, and what it has printed: the one that crashed, when
  // there is no more output.
  std::optional<TestResult> unfinished() const;

 private:
  std::optional<TestResult> line(std::string_view line);

  std::string partial_;
  std::string current_;
  std::string printed_;
};

// Whether a name is selected: no patterns select all; a pattern with * ? or [ is matched with the
// whole name, any other one with a part of it.
bool is_selected(const std::string& name, const std::vector<std::string>& patterns);

}  // namespace figment::host

#endif
