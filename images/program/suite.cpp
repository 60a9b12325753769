// SPDX-License-Identifier: MIT
#include "suite.h"

#include <algorithm>
#include <format>
#include <set>

#include "gtest_log.h"
#include "process.h"
#include "text_lines.h"

namespace figment::host {

namespace {

constexpr std::string_view kMark = "figment-test: ";

struct StateName {
  SubtestState state;
  std::string_view name;
};
constexpr StateName kStates[] = {{SubtestState::pass, "Pass"},
                                 {SubtestState::fail, "Fail"},
                                 {SubtestState::skip, "Skip"},
                                 {SubtestState::crash, "Crash"},
                                 {SubtestState::timeout, "Timeout"}};

std::string id(const SuiteTest& test, const Subtest& subtest) {
  return subtest.name.empty() ? test.name : test.name + "@" + subtest.name;
}

// Calls take(line, reason) for each line of the file that is none of comment; before each line, or
// before the block that it is in, there has to be a comment, which is the reason.
template <typename Take>
void each_line(std::string_view file, std::string_view text, Take&& take) {
  std::string reason;
  bool in_block = false;
  for (std::string_view line : lines_of(text)) {
    line = trimmed(line);
    if (line.empty()) {
      reason.clear();
      in_block = false;
    } else if (line.starts_with('#')) {
      if (in_block) reason.clear();  // another reason begins
      in_block = false;
      line = trimmed(line.substr(1));
      if (!line.empty() && !line.contains("SPDX")) {
        reason += (reason.empty() ? "" : " ") + std::string(line);
      }
    } else if (reason.empty()) {
      throw Failure(std::format("{}: '{}' has no comment that says why", file, line));
    } else {
      in_block = true;
      take(line, reason);
    }
  }
}

bool matches(const std::string& name, const std::string& pattern) {
  // A whole name, with wildcards or without.
  return name == pattern ||
         (pattern.find_first_of("*?[") != pattern.npos && is_selected(name, {pattern}));
}

bool matches(const std::string& name, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns,
                             [&](const std::string& pattern) { return matches(name, pattern); });
}

std::string cell(std::string text) {
  std::ranges::replace(text, '|', '/');
  return text;
}

}  // namespace

std::string_view name_of(SubtestState state) {
  return std::ranges::find(kStates, state, &StateName::state)->name;
}

std::string marked_step(std::string_view name, std::string_view command) {
  return std::format(
      "echo '{0}{1} begin'\nbegin=$(date +%s%3N)\n( {2}\n) 2>&1\n"
      "status=$?; echo; echo \"{0}{1} end $status $(($(date +%s%3N) - begin))\"\n",
      kMark, name, command);
}

std::vector<ProgramOutput> parse_outputs(std::string_view log) {
  std::vector<ProgramOutput> outputs;
  bool open = false;
  for (const std::string_view line : lines_of(log)) {
    std::string_view rest = line;
    if (!remove_prefix(rest, kMark)) {
      if (open) outputs.back().text.append(line).push_back('\n');
      continue;
    }
    const auto blank = rest.find(' ');
    const std::string_view name = rest.substr(0, blank);
    rest = blank == rest.npos ? std::string_view{} : rest.substr(blank + 1);
    if (rest == "begin") {
      outputs.push_back({.name = std::string(name), .text = {}});
      open = true;
    } else if (open && name == outputs.back().name && remove_prefix(rest, "end ")) {
      read_number(rest, outputs.back().status);
      if (const auto time = rest.find(' '); time != rest.npos) {
        read_number(rest.substr(time + 1), outputs.back().milliseconds);
      }
      open = false;
    }
  }
  return outputs;
}

std::optional<SubtestState> violent_end(int status) {
  if (status == 124) return SubtestState::timeout;
  if (status >= 128) return SubtestState::crash;
  return std::nullopt;
}

SuiteTest judged_by_status(const ProgramOutput& output, int skip_status) {
  const auto lines = lines_of(output.text);
  const auto last = std::ranges::find_if(
      lines.rbegin(), lines.rend(), [](std::string_view line) { return !trimmed(line).empty(); });
  SubtestState state = output.status == 0             ? SubtestState::pass
                       : output.status == skip_status ? SubtestState::skip
                                                      : SubtestState::fail;
  if (const auto violent = violent_end(output.status)) state = *violent;
  std::string reason;
  if (state != SubtestState::pass) {
    reason = last == lines.rend() ? std::format("exit status {}", output.status)
                                  : std::string(trimmed(*last));
  }
  return {.name = output.name,
          .milliseconds = output.milliseconds,
          .subtests = {{.name = "", .state = state, .reason = reason}}};
}

std::vector<ListedTest> parse_suite_list(std::string_view text) {
  std::vector<ListedTest> tests;
  for (std::string_view line : lines_of(text)) {
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    ListedTest test;
    for (const auto word : std::views::split(line, ' ')) {
      const std::string_view text_of_word(word);
      if (text_of_word.empty()) continue;
      if (test.name.empty()) {
        test.name = text_of_word;
      } else {
        test.arguments.emplace_back(text_of_word);
      }
    }
    tests.push_back(std::move(test));
  }
  return tests;
}

bool Expectations::leaves_out(std::string_view test) const {
  return std::ranges::any_of(skips, [&](const LeftOut& skip) {
    return !skip.pattern.contains('@') && matches(std::string(test), skip.pattern);
  });
}

std::vector<std::string> Expectations::left_out_of(std::string_view test) const {
  std::vector<std::string> patterns;
  for (const LeftOut& skip : skips) {
    const auto at = skip.pattern.find('@');
    if (at != skip.pattern.npos && skip.pattern.substr(0, at) == test) {
      patterns.push_back(skip.pattern.substr(at + 1));
    }
  }
  return patterns;
}

Expectations parse_expectations(std::string_view fails, std::string_view skips,
                                std::string_view flakes) {
  Expectations expected;
  each_line("fails", fails, [&](std::string_view line, const std::string&) {
    const auto comma = line.rfind(',');
    const auto state =
        std::ranges::find(kStates, comma == line.npos ? std::string_view{} : line.substr(comma + 1),
                          &StateName::name);
    if (state == std::end(kStates) || state->state == SubtestState::pass ||
        state->state == SubtestState::skip) {
      throw Failure(std::format("fails: '{}' is not test@subtest,Fail or Crash or Timeout", line));
    }
    expected.fails.emplace(line.substr(0, comma), state->state);
  });
  each_line("skips", skips, [&](std::string_view line, const std::string& reason) {
    expected.skips.push_back({.pattern = std::string(line), .reason = reason});
  });
  each_line("flakes", flakes,
            [&](std::string_view line, const std::string&) { expected.flakes.emplace_back(line); });
  return expected;
}

std::string complaints(const SuiteTest& test, const Expectations& expected,
                       std::string_view folder) {
  std::string text;
  const std::vector<std::string> left_out = expected.left_out_of(test.name);
  for (const Subtest& subtest : test.subtests) {
    const std::string name = id(test, subtest);
    if (!subtest.name.empty() && matches(subtest.name, left_out)) {
      text += std::format("{}: it was run, and {}/skips says that it is not\n", name, folder);
    }
    if (matches(name, expected.flakes)) continue;
    const auto known = expected.fails.find(name);
    const bool good = subtest.state == SubtestState::pass || subtest.state == SubtestState::skip;
    if (known != expected.fails.end()) {
      if (subtest.state == known->second) continue;
      text += std::format("{}: {}, and {}/fails says {}\n", name, name_of(subtest.state), folder,
                          name_of(known->second));
    } else if (!good) {
      text += std::format("{}: {}: {}\n", name, name_of(subtest.state), subtest.reason);
    }
  }
  if (test.subtests.empty()) text += test.name + ": it has said nothing\n";
  return text;
}

std::string table_head() {
  return "| suite | test | pass | fail | skip | why |\n"
         "| --- | --- | ---: | ---: | ---: | --- |\n";
}

std::string table_lines(std::string_view suite, const std::vector<SuiteTest>& tests,
                        const Expectations& expected) {
  std::string text;
  for (const SuiteTest& test : tests) {
    const auto count = [&](auto&& wanted) {
      return std::ranges::count_if(test.subtests, wanted, &Subtest::state);
    };
    const auto passed = count([](SubtestState state) { return state == SubtestState::pass; });
    const auto skipped = count([](SubtestState state) { return state == SubtestState::skip; });
    std::set<std::string> reasons;
    for (const Subtest& subtest : test.subtests) {
      if (!subtest.reason.empty()) reasons.insert("`" + subtest.reason + "`");
    }
    std::string why;
    for (const std::string& reason : reasons) why += (why.empty() ? "" : ", ") + reason;
    text += std::format("| {} | {} | {} | {} | {} | {} |\n", suite, test.name, passed,
                        test.subtests.size() - static_cast<std::size_t>(passed + skipped), skipped,
                        cell(why));
  }
  // Those with one reason in one line: whole tests, or subtests of one.
  for (auto it = expected.skips.begin(); it != expected.skips.end();) {
    const auto test_of = [](const LeftOut& skip) {
      const auto at = skip.pattern.find('@');
      return at == skip.pattern.npos ? std::string() : skip.pattern.substr(0, at);
    };
    const std::string& reason = it->reason;
    const std::string test = test_of(*it);
    std::string left_out;
    for (; it != expected.skips.end() && it->reason == reason && test_of(*it) == test; ++it) {
      left_out += (left_out.empty() ? "" : ", ") +
                  (test.empty() ? it->pattern : "`" + it->pattern.substr(test.size() + 1) + "`");
    }
    text += test.empty() ? std::format("| {} | {} | | | | not run: {} |\n", suite, cell(left_out),
                                       cell(reason))
                         : std::format("| {} | {} | | | | not run: {}: {} |\n", suite, test,
                                       cell(left_out), cell(reason));
  }
  return text;
}

}  // namespace figment::host
