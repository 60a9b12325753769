// SPDX-License-Identifier: MIT
//
// The matrix: everything that figment-stress tells of the torture table, of what fork() costs and
// of other users of pages, as data; what is right with it, and what is missing. The page is
// matrix_page.h, the command command_matrix.cpp, docs/matrix.md explains both.
#ifndef FIGMENT_PROGRAM_MATRIX_H
#define FIGMENT_PROGRAM_MATRIX_H

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fit.h"

namespace figment::host {

// Microseconds.
struct Times {
  double p50 = 0;
  double p99 = 0;
  double max = 0;
};

enum class Cell { right, caught, wrong, refused, skipped };

// A row of figment-stress events: a strategy, an event, a kind of pages.
struct EventRow {
  std::string strategy;
  std::string event;
  std::string pages;
  std::uint64_t rounds = 0;
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;
  std::uint64_t kernel_reports = 0;
  Times event_us;
  Times idle_us;
  std::string refused;  // errno, or empty
  std::string skipped;  // reason, or empty
  bool right = false;
  std::vector<std::string> complaints;

  Cell cell() const;
};

struct EventInfo {
  std::string name;
  std::string numbers;
  std::string what;
};

struct PagesInfo {
  std::string name;
  std::string what;
  std::string refused;  // errno that is documented, or empty
  std::string why;
};

struct StrategyText {
  std::string name;
  std::string what;
  bool safe = true;
};

struct Catalogue {
  std::vector<EventInfo> events;
  std::vector<PagesInfo> pages;
  std::vector<StrategyText> strategies;
};

// Which call sites in the kernel have reached a notifier of the driver while the GPU was at work.
struct Site {
  std::string site;
  std::string file;
  bool reached = false;
  std::string why;  // not; empty: nobody knows
};

struct SiteCount {
  std::string site;
  std::string event;  // type of the notification
  std::string strategy;
  std::uint64_t count = 0;
};

struct Coverage {
  std::vector<Site> sites;
  std::vector<SiteCount> counts;
};

struct NotifierTimes {
  std::vector<double> count;
  std::vector<double> total_us;
  std::vector<double> waited_us;
};

// A row of figment-stress growth. All times in microseconds, each as it was measured.
struct CostRow {
  std::string axis;
  std::string strategy;
  std::uint64_t processes = 0;
  std::uint64_t ranges = 0;
  std::uint64_t bytes = 0;  // of a range
  std::vector<double> none_us;
  std::vector<double> idle_us;
  std::vector<double> busy_us;
  std::vector<double> bind_us;
  std::vector<double> first_job_us;
  std::vector<double> rewrite_us;
  std::optional<NotifierTimes> idle_notifiers;
  std::optional<NotifierTimes> busy_notifiers;
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_words = 0;
  std::uint64_t kernel_reports = 0;
  std::string skipped;
  bool right = false;
  std::vector<std::string> complaints;

  // What grows along its axis.
  double place() const;
};

// Words of one that another has seen, where that was wrong.
struct Sighting {
  std::string viewer;
  std::string whose;
  std::string judgement;  // lost, leaked
  std::uint64_t words = 0;
};

// A row of figment-stress compare: a user of pages, a GPU or not, in a situation.
struct CompareRow {
  std::string comparison;  // direct, tree
  std::string user;        // of a GPU its strategy
  bool gpu = false;
  std::string pages;
  std::string situation;  // in words
  std::uint64_t rounds = 0;
  std::uint64_t wrong_rounds = 0;
  std::uint64_t words = 0;
  std::uint64_t lost_words = 0;
  std::uint64_t leaked_words = 0;
  std::vector<Sighting> saw;
  std::string skipped;
  bool right = false;
  std::vector<std::string> complaints;

  std::uint64_t wrong_words() const { return lost_words + leaked_words; }
};

// One guest, and how it ended.
struct MatrixPart {
  std::string name;  // table, growth, compare
  std::uint64_t planned = 0;
  std::uint64_t done = 0;
  int status = 3;             // as ./figment run would end with it
  bool ended = false;         // the command did
  std::string trouble;        // in words; empty: none
  std::uint64_t reports = 0;  // of the kernel, in the console's log

  bool complete() const { return ended && planned > 0 && done == planned; }
};

struct Matrix {
  std::string version;  // of the checkout
  std::string command;  // that does it again
  std::string started;  // date and time, UTC
  std::string kernel;
  std::uint64_t seed = 1;
  bool quick = false;
  nlohmann::ordered_json device;  // as figment-info tells; null: it did not
  Catalogue catalogue;
  std::vector<EventRow> rows;
  std::vector<CostRow> costs;
  std::vector<CompareRow> compares;
  std::vector<std::string> table_complaints;  // about no row of its own
  std::optional<Coverage> coverage;
  std::vector<MatrixPart> parts;
  // As they came, for the JSON file.
  nlohmann::ordered_json raw_rows = nlohmann::ordered_json::array();
  nlohmann::ordered_json raw_costs = nlohmann::ordered_json::array();
  nlohmann::ordered_json raw_compares = nlohmann::ordered_json::array();
  nlohmann::ordered_json raw_coverage;
};

struct MatrixTotals {
  std::uint64_t rows = 0;       // of the table
  std::uint64_t cells[5] = {};  // of the table, by Cell
  std::uint64_t compare_rows = 0;
  std::uint64_t cost_rows = 0;
  std::uint64_t told_words = 0;  // wrong, and no GPU was there
  // Of all rows with a GPU.
  std::uint64_t gpu_words = 0;
  std::uint64_t corrupt_in_safe = 0;
  std::uint64_t caught_in_control = 0;
  std::uint64_t kernel_reports = 0;
};

// Throw Failure when the text is not what docs/events.md, docs/matrix.md and docs/compare.md
// describe. The catalogue comes first: it says which strategies are safe.
void add_catalogue(Matrix& matrix, const std::string& json);
void add_table(Matrix& matrix, const std::string& json);
void add_growth(Matrix& matrix, const std::string& json);
void add_compare(Matrix& matrix, const std::string& json);

bool is_safe(const Matrix& matrix, const std::string& strategy);
MatrixTotals totals_of(const Matrix& matrix);

// What is wrong, in a line each: rows, parts that did not come to their end, a kernel that
// complained.
std::vector<std::string> complaints(const Matrix& matrix);

// 0; 1: a row is wrong, missing, or there is none; 3: a guest died or its kernel complained;
// 124: it ran out of time.
int exit_status(const Matrix& matrix);

// Everything, for programs.
std::string to_json(const Matrix& matrix);

// What grows faster than linearly.
struct Steep {
  std::string axis;
  std::string strategy;
  std::string what;
  double slope = 0;  // over the last decade
};

struct CostKind {
  std::string_view name;
  std::string_view what;
  double (*median)(const CostRow& row);  // microseconds; zero: not measured
};

const std::vector<CostKind>& cost_kinds();

// Medians of one kind along an axis, in the order of the axis.
std::vector<Point> points_of(const Matrix& matrix, std::string_view axis, std::string_view strategy,
                             const CostKind& kind);
std::vector<Steep> steep_parts(const Matrix& matrix);

}  // namespace figment::host

#endif
