// SPDX-License-Identifier: MIT
//
// The judge reads a guest's console log and finds what the kernel complained about: warnings,
// oopses, sanitiser reports, stalls, panics. It is pure: lines in, reports out.
//
// What is known to be harmless here is in a file of its own, images/guest/known-noise: a regular
// expression and a reason a line. Nothing is ignored without a reason there.
#ifndef FIGMENT_PROGRAM_JUDGE_H
#define FIGMENT_PROGRAM_JUDGE_H

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace figment::host {

struct KernelReport {
  std::string kind;         // "warning", "oops", "kasan", ...
  std::string line;         // the line that began it, without its time stamp
  std::size_t line_number;  // in the log, from 1
  // What follows, to the end of its last call trace, without time stamps; empty if there is none.
  std::vector<std::string> trace = {};
  bool operator==(const KernelReport&) const = default;
};

class Judge {
 public:
  // `noise`: lines "EXPRESSION  # reason". Throws std::runtime_error on a line without a reason or
  // with a bad expression.
  explicit Judge(std::string_view noise);

  // Reports in the order of the log. Several lines of one report ("BUG:" and then "Oops:") are as
  // many entries: the first one is the cause.
  std::vector<KernelReport> reports(std::string_view log) const;

 private:
  struct Expression;
  std::vector<std::shared_ptr<const Expression>> noise_;  // shared: a judge is copied freely
};

}  // namespace figment::host

#endif
