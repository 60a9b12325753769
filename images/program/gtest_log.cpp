// SPDX-License-Identifier: MIT
#include "gtest_log.h"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>

namespace figment::host {

namespace {

constexpr std::string_view kRun = "[ RUN      ] ";
constexpr std::string_view kOk = "[       OK ] ";
constexpr std::string_view kFailed = "[  FAILED  ] ";
constexpr std::string_view kSkipped = "[  SKIPPED ] ";

// "Suite.Case, where GetParam() = 3 (12 ms)" -> Suite.Case
std::string_view name_of(std::string_view rest) { return rest.substr(0, rest.find_first_of(", ")); }

unsigned milliseconds_of(std::string_view rest) {
  const std::size_t open = rest.rfind('(');
  unsigned value = 0;
  if (open != rest.npos) std::from_chars(rest.data() + open + 1, rest.data() + rest.size(), value);
  return value;
}

// GTEST_SKIP() prints "file:line: Skipped", then the reason.
std::string reason_of(std::string_view printed) {
  const std::size_t at = printed.find("Skipped\n");
  std::string reason{at == printed.npos ? printed : printed.substr(at + 8)};
  while (reason.ends_with('\n')) reason.pop_back();
  std::ranges::replace(reason, '\n', ' ');
  return reason.empty() ? "no reason given" : reason;
}

}  // namespace

std::vector<std::string> parse_test_list(std::string_view text) {
  std::vector<std::string> names;
  std::string suite;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find("  #"));
    while (line.ends_with(' ')) line.remove_suffix(1);
    if (line.starts_with("  ")) {
      const std::string name = suite + std::string{line.substr(2)};
      if (!suite.empty() && !name.contains("DISABLED_")) names.push_back(name);
    } else {
      suite = line.ends_with('.') ? line : "";
    }
  }
  return names;
}

std::vector<TestResult> GtestLog::feed(std::string_view bytes) {
  std::vector<TestResult> results;
  partial_ += bytes;
  std::size_t begin = 0;
  for (std::size_t end; (end = partial_.find('\n', begin)) != partial_.npos; begin = end + 1) {
    if (auto result = line(std::string_view{partial_}.substr(begin, end - begin))) {
      results.push_back(std::move(*result));
    }
  }
  partial_.erase(0, begin);
  return results;
}

std::optional<TestResult> GtestLog::line(std::string_view line) {
  if (line.starts_with(kRun)) {
    current_ = line.substr(kRun.size());
    printed_.clear();
    return std::nullopt;
  }
  for (const auto& [mark, outcome] : {std::pair{kOk, Outcome::passed},
                                      {kFailed, Outcome::failed},
                                      {kSkipped, Outcome::skipped}}) {
    // A test may print without a newline just before its verdict.
    const std::size_t at = line.find(mark);
    if (at == line.npos || current_.empty()) continue;
    const std::string_view rest = line.substr(at + mark.size());
    if (name_of(rest) != current_) continue;
    printed_ += line.substr(0, at);
    TestResult result{.name = current_, .outcome = outcome, .detail = {},
                      .milliseconds = milliseconds_of(rest)};
    if (outcome == Outcome::failed) result.detail = printed_;
    if (outcome == Outcome::skipped) result.detail = reason_of(printed_);
    current_.clear();
    return result;
  }
  if (!current_.empty()) printed_.append(line).append("\n");
  return std::nullopt;
}

std::optional<TestResult> GtestLog::unfinished() const {
  if (current_.empty()) return std::nullopt;
  return TestResult{.name = current_, .outcome = Outcome::failed, .detail = printed_ + partial_,
                    .milliseconds = 0};
}

bool is_selected(const std::string& name, const std::vector<std::string>& patterns) {
  return patterns.empty() || std::ranges::any_of(patterns, [&](const std::string& pattern) {
    if (pattern.find_first_of("*?[") == pattern.npos) return name.contains(pattern);
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

}  // namespace figment::host
