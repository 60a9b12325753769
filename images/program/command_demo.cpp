// SPDX-License-Identifier: MIT
//
// demo: fork stress with every strategy in every scenario, one table; then some events of the
// torture table, summed up. Fails when a safe strategy corrupts a word, when the control does not,
// when a row of the table is wrong, and when the kernel complains.
#include <unistd.h>

#include <algorithm>
#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "demo.h"
#include "matrix.h"
#include "progress.h"

namespace figment::host {

std::vector<DemoRow> parse_demo_rows(const std::string& json) {
  try {
    const auto parsed = nlohmann::json::parse(json);
    if (parsed.at("version") != 1) throw Failure("figment-stress wrote another version of results");
    std::vector<DemoRow> rows;
    for (const auto& row : parsed.at("rows")) {
      rows.push_back({.strategy = row.at("strategy"),
                      .scenario = row.at("scenario"),
                      .forks = row.at("forks"),
                      .gpu_words = row.at("gpu_words"),
                      .corrupt_words = row.at("corrupt_words"),
                      .kernel_reports = row.at("kernel_reports")});
    }
    return rows;
  } catch (const nlohmann::json::exception& error) {
    throw Failure(std::string{"the results of figment-stress are broken: "} + error.what());
  }
}

namespace {

// Of each family of events some that everybody knows; all of the quick table takes longer than the
// rest of the demo.
constexpr const char* kTaste =
    "fork-child,exec-busy,munmap,mremap-move,mprotect-none,madv-dontneed,madv-pageout,soft-dirty,"
    "uffd-wp,ptrace-poke";

}  // namespace

DemoResult run_demo(Workshop& workshop, const VmOptions& vm, const DemoLimits& limits,
                    const Sink& on_stdout, const Sink& on_stderr) {
  const fs::path folder = run_folder(workshop.places());
  const fs::path results = folder / "results";
  fs::create_directories(results);
  Argv command = {"figment-stress",
                  "--seconds",
                  std::to_string(limits.seconds),
                  "--forks",
                  std::to_string(limits.forks),
                  "--json",
                  results / "stress.json"};
  if (limits.table) {
    const Argv catalogue = {"figment-stress", "events", "--list", "--json",
                            results / "catalogue.json"};
    const Argv events = {"figment-stress", "events", "--quick",
                         "--pages",        "4k",     "--event",
                         kTaste,           "--json", results / "events.json"};
    // Both, and the status of the first that was not content. Of the table there is a summary.
    command = {"sh", "-c",
               std::format("{} && {}; a=$?; {} >/dev/null; b=$?; exit $((a ? a : b))",
                           quoted(catalogue), quoted(command), quoted(events))};
  }
  Prepared prepared = prepare(workshop, vm,
                              {.command = command,
                               .shares = {{.folder = results, .mount = results, .writable = true}},
                               .null_nvme = false,
                               .directory = "/root",
                               .test_hmm = false});
  DemoResult result;
  prepared.session.folder = folder;
  prepared.session.on_stdout = on_stdout;
  prepared.session.on_stderr = [&](std::string_view bytes) {
    result.errors += bytes;
    if (on_stderr) on_stderr(bytes);
  };
  result.verdict = run_guest(prepared.guest, prepared.session, make_judge(workshop.places()));
  if (fs::exists(results / "stress.json")) {
    result.json = read_file(results / "stress.json");
    result.rows = parse_demo_rows(result.json);
  }
  if (fs::exists(results / "catalogue.json")) {
    add_catalogue(result.table, read_file(results / "catalogue.json"));
  }
  if (fs::exists(results / "events.json")) {
    add_table(result.table, read_file(results / "events.json"));
  }
  return result;
}

std::string table_summary(const Matrix& table) {
  std::vector<std::string> strategies, events;
  const auto note = [](std::vector<std::string>& names, const std::string& name) {
    if (!std::ranges::contains(names, name)) names.push_back(name);
  };
  for (const EventRow& row : table.rows) {
    note(strategies, row.strategy);
    note(events, row.event);
  }
  std::string text = std::format(
      "\nother events, {} of {} (all of them, and everything about them: ./figment matrix)\n"
      "{:<10} {:>6} {:>6} {:>14} {:>9} {:>6} {:>8} {:>8}\n",
      events.size(), std::max(events.size(), table.catalogue.events.size()), "strategy", "events",
      "rows", "words checked", "corrupt", "wrong", "refused", "skipped");
  for (const std::string& strategy : strategies) {
    // Of this strategy alone.
    Matrix own{.catalogue = table.catalogue};
    std::vector<std::string> own_events;
    for (const EventRow& row : table.rows) {
      if (row.strategy != strategy) continue;
      own.rows.push_back(row);
      note(own_events, row.event);
    }
    const MatrixTotals totals = totals_of(own);
    const auto cells = [&](Cell cell) { return totals.cells[static_cast<std::size_t>(cell)]; };
    text += std::format("{:<10} {:>6} {:>6} {:>14} {:>9} {:>6} {:>8} {:>8}\n", strategy,
                        own_events.size(), totals.rows, totals.gpu_words,
                        totals.corrupt_in_safe + totals.caught_in_control, cells(Cell::wrong),
                        cells(Cell::refused), cells(Cell::skipped));
  }
  return text;
}

int demo_command(const Options& options) {
  Workshop workshop(Places::from_environment(), options.vm.dry_run);
  if (options.vm.dry_run) {
    return print_command_line(prepare(workshop, options.vm, {}).guest);
  }
  // A time that was asked for is kept; the default lasts until there is enough to speak of.
  DemoLimits limits;
  if (options.seconds) limits = {.seconds = *options.seconds, .forks = 0};
  std::cerr << std::format(
      "figment: demo: boots a guest and forks under GPU writes for {} s; then other events\n",
      limits.seconds);
  Progress progress;
  const DemoResult result = run_demo(
      workshop, options.vm, limits,
      [&](std::string_view bytes) {
        progress.clear();
        write_all(STDOUT_FILENO, bytes);
      },
      [&](std::string_view bytes) { progress.take(bytes); });
  progress.clear();
  if (!result.table.rows.empty()) write_all(STDOUT_FILENO, table_summary(result.table));
  std::cerr << result.verdict.explanation();
  if (!options.json.empty() && !result.json.empty()) write_file(visible(options.json), result.json);
  if (const int status = result.verdict.exit_status()) return status;
  // The tool has judged its rows already; that there were rows is for us to see.
  std::uint64_t safe_rows = 0, control_words = 0;
  for (const DemoRow& row : result.rows) {
    if (row.strategy == "unsafe") control_words += row.corrupt_words;
    if (row.strategy != "unsafe") {
      ++safe_rows;
      if (row.corrupt_words != 0) throw Failure("demo: a safe strategy corrupted words");
    }
    if (row.kernel_reports != 0) throw Failure("demo: the kernel complained during a row");
  }
  if (safe_rows == 0 || control_words == 0) {
    throw Failure("demo: the results lack rows of a safe strategy or corrupt words of the control");
  }
  if (result.table.rows.empty()) throw Failure("demo: nothing of the torture table was done");
  return 0;
}

}  // namespace figment::host
