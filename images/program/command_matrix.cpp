// SPDX-License-Identifier: MIT
//
// matrix: the torture table, what fork() costs and how other users of pages fare, in a guest each,
// and one page about all of it. What there is is written whatever happens: also when a guest dies,
// or somebody is tired of waiting.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <format>
#include <iostream>

#include "commands.h"
#include "matrix_page.h"
#include "progress.h"

namespace figment::host {

namespace {

// The largest range is 1 GiB, and a child is left with a copy of it.
constexpr std::uint64_t kGrowthMemoryMib = 6144;

// 64 processes, each with a queue that writes and one that measures.
constexpr const char* kGrowthQueues = "256";

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
  return text.data();
}

// Of the checkout; ./figment asks git, which the build root does not have. Empty: unknown.
std::string revision() {
  const char* text = std::getenv("FIGMENT_REVISION");
  return text ? text : "";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

struct Files {
  fs::path json;
  fs::path html;
};

class Run {
 public:
  Run(Workshop& workshop, const Options& options)
      : workshop_(workshop),
        options_(options),
        files_{.json = options.json.empty() ? workshop.places().build / "matrix.json"
                                            : visible(fs::absolute(options.json)),
               .html = options.html.empty() ? workshop.places().build / "matrix.html"
                                            : visible(fs::absolute(options.html))} {
    Argv again{"./figment", "matrix"};
    again.insert(again.end(), options.given.begin(), options.given.end());
    matrix_.command = quoted(again);
    matrix_.started = utc_now();
    matrix_.version = revision();
    matrix_.seed = options.stress_seed;
    matrix_.quick = options.quick;
    for (const char* part : {"table", "growth", "compare"}) {
      if (wants(part)) matrix_.parts.push_back({.name = part, .trouble = "it has not begun"});
    }
  }

  int run() {
    write();  // that they can be written is known before an hour has passed
    try {
      if (wants("table")) run_table();
      if (wants("growth")) run_growth();
      if (wants("compare")) run_compare();
    } catch (const Interrupted&) {
      write();
      std::cerr << "figment: matrix: interrupted; what there is, is in " << files_.html.string()
                << "\n";
      throw;
    } catch (...) {
      write();
      throw;
    }
    write();
    const std::vector<std::string> wrong = complaints(matrix_);
    for (const std::string& one : wrong) std::cerr << "figment: matrix: " << one << "\n";
    const MatrixTotals totals = totals_of(matrix_);
    std::cout << std::format(
        "{} rows, {} words checked, {} corrupt under safe strategies, {} caught in the control\n"
        "page: {}\njson: {}\n",
        totals.rows + totals.compare_rows + totals.cost_rows, totals.gpu_words,
        totals.corrupt_in_safe, totals.caught_in_control, files_.html.string(),
        files_.json.string());
    return exit_status(matrix_);
  }

 private:
  bool wants(const std::string& part) const {
    return options_.parts.empty() ||
           std::ranges::find(options_.parts, part) != options_.parts.end();
  }

  std::vector<std::string> common_words(const fs::path& json) const {
    std::vector<std::string> words = {"--seed", std::to_string(options_.stress_seed), "--json",
                                      json};
    if (options_.quick) words.push_back("--quick");
    if (!options_.strategies.empty()) {
      words.insert(words.end(), {"--strategy", joined(options_.strategies)});
    }
    return words;
  }

  void run_table() {
    const fs::path folder = run_folder(workshop_.places());
    const fs::path results = folder / "results";
    Argv events = {"figment-stress", "events"};
    std::ranges::move(common_words(results / "events.json"), std::back_inserter(events));
    if (!options_.events.empty()) events.insert(events.end(), {"--event", joined(options_.events)});
    if (!options_.pages.empty()) events.insert(events.end(), {"--pages", joined(options_.pages)});
    if (options_.rounds) {
      events.insert(events.end(), {"--rounds", std::to_string(*options_.rounds)});
    }
    const Argv catalogue = {"figment-stress", "events", "--list", "--json",
                            results / "catalogue.json"};
    const std::string script =
        std::format("figment-info --json > {} && {} && exec {}", quoted({results / "device.json"}),
                    quoted(catalogue), quoted(events));
    VmOptions vm = options_.vm;
    vm.nodes = std::max(vm.nodes, kTableNodes);
    run_part("table", folder, {"sh", "-c", script}, vm, [this, results] {
      if (fs::exists(results / "device.json")) {
        matrix_.device =
            nlohmann::ordered_json::parse(read_file(results / "device.json"), nullptr, false);
        if (matrix_.device.is_discarded()) matrix_.device = nullptr;
      }
      if (fs::exists(results / "catalogue.json")) {
        add_catalogue(matrix_, read_file(results / "catalogue.json"));
      }
      if (fs::exists(results / "events.json"))
        add_table(matrix_, read_file(results / "events.json"));
      return matrix_.rows.size();
    });
  }

  void run_growth() {
    const fs::path folder = run_folder(workshop_.places());
    const fs::path results = folder / "results";
    Argv command = {"figment-stress", "growth"};
    std::ranges::move(common_words(results / "growth.json"), std::back_inserter(command));
    VmOptions vm = options_.vm;
    if (!options_.quick) vm.memory_mib = std::max(vm.memory_mib, kGrowthMemoryMib);
    // First, so that what the user says comes after it and counts.
    vm.gpu.insert(vm.gpu.begin(), {"queues", kGrowthQueues});
    run_part("growth", folder, command, vm, [this, results] {
      if (fs::exists(results / "growth.json")) {
        add_growth(matrix_, read_file(results / "growth.json"));
      }
      return matrix_.costs.size();
    });
  }

  void run_compare() {
    const fs::path folder = run_folder(workshop_.places());
    const fs::path results = folder / "results";
    Argv command = {"figment-stress", "compare"};
    std::ranges::move(common_words(results / "compare.json"), std::back_inserter(command));
    if (options_.rounds) {
      command.insert(command.end(), {"--rounds", std::to_string(*options_.rounds)});
    }
    run_part("compare", folder, command, options_.vm, [this, results] {
      if (fs::exists(results / "compare.json")) {
        add_compare(matrix_, read_file(results / "compare.json"));
      }
      return matrix_.compares.size();
    });
  }

  // Boots, runs, and takes what is in the folder `results`, however that ends.
  template <typename Take>
  void run_part(const std::string& name, const fs::path& folder, const Argv& command,
                const VmOptions& vm, Take&& take) {
    const fs::path results = folder / "results";
    fs::create_directories(results);
    MatrixPart& part = *std::ranges::find(matrix_.parts, name, &MatrixPart::name);
    part.trouble = "it did not come to its end";
    write();
    std::cerr << std::format("figment: matrix: {}, logs in {}\n", name, folder.string());
    Prepared prepared =
        prepare(workshop_, vm,
                {.command = command,
                 .shares = {{.folder = results, .mount = results, .writable = true}},
                 .null_nvme = false,
                 .directory = "/root"});
    Progress progress;
    prepared.session.folder = folder;
    prepared.session.rerun = matrix_.command;
    prepared.session.on_stdout = [&](std::string_view bytes) {
      progress.clear();
      write_all(STDOUT_FILENO, bytes);
    };
    prepared.session.on_stderr = [&](std::string_view bytes) {
      progress.take(bytes);
      part.planned = progress.total();
    };
    try {
      const Verdict verdict =
          run_guest(prepared.guest, prepared.session, make_judge(workshop_.places()));
      progress.clear();
      part.status = verdict.exit_status();
      part.ended = verdict.status.has_value();
      part.trouble = verdict.timed_out ? "it ran out of time" : verdict.trouble;
      part.reports = verdict.reports.size();
      for (const KernelReport& report : verdict.reports) {
        part.trouble += std::format("{}kernel report ({}): {}", part.trouble.empty() ? "" : "; ",
                                    report.kind, report.line);
      }
      std::cerr << verdict.explanation();
    } catch (const Interrupted&) {
      progress.clear();
      part.done = take();
      throw;
    }
    part.done = take();
    write();
  }

  void write() const {
    const fs::path forms = workshop_.places().checkout / "images/matrix";
    write_file(files_.json, to_json(matrix_));
    write_file(files_.html, matrix_page(matrix_, {.page = read_file(forms / "page.html"),
                                                  .style = read_file(forms / "style.css"),
                                                  .script = read_file(forms / "script.js")}));
  }

  Workshop& workshop_;
  const Options& options_;
  Files files_;
  Matrix matrix_;
};

}  // namespace

int matrix_command(const Options& options) {
  Workshop workshop(Places::from_environment(), options.vm.dry_run);
  if (options.vm.dry_run) {
    return print_command_line(prepare(workshop, options.vm, {}).guest);
  }
  return Run(workshop, options).run();
}

}  // namespace figment::host
