// SPDX-License-Identifier: MIT
#include "igt_log.h"

#include <format>
#include <optional>

#include "text_lines.h"

namespace figment::host {

namespace {

struct Printed {
  SubtestState state;
  std::string_view word;
};
constexpr Printed kPrinted[] = {{SubtestState::pass, "SUCCESS"},
                                {SubtestState::fail, "FAIL"},
                                {SubtestState::skip, "SKIP"},
                                {SubtestState::crash, "CRASH"},
                                {SubtestState::timeout, "TIMEOUT"}};

// "SUCCESS (0.131s)"
std::optional<SubtestState> printed_state(std::string_view text) {
  for (const Printed& each : kPrinted) {
    if (text.starts_with(each.word) && text.substr(each.word.size()).starts_with(" (")) {
      return each.state;
    }
  }
  return std::nullopt;
}

class Parser {
 public:
  explicit Parser(const ProgramOutput& output)
      : test_{.name = output.name, .milliseconds = output.milliseconds, .subtests = {}} {
    for (const std::string_view line : lines_of(output.text)) take(line);
    end(output.status);
  }

  SuiteTest result() && { return std::move(test_); }

 private:
  void take(std::string_view text) {
    std::string_view rest = text;
    if (remove_prefix(rest, "Starting subtest: ")) {
      running_ = rest;
      reason_.clear();
    } else if (remove_prefix(rest, "Subtest ")) {
      const auto colon = rest.rfind(": ");
      const auto state = colon == rest.npos ? std::nullopt : printed_state(rest.substr(colon + 2));
      if (state) add(std::string(rest.substr(0, colon)), *state);
    } else if (const auto state = printed_state(text)) {
      // The word on the test itself: only news if it has no subtests.
      if (test_.subtests.empty()) add("", *state);
    } else if (remove_prefix(rest, "Test requirement: ")) {
      // Some tests tell it before the word on what is skipped, and some behind it.
      if (!running_ && !test_.subtests.empty() &&
          test_.subtests.back().state == SubtestState::skip &&
          test_.subtests.back().reason.empty()) {
        test_.subtests.back().reason = rest;
      }
      reason_ = rest;
    } else if (const auto at = rest.find("Failed assertion: "); at != rest.npos) {
      reason_ = rest.substr(at + std::string_view("Failed assertion: ").size());
    }
  }

  void add(std::string name, SubtestState state) {
    const bool tells = state != SubtestState::pass;
    test_.subtests.push_back(
        {.name = std::move(name), .state = state, .reason = tells ? reason_ : std::string{}});
    running_.reset();
  }

  void end(int status) {
    // 98: a subtest failed, 77: nothing could run.
    const std::optional<SubtestState> violent = violent_end(status);
    if (!running_ && !violent && !test_.subtests.empty()) return;
    const SubtestState state =
        violent.value_or(status == 77 ? SubtestState::skip : SubtestState::fail);
    if (reason_.empty()) reason_ = std::format("exit status {}", status);
    add(running_.value_or(""), state);
  }

  SuiteTest test_;
  std::optional<std::string> running_;
  std::string reason_;
};

}  // namespace

SuiteTest parse_igt(const ProgramOutput& output) {
  return Parser(output).result();
}

std::string igt_selection(const std::vector<std::string>& left_out) {
  std::string without;
  for (const std::string& pattern : left_out) without += ",!" + pattern;
  return without.empty() ? without : "*" + without;
}

}  // namespace figment::host
