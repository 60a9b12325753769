// SPDX-License-Identifier: MIT
#include "matrix.h"

#include <algorithm>
#include <format>

#include "process.h"

namespace figment::host {

namespace {

using Json = nlohmann::ordered_json;

// Above this a part is said to grow faster than linearly: medians of a few forks are not exact.
constexpr double kSteep = 1.15;

std::string text_or_empty(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? "" : found->get<std::string>();
}

Times times_of(const Json& json) {
  return {.p50 = json.at("p50"), .p99 = json.at("p99"), .max = json.at("max")};
}

EventRow event_row(const Json& row) {
  return {.strategy = row.at("strategy"),
          .event = row.at("event"),
          .pages = row.at("pages"),
          .rounds = row.at("rounds"),
          .gpu_words = row.at("gpu_words"),
          .corrupt_words = row.at("corrupt_words"),
          .kernel_reports = row.at("kernel_reports"),
          .event_us = times_of(row.at("event_us")),
          .idle_us = times_of(row.at("baseline_event_us")),
          .refused = text_or_empty(row, "refused"),
          .skipped = text_or_empty(row, "skipped"),
          .right = row.at("right"),
          .complaints = row.value("complaints", std::vector<std::string>{})};
}

NotifierTimes notifier_times(const Json& json) {
  return {.count = json.at("count"),
          .total_us = json.at("total_us"),
          .waited_us = json.at("waited_us")};
}

CostRow cost_row(const Json& row) {
  const Json& forks = row.at("fork_us_samples");
  CostRow cost{.axis = row.at("axis"),
               .strategy = row.at("strategy"),
               .processes = row.at("processes"),
               .ranges = row.at("ranges"),
               .bytes = row.at("bytes"),
               .none_us = forks.at("none"),
               .idle_us = forks.at("idle"),
               .busy_us = forks.at("busy"),
               .bind_us = row.at("bind_us"),
               .first_job_us = row.at("first_job_us"),
               .rewrite_us = row.at("rewrite_us"),
               .gpu_words = row.at("gpu_words"),
               .corrupt_words = row.at("corrupt_words"),
               .kernel_reports = row.at("kernel_reports"),
               .skipped = text_or_empty(row, "skipped"),
               .right = row.at("right"),
               .complaints = row.at("complaints")};
  const Json& notifiers = row.at("notifiers");
  if (!notifiers.is_null()) {
    cost.idle_notifiers = notifier_times(notifiers.at("idle"));
    cost.busy_notifiers = notifier_times(notifiers.at("busy"));
  }
  return cost;
}

std::string situation_of(const Json& row) {
  if (row.at("comparison") == "direct") {
    return std::format("{} fork(), {} first", row.at("timing").get<std::string>(),
                       row.at("first").get<std::string>());
  }
  constexpr const char* kForks[] = {"before both forks", "between the forks", "after both forks"};
  const std::size_t forks = row.at("forks_before");
  if (forks >= std::size(kForks)) throw Failure("a tree has more forks than anybody knows");
  return std::format("{}, bound by {} {}", row.at("access") == "read" ? "read-only" : "writing",
                     row.at("binder").get<std::string>(), kForks[forks]);
}

CompareRow compare_row(const Json& row) {
  CompareRow compare{.comparison = row.at("comparison"),
                     .user = row.at("user"),
                     .gpu = row.at("gpu"),
                     .pages = row.at("pages"),
                     .situation = situation_of(row),
                     .rounds = row.at("rounds"),
                     .wrong_rounds = row.at("wrong_rounds"),
                     .words = row.at("words"),
                     .lost_words = row.at("lost_words"),
                     .leaked_words = row.at("leaked_words"),
                     .saw = {},
                     .skipped = text_or_empty(row, "skipped"),
                     .right = row.at("right"),
                     .complaints = row.at("complaints")};
  for (const Json& one : row.at("saw")) {
    compare.saw.push_back({.viewer = one.at("viewer"),
                           .whose = one.at("whose"),
                           .judgement = one.at("judgement"),
                           .words = one.at("words")});
  }
  return compare;
}

Coverage coverage_of(const Json& json) {
  Coverage coverage;
  for (const Json& one : json.at("coverage")) {
    coverage.counts.push_back({.site = one.at("site"),
                               .event = one.at("event"),
                               .strategy = one.at("strategy"),
                               .count = one.at("count")});
  }
  for (const Json& one : json.at("sites")) {
    coverage.sites.push_back({.site = one.at("site"),
                              .file = text_or_empty(one, "file"),
                              .reached = one.at("reached"),
                              .why = text_or_empty(one, "why")});
  }
  return coverage;
}

// Parses one file of figment-stress, and says of which it is that something is wrong with it.
template <typename Take>
void take(const char* what, const std::string& text, Take&& take) {
  try {
    const Json json = Json::parse(text);
    if (json.at("version") != 1) throw Failure(std::string{what} + " is of another version");
    take(json);
  } catch (const nlohmann::json::exception& error) {
    throw Failure(std::format("{} of figment-stress is broken: {}", what, error.what()));
  }
}

double median(const std::vector<double>& samples) {
  return quantile(samples, 0.5);
}

}  // namespace

Cell EventRow::cell() const {
  if (!right) return Cell::wrong;
  if (!skipped.empty()) return Cell::skipped;
  if (!refused.empty()) return Cell::refused;
  return corrupt_words > 0 ? Cell::caught : Cell::right;
}

double CostRow::place() const {
  if (axis == "processes") return static_cast<double>(processes);
  if (axis == "ranges") return static_cast<double>(ranges);
  return static_cast<double>(bytes);
}

void add_catalogue(Matrix& matrix, const std::string& json) {
  take("the catalogue", json, [&](const Json& all) {
    for (const Json& one : all.at("events")) {
      matrix.catalogue.events.push_back(
          {.name = one.at("name"), .numbers = one.at("numbers"), .what = one.at("what")});
    }
    for (const Json& one : all.at("pages")) {
      matrix.catalogue.pages.push_back({.name = one.at("name"),
                                        .what = one.at("what"),
                                        .refused = text_or_empty(one, "refused"),
                                        .why = text_or_empty(one, "why")});
    }
    for (const Json& one : all.at("strategies")) {
      matrix.catalogue.strategies.push_back(
          {.name = one.at("name"), .what = one.at("what"), .safe = one.at("safe")});
    }
  });
}

void add_table(Matrix& matrix, const std::string& json) {
  take("the table", json, [&](const Json& all) {
    matrix.kernel = all.at("kernel");
    for (const Json& one : all.at("rows")) {
      EventRow& row = matrix.rows.emplace_back(event_row(one));
      // The tool has judged its rows; this much can be seen from here.
      if (is_safe(matrix, row.strategy) && row.corrupt_words > 0) row.right = false;
    }
    matrix.raw_rows = all.at("rows");
    matrix.table_complaints = all.value("complaints", std::vector<std::string>{});
    if (all.contains("coverage") && all.contains("sites")) {
      matrix.coverage = coverage_of(all);
      matrix.raw_coverage = {{"coverage", all.at("coverage")}, {"sites", all.at("sites")}};
    }
  });
}

void add_growth(Matrix& matrix, const std::string& json) {
  take("the growth measurement", json, [&](const Json& all) {
    matrix.kernel = all.at("kernel");
    for (const Json& row : all.at("rows")) matrix.costs.push_back(cost_row(row));
    matrix.raw_costs = all.at("rows");
  });
}

void add_compare(Matrix& matrix, const std::string& json) {
  take("the comparison", json, [&](const Json& all) {
    matrix.kernel = all.at("kernel");
    for (const Json& one : all.at("rows")) {
      CompareRow& row = matrix.compares.emplace_back(compare_row(one));
      if (row.gpu && is_safe(matrix, row.user) && row.wrong_words() > 0) row.right = false;
    }
    matrix.raw_compares = all.at("rows");
  });
}

bool is_safe(const Matrix& matrix, const std::string& strategy) {
  const auto found = std::ranges::find(matrix.catalogue.strategies, strategy, &StrategyText::name);
  // Without a catalogue there is one name that everybody knows.
  return found == matrix.catalogue.strategies.end() ? strategy != "unsafe" : found->safe;
}

MatrixTotals totals_of(const Matrix& matrix) {
  MatrixTotals totals;
  for (const EventRow& row : matrix.rows) {
    ++totals.rows;
    ++totals.cells[static_cast<int>(row.cell())];
    totals.gpu_words += row.gpu_words;
    (is_safe(matrix, row.strategy) ? totals.corrupt_in_safe : totals.caught_in_control) +=
        row.corrupt_words;
  }
  for (const CompareRow& row : matrix.compares) {
    ++totals.compare_rows;
    if (!row.gpu) {
      totals.told_words += row.wrong_words();
      continue;
    }
    totals.gpu_words += row.words;
    (is_safe(matrix, row.user) ? totals.corrupt_in_safe : totals.caught_in_control) +=
        row.wrong_words();
  }
  for (const CostRow& row : matrix.costs) {
    ++totals.cost_rows;
    totals.gpu_words += row.gpu_words;
    (is_safe(matrix, row.strategy) ? totals.corrupt_in_safe : totals.caught_in_control) +=
        row.corrupt_words;
  }
  // Those of the rows are in the log of the console as well, and more.
  for (const MatrixPart& part : matrix.parts) totals.kernel_reports += part.reports;
  return totals;
}

std::vector<std::string> complaints(const Matrix& matrix) {
  std::vector<std::string> found;
  for (const EventRow& row : matrix.rows) {
    if (row.right) continue;
    std::string why;
    for (const std::string& one : row.complaints) why += (why.empty() ? "" : "; ") + one;
    found.push_back(std::format("{} {} {}: {}", row.event, row.pages, row.strategy,
                                why.empty() ? "wrong, and nobody says why" : why));
  }
  found.insert(found.end(), matrix.table_complaints.begin(), matrix.table_complaints.end());
  for (const CostRow& row : matrix.costs) {
    if (row.right) continue;
    std::string why;
    for (const std::string& one : row.complaints) why += (why.empty() ? "" : "; ") + one;
    found.push_back(std::format("growth, {} {} at {:g}: {}", row.axis, row.strategy, row.place(),
                                why.empty() ? "wrong, and nobody says why" : why));
  }
  for (const CompareRow& row : matrix.compares) {
    if (row.right) continue;
    std::string why;
    for (const std::string& one : row.complaints) why += (why.empty() ? "" : "; ") + one;
    found.push_back(std::format("{}, {} {}, {}: {}", row.comparison, row.user, row.pages,
                                row.situation, why.empty() ? "wrong, and nobody says why" : why));
  }
  for (const MatrixPart& part : matrix.parts) {
    if (!part.trouble.empty()) found.push_back(std::format("{}: {}", part.name, part.trouble));
    if (part.reports > 0) {
      found.push_back(std::format("{}: the kernel has reported {} times", part.name, part.reports));
    }
    if (!part.complete()) {
      found.push_back(
          std::format("{}: {} of {} rows are there", part.name, part.done,
                      part.planned ? std::to_string(part.planned) : "an unknown number"));
    }
  }
  if (matrix.parts.empty()) found.emplace_back("nothing was run");
  for (const MatrixPart& part : matrix.parts) {
    // The tool is not content, and nothing above says why.
    if (found.empty() && part.status != 0) {
      found.push_back(std::format("{}: it ended with status {}", part.name, part.status));
    }
  }
  return found;
}

int exit_status(const Matrix& matrix) {
  int status = 0;
  for (const MatrixPart& part : matrix.parts) {
    // A dead guest is worse than a wrong row, and both are than a good one.
    if (part.status != 0 && (status == 0 || status == 1)) status = part.status;
  }
  return status == 0 && !complaints(matrix).empty() ? 1 : status;
}

std::string to_json(const Matrix& matrix) {
  Json parts = Json::array();
  for (const MatrixPart& part : matrix.parts) {
    parts.push_back({{"part", part.name},
                     {"planned", part.planned},
                     {"done", part.done},
                     {"status", part.status},
                     {"complete", part.complete()},
                     {"trouble", part.trouble},
                     {"kernel_reports", part.reports}});
  }
  Json steep = Json::array();
  for (const Steep& one : steep_parts(matrix)) {
    steep.push_back(
        {{"axis", one.axis}, {"strategy", one.strategy}, {"what", one.what}, {"slope", one.slope}});
  }
  Json all = {{"version", 1},
              {"checkout", matrix.version},
              {"command", matrix.command},
              {"started", matrix.started},
              {"kernel", matrix.kernel},
              {"seed", matrix.seed},
              {"quick", matrix.quick},
              {"device", matrix.device},
              {"status", exit_status(matrix)},
              {"complaints", complaints(matrix)},
              {"parts", parts},
              {"rows", matrix.raw_rows},
              {"growth", matrix.raw_costs},
              {"compare", matrix.raw_compares},
              {"faster_than_linear", steep}};
  if (matrix.coverage) all.update(matrix.raw_coverage);
  // What a dying guest has said may be anything.
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

const std::vector<CostKind>& cost_kinds() {
  static const std::vector<CostKind> kKinds = {
      {"fork, GPU busy", "fork() while the GPU writes to all of the memory",
       [](const CostRow& row) { return median(row.busy_us); }},
      {"fork, GPU idle", "fork() with idle queues",
       [](const CostRow& row) { return median(row.idle_us); }},
      {"notifiers, GPU busy", "all notifiers of the driver in one fork(), waiting included",
       [](const CostRow& row) {
         return row.busy_notifiers ? median(row.busy_notifiers->total_us) : 0;
       }},
      {"notifiers, GPU idle", "the same with idle queues",
       [](const CostRow& row) {
         return row.idle_notifiers ? median(row.idle_notifiers->total_us) : 0;
       }},
      {"bind", "binding all ranges of a process, one after the other",
       [](const CostRow& row) { return median(row.bind_us); }},
      {"first job", "after fork(): a job that writes one word, from SUBMIT to its end",
       [](const CostRow& row) { return median(row.first_job_us); }},
      {"all pages again", "after fork(), GPU busy: until jobs have written to every page again",
       [](const CostRow& row) { return median(row.rewrite_us); }},
  };
  return kKinds;
}

std::vector<Point> points_of(const Matrix& matrix, std::string_view axis, std::string_view strategy,
                             const CostKind& kind) {
  std::vector<Point> points;
  for (const CostRow& row : matrix.costs) {
    if (row.axis != axis || row.strategy != strategy || !row.skipped.empty()) continue;
    if (const double y = kind.median(row); y > 0) points.push_back({row.place(), y});
  }
  std::ranges::sort(points, {}, &Point::x);
  return points;
}

std::vector<Steep> steep_parts(const Matrix& matrix) {
  std::vector<Steep> found;
  std::vector<std::pair<std::string, std::string>> seen;
  for (const CostRow& row : matrix.costs) {
    const std::pair one{row.axis, row.strategy};
    if (row.axis == "distribution" || std::ranges::contains(seen, one)) continue;
    seen.push_back(one);
    for (const CostKind& kind : cost_kinds()) {
      const auto slope = log_slope(last_decade(points_of(matrix, row.axis, row.strategy, kind)));
      if (slope && *slope > kSteep) {
        found.push_back({.axis = row.axis,
                         .strategy = row.strategy,
                         .what = std::string{kind.name},
                         .slope = *slope});
      }
    }
  }
  return found;
}

}  // namespace figment::host
