// SPDX-License-Identifier: MIT
#include "igt_log.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>
#include <ranges>
#include <set>

#include "gtest_log.h"
#include "process.h"

namespace figment::host {

namespace {

constexpr std::string_view kMark = "figment-igt: ";

struct StateName {
  IgtState state;
  std::string_view name;     // in files of expectations
  std::string_view printed;  // by IGT
};
constexpr StateName kStates[] = {{IgtState::pass, "Pass", "SUCCESS"},
                                 {IgtState::fail, "Fail", "FAIL"},
                                 {IgtState::skip, "Skip", "SKIP"},
                                 {IgtState::crash, "Crash", "CRASH"},
                                 {IgtState::timeout, "Timeout", "TIMEOUT"}};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (const auto part : std::views::split(text, '\n')) lines.emplace_back(part);
  return lines;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "SUCCESS (0.131s)"
std::optional<IgtState> printed_state(std::string_view text) {
  for (const StateName& each : kStates) {
    if (text.starts_with(each.printed) && text.substr(each.printed.size()).starts_with(" (")) {
      return each.state;
    }
  }
  return std::nullopt;
}

template <typename Number>
void number(std::string_view digits, Number& value) {
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
}

class Parser {
 public:
  void line(std::string_view text) {
    if (remove_prefix(text, kMark)) return mark(text);
    if (tests_.empty() || !open_) return;
    IgtTest& test = tests_.back();
    std::string_view rest = text;
    if (remove_prefix(rest, "Starting subtest: ")) {
      running_ = rest;
      reason_.clear();
    } else if (remove_prefix(rest, "Subtest ")) {
      const auto colon = rest.rfind(": ");
      const auto state = colon == rest.npos ? std::nullopt : printed_state(rest.substr(colon + 2));
      if (state) add(test, std::string(rest.substr(0, colon)), *state);
    } else if (const auto state = printed_state(text)) {
      // The word on the test itself: only news if it has no subtests.
      if (test.subtests.empty()) add(test, "", *state);
    } else if (remove_prefix(rest, "Test requirement: ")) {
      // Some tests tell it before the word on what is skipped, and some behind it.
      if (!running_ && !test.subtests.empty() && test.subtests.back().state == IgtState::skip &&
          test.subtests.back().reason.empty()) {
        test.subtests.back().reason = rest;
      }
      reason_ = rest;
    } else if (const auto at = rest.find("Failed assertion: "); at != rest.npos) {
      reason_ = rest.substr(at + std::string_view("Failed assertion: ").size());
    }
  }

  std::vector<IgtTest> finish() {
    if (open_) end("137");  // whoever ran it is gone
    return std::move(tests_);
  }

 private:
  void mark(std::string_view text) {
    const auto blank = text.find(' ');
    std::string_view rest = blank == text.npos ? std::string_view{} : text.substr(blank + 1);
    if (rest == "begin") {
      if (open_) end("137");
      tests_.push_back(
          {.name = std::string(text.substr(0, blank)), .milliseconds = 0, .subtests = {}});
      open_ = true;
      running_.reset();
      reason_.clear();
    } else if (remove_prefix(rest, "end ") && open_) {
      const auto time = rest.find(' ');
      if (time != rest.npos) number(rest.substr(time + 1), tests_.back().milliseconds);
      end(rest.substr(0, time));
    }
  }

  void add(IgtTest& test, std::string name, IgtState state) {
    const bool tells = state != IgtState::pass;
    test.subtests.push_back(
        {.name = std::move(name), .state = state, .reason = tells ? reason_ : std::string{}});
    running_.reset();
  }

  void end(std::string_view digits) {
    open_ = false;
    int status = 137;
    number(digits, status);
    IgtTest& test = tests_.back();
    // 98: a subtest failed, 77: nothing could run; what is above 128 is a signal. 124 is the limit.
    const bool is_crash = status >= 128;
    if (!running_ && !is_crash && status != 124 && !test.subtests.empty()) return;
    const IgtState state = status == 124 ? IgtState::timeout
                           : is_crash    ? IgtState::crash
                           : status == 77 ? IgtState::skip
                                          : IgtState::fail;
    if (reason_.empty()) reason_ = std::format("exit status {}", status);
    add(test, running_.value_or(""), state);
  }

  std::vector<IgtTest> tests_;
  bool open_ = false;
  std::optional<std::string> running_;
  std::string reason_;
};

std::string id(const IgtTest& test, const IgtSubtest& subtest) {
  return subtest.name.empty() ? test.name : test.name + "@" + subtest.name;
}

// Calls take(line) for each line of the file that is none of comment; before each line, or before
// the block that it is in, there has to be a comment.
template <typename Take>
void each_line(std::string_view file, std::string_view text, Take&& take) {
  bool explained = false;
  for (std::string_view line : lines_of(text)) {
    line = trimmed(line);
    if (line.empty()) {
      explained = false;
    } else if (line.starts_with('#')) {
      explained |= !trimmed(line.substr(1)).empty() && !line.contains("SPDX");
    } else if (!explained) {
      throw Failure(std::format("{}: '{}' has no comment that says why", file, line));
    } else {
      take(line);
    }
  }
}

bool matches(const std::string& name, const std::vector<std::string>& patterns) {
  return !patterns.empty() && is_selected(name, patterns);
}

}  // namespace

std::string_view name_of(IgtState state) {
  return std::ranges::find(kStates, state, &StateName::state)->name;
}

std::string igt_begin(std::string_view test) { return std::format("{}{} begin", kMark, test); }
std::string igt_end(std::string_view test, std::string_view status, std::string_view milliseconds) {
  return std::format("{}{} end {} {}", kMark, test, status, milliseconds);
}

std::vector<IgtTest> parse_igt_log(std::string_view log) {
  Parser parser;
  for (const std::string_view line : lines_of(log)) parser.line(line);
  return parser.finish();
}

IgtExpectations parse_igt_expectations(std::string_view fails, std::string_view skips,
                                       std::string_view flakes) {
  IgtExpectations expected;
  each_line("fails", fails, [&](std::string_view line) {
    const auto comma = line.rfind(',');
    const auto state = std::ranges::find(
        kStates, comma == line.npos ? std::string_view{} : line.substr(comma + 1), &StateName::name);
    if (state == std::end(kStates) || state->state == IgtState::pass ||
        state->state == IgtState::skip) {
      throw Failure(std::format("fails: '{}' is not test@subtest,Fail or Crash or Timeout", line));
    }
    expected.fails.emplace(line.substr(0, comma), state->state);
  });
  // A whole name, with wildcards or without.
  each_line("skips", skips, [&](std::string_view line) { expected.skips.emplace_back(line); });
  each_line("flakes", flakes, [&](std::string_view line) { expected.flakes.emplace_back(line); });
  return expected;
}

std::string igt_selection(const std::string& test, const IgtExpectations& expected) {
  std::string without;
  for (const std::string& skip : expected.skips) {
    const auto at = skip.find('@');
    if (at != skip.npos && skip.substr(0, at) == test) without += ",!" + skip.substr(at + 1);
  }
  return without.empty() ? without : "*" + without;
}

std::string igt_complaints(const IgtTest& test, const IgtExpectations& expected) {
  std::string text;
  for (const IgtSubtest& subtest : test.subtests) {
    const std::string name = id(test, subtest);
    if (matches(name, expected.flakes)) continue;
    const auto known = expected.fails.find(name);
    const bool good = subtest.state == IgtState::pass || subtest.state == IgtState::skip;
    if (known != expected.fails.end()) {
      if (subtest.state == known->second) continue;
      text += std::format("{}: {}, and tests/igt/fails says {}\n", name, name_of(subtest.state),
                          name_of(known->second));
    } else if (!good) {
      text += std::format("{}: {}: {}\n", name, name_of(subtest.state), subtest.reason);
    }
  }
  if (test.subtests.empty()) text += test.name + ": it has said nothing\n";
  return text;
}

std::string igt_table(const std::vector<IgtTest>& tests) {
  std::string text = "| test | pass | fail | skip | why |\n| --- | ---: | ---: | ---: | --- |\n";
  for (const IgtTest& test : tests) {
    const auto count = [&](auto&& wanted) {
      return std::ranges::count_if(test.subtests, wanted, &IgtSubtest::state);
    };
    const auto passed = count([](IgtState state) { return state == IgtState::pass; });
    const auto skipped = count([](IgtState state) { return state == IgtState::skip; });
    std::set<std::string> reasons;
    for (const IgtSubtest& subtest : test.subtests) {
      if (!subtest.reason.empty()) reasons.insert("`" + subtest.reason + "`");
    }
    std::string why;
    for (const std::string& reason : reasons) why += (why.empty() ? "" : ", ") + reason;
    std::ranges::replace(why, '|', '/');
    text += std::format("| {} | {} | {} | {} | {} |\n", test.name, passed,
                        test.subtests.size() - static_cast<std::size_t>(passed + skipped), skipped,
                        why);
  }
  return text;
}

}  // namespace figment::host
