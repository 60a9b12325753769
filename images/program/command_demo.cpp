// SPDX-License-Identifier: MIT
//
// demo: fork stress with every strategy in every scenario, one table. Fails when a safe strategy
// corrupts a word, when the control does not, and when the kernel complains.
#include <unistd.h>

#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "demo.h"

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

DemoResult run_demo(Workshop& workshop, const VmOptions& vm, const DemoLimits& limits,
                    const Sink& on_stdout, const Sink& on_stderr) {
  const fs::path folder = run_folder(workshop.places());
  const fs::path results = folder / "results";
  fs::create_directories(results);
  const Argv command = {"figment-stress", "--seconds", std::to_string(limits.seconds), "--forks",
                        std::to_string(limits.forks), "--json", results / "stress.json"};
  Prepared prepared = prepare(
      workshop, vm,
      {.command = command,
       .shares = {{.folder = results, .mount = results, .writable = true}},
       .null_nvme = false,
       .directory = "/root"});
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
  return result;
}

namespace {

// The tool's progress, "[3/10] ...", is one line that changes when somebody watches, so that the
// table stays a table.
class Progress {
 public:
  void take(std::string_view bytes) {
    if (!terminal_) return write_all(STDERR_FILENO, bytes);
    partial_ += bytes;
    for (std::size_t end; (end = partial_.find('\n')) != partial_.npos; partial_.erase(0, end + 1)) {
      const std::string line = partial_.substr(0, end);
      shown_ = line.starts_with('[');
      write_all(STDERR_FILENO, "\r\033[K" + line + (shown_ ? "" : "\n"));
    }
  }

  // Before anything else is written to the terminal.
  void clear() {
    if (std::exchange(shown_, false)) write_all(STDERR_FILENO, "\r\033[K");
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool shown_ = false;
  std::string partial_;
};

}  // namespace

int demo_command(const Options& options) {
  Workshop workshop(Places::from_environment(), options.vm.dry_run);
  if (options.vm.dry_run) {
    Prepared prepared = prepare(workshop, options.vm, {});
    prepared.guest.console = "CONSOLE";
    std::cout << quoted(qemu_argv(prepared.guest)) << "\n";
    return 0;
  }
  // A time that was asked for is kept; the default lasts until there is enough to speak of.
  DemoLimits limits;
  if (options.seconds) limits = {.seconds = *options.seconds, .forks = 0};
  std::cerr << std::format("figment: demo: boots a guest and forks under GPU writes for {} s\n",
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
  return 0;
}

}  // namespace figment::host
