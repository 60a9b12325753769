// SPDX-License-Identifier: MIT
#include "ktap.h"

#include <algorithm>
#include <format>
#include <optional>

#include "text_lines.h"

namespace figment::host {

namespace {

constexpr int kSkipStatus = 4;  // of selftests: nothing could run
constexpr std::size_t kReasonBytes = 300;
constexpr unsigned kNoPlan = ~0u;

// "[    1.1][  T12] text": without what is in brackets.
std::string_view without_time_stamp(std::string_view line) {
  const auto end = line.find("] ");
  const bool stamped = line.starts_with('[') && end != line.npos;
  return stamped ? line.substr(end + 2) : line;
}

struct Result {
  bool ok = false;
  std::string_view name;
  std::string_view directive;  // SKIP, XFAIL, ...
  std::string_view comment;    // behind it
};

// "ok 1 name", "ok 2 name # SKIP why", and "ok 3 # SKIP name" as kselftest.h writes it.
std::optional<Result> parse_result(std::string_view text) {
  Result result;
  if (remove_prefix(text, "ok ")) {
    result.ok = true;
  } else if (!remove_prefix(text, "not ok ")) {
    return std::nullopt;
  }
  const auto digits = text.find_first_not_of("0123456789");
  if (digits == 0) return std::nullopt;
  text = digits == text.npos ? std::string_view{} : trimmed(text.substr(digits));
  remove_prefix(text, "- ");
  const auto hash = text.starts_with("# ") ? 0 : text.find(" # ");
  if (hash == text.npos) {
    result.name = text;
    return result;
  }
  std::string_view behind = trimmed(text.substr(text.find('#', hash) + 1));
  const auto blank = std::min(behind.find(' '), behind.size());
  result.name = trimmed(text.substr(0, hash));
  result.directive = behind.substr(0, blank);
  result.comment = trimmed(behind.substr(blank));
  if (result.name.empty()) std::swap(result.name, result.comment);
  return result;
}

class Parser {
 public:
  explicit Parser(const ProgramOutput& output)
      : test_{.name = output.name, .milliseconds = output.milliseconds, .subtests = {}} {
    for (const std::string_view line : lines_of(output.text)) take(without_time_stamp(line));
    end(output.status);
  }

  SuiteTest result() && { return std::move(test_); }

 private:
  // What is reported with one indentation, below one name.
  struct Level {
    std::size_t indent = 0;
    std::string name;
    std::optional<unsigned> planned;
    unsigned seen = 0;
    bool failed = false;
  };

  void take(std::string_view line) {
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    std::string_view text = trimmed(line);
    if (text.starts_with("KTAP version") || text.starts_with("TAP version")) {
      // Another one begins, where one may have been.
      close_levels_behind(indent);
      if (!levels_.empty() && levels_.back().indent == indent) close_last();
    } else if (remove_prefix(text, "# Subtest: ")) {
      level(indent).name = text;
    } else if (remove_prefix(text, "1..")) {
      plan(level(indent), text);
    } else if (remove_prefix(text, "#")) {
      comment(trimmed(text));
    } else if (const auto result = parse_result(text)) {
      take(indent, *result);
    }
  }

  // "1..12", or "1..0 # SKIP why" of a program that can run nothing.
  void plan(Level& here, std::string_view text) {
    unsigned planned = kNoPlan;
    read_number(text, planned);
    if (planned == kNoPlan) return;
    here.planned = planned;
    const auto skip = text.find("# SKIP");
    if (skip == text.npos) return;
    here.planned.reset();
    add(path(""), SubtestState::skip, std::string(trimmed(text.substr(skip + 6))));
  }

  void take(std::size_t indent, const Result& result) {
    const bool is_sum = close_levels_behind(indent);
    Level& here = level(indent);
    ++here.seen;
    const bool skipped = result.directive == "SKIP";
    // An expected failure is what was expected.
    const bool good = result.ok || result.directive == "XFAIL" || result.directive == "XPASS";
    if (!is_sum || (!good && !below_failed_)) {
      add(path(result.name),
          skipped ? SubtestState::skip
          : good  ? SubtestState::pass
                  : SubtestState::fail,
          std::string(result.comment));
    }
    if (!good) here.failed = true;
    comments_.clear();
  }

  Level& level(std::size_t indent) {
    close_levels_behind(indent);
    if (levels_.empty() || levels_.back().indent < indent) levels_.push_back({.indent = indent});
    return levels_.back();
  }

  // Whether there were any with results: then the next line is the sum of these.
  bool close_levels_behind(std::size_t indent) {
    bool any = false;
    while (!levels_.empty() && levels_.back().indent > indent) {
      any |= levels_.back().seen > 0;
      close_last();
    }
    return any;
  }

  void close_last() {
    const Level last = levels_.back();
    if (last.planned && *last.planned == 0) {
      add(path(""), SubtestState::fail, "it has nothing to run");
      levels_.back().failed = true;
    } else if (last.planned && *last.planned != last.seen) {
      add(path(""), SubtestState::fail,
          std::format("{} of {} have reported", last.seen, *last.planned));
      levels_.back().failed = true;
    }
    below_failed_ = levels_.back().failed;
    levels_.pop_back();
  }

  std::string path(std::string_view name) const {
    std::string text;
    for (const Level& each : levels_) {
      if (!each.name.empty()) text += (text.empty() ? "" : ".") + each.name;
    }
    if (name.empty()) return text;
    return text.empty() ? std::string(name) : std::format("{}.{}", text, name);
  }

  void comment(std::string_view text) {
    // The frame that selftests draw around each result.
    for (const std::string_view drawn : {"RUN ", "[RUN]", "OK ", "FAIL ", "Totals:", "Starting "}) {
      if (text.starts_with(drawn)) return;
    }
    if (text.empty() || comments_.size() > kReasonBytes) return;
    comments_ += (comments_.empty() ? "" : "; ") + std::string(text);
  }

  void add(std::string name, SubtestState state, std::string reason) {
    if (state == SubtestState::pass) reason.clear();
    if (state != SubtestState::pass && reason.empty()) reason = comments_;
    test_.subtests.push_back(
        {.name = std::move(name), .state = state, .reason = std::move(reason)});
  }

  void end(int status) {
    const std::string last_words = comments_;
    const std::optional<SubtestState> violent = violent_end(status);
    // Then that is what there is to say.
    if (violent) std::ranges::for_each(levels_, [](Level& each) { each.planned.reset(); });
    while (!levels_.empty()) close_last();
    comments_ = last_words.empty() ? std::format("exit status {}", status) : last_words;
    const bool explained = std::ranges::any_of(
        test_.subtests, [](const Subtest& each) { return each.state == SubtestState::fail; });
    if (violent) {
      add("", *violent, std::format("exit status {}", status));
    } else if (status == kSkipStatus && test_.subtests.empty()) {
      add("", SubtestState::skip, "");
    } else if (status != 0 && status != kSkipStatus && !explained) {
      add("", SubtestState::fail, "");
    }
  }

  SuiteTest test_;
  std::vector<Level> levels_;
  bool below_failed_ = false;
  std::string comments_;
};

}  // namespace

SuiteTest parse_ktap(const ProgramOutput& output) {
  return Parser(output).result();
}

}  // namespace figment::host
