// SPDX-License-Identifier: MIT
//
// Mutants: patches of the driver that put one known bug into it, each with what must catch it. A
// mutant is applied to a scratch copy of kernel-driver below build/, compiled for its kernel, and
// booted. The copy is one for all mutants of a kernel, so that only what a patch touches is compiled
// again. tests/mutants/README.md says how to write one.
#include <algorithm>
#include <format>
#include <iostream>
#include <sstream>

#include "kernel_tests.h"
#include "source_copy.h"
#include "test_guest.h"

namespace figment::host {

namespace {

std::string trimmed(std::string text) {
  while (text.ends_with(' ') || text.ends_with('\r')) text.pop_back();
  while (text.starts_with(' ')) text.erase(0, 1);
  return text;
}

std::string last_part(const std::string& text) {
  constexpr std::size_t kShown = 2000;
  return text.size() <= kShown ? text : "..." + text.substr(text.size() - kShown);
}

class MutantTests : public TestSource {
 public:
  MutantTests(Workshop& workshop, VmOptions vm) : workshop_(workshop), vm_(std::move(vm)) {
    const fs::path folder = workshop_.places().checkout / "tests/mutants";
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() != ".patch") continue;
      mutants_.push_back(parse_mutant(entry.path().stem(), read_file(entry.path())));
    }
    std::ranges::sort(mutants_, {}, &Mutant::name);
  }

  std::vector<std::string> names() override {
    std::vector<std::string> names;
    for (const Mutant& mutant : mutants_) names.push_back(kPrefix + mutant.name);
    return names;
  }

  std::vector<std::string> kernels() const override {
    std::vector<std::string> kernels;
    for (const Mutant& mutant : mutants_) {
      if (std::ranges::find(kernels, mutant.kernel) == kernels.end()) {
        kernels.push_back(mutant.kernel);
      }
    }
    return kernels;
  }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    for (const Mutant& mutant : mutants_) {
      const std::string name = kPrefix + mutant.name;
      if (std::ranges::find(selected, name) == selected.end()) continue;
      const auto begin = Clock::now();
      std::string complaint;
      try {
        complaint = run_mutant(mutant, build(mutant));
      } catch (const Failure& failure) {
        complaint = std::string{failure.what()} + "\n";
      }
      report(result_of(name, complaint, begin));
    }
  }

 private:
  static constexpr const char* kPrefix = "mutants.";

  // The module with the bug.
  fs::path build(const Mutant& mutant) {
    const Places& places = workshop_.places();
    const Kernel kernel = workshop_.kernel(mutant.kernel);
    const fs::path folder = places.build / "mutants" / kernel.id;
    const fs::path source = folder / "kernel-driver";
    const Lock lock(places.build / "mutants.lock", {});
    refresh_sources(files_below(places.checkout / "kernel-driver"), source);
    apply_patch(places.checkout / "tests/mutants" / (mutant.name + ".patch"), folder);
    Task task(workshop_, "driver");
    return workshop_.module(task, kernel, source, folder / "objects", "figment",
                            driver_words(kernel));
  }

  // What is wrong with how it was caught; empty when all is well.
  std::string run_mutant(const Mutant& mutant, const fs::path& module) {
    VmOptions vm = vm_;
    vm.kernel = mutant.kernel;
    vm.iommu = mutant.iommu;
    if (mutant.two_gpus) vm.gpus = 2;
    vm.gpu.insert(vm.gpu.end(), mutant.gpu.begin(), mutant.gpu.end());
    const Argv command = mutant.run.empty() ? guest_tests_command(mutant.test)
                                            : Argv{"sh", "-c", mutant.run};
    std::string output;
    const Verdict verdict = run_test_guest(
        workshop_, vm,
        {.command = command, .shares = {}, .null_nvme = false, .directory = "/root",
         .driver = module},
        "./figment test 'mutants." + mutant.name + "'",
        [&output](std::string_view bytes) { output += bytes; });
    const std::string said = "it printed:\n" + last_part(output) + verdict.explanation() +
                             "console log: " + verdict.console.string() + "\n";
    // A test that is not there ends well and proves nothing.
    if (!mutant.test.empty() && !output.contains("[ RUN      ] " + mutant.test)) {
      return "the guest tests have no " + mutant.test + "; " + said;
    }
    if (!output.contains(mutant.output)) {
      return "not caught: '" + mutant.output + "' is not in the output; " + said;
    }
    if (mutant.report.empty()) {
      if (!verdict.status) return "not caught: the guest did not get to its end; " + said;
      if (!verdict.reports.empty()) return "caught by a kernel report, not by the test; " + said;
      return *verdict.status != 0 ? "" : "not caught: the test passed; " + said;
    }
    if (verdict.timed_out) return "not caught but hung; " + said;
    for (const KernelReport& each : verdict.reports) {
      if (each.kind != mutant.report) continue;
      const bool about = std::ranges::any_of(each.trace, [&](const std::string& line) {
        return line.contains(mutant.trace);
      });
      if (mutant.trace.empty() || about) return "";
    }
    return std::format("not caught: no kernel report of kind '{}'{}; {}", mutant.report,
                       mutant.trace.empty() ? "" : " with '" + mutant.trace + "' in its trace",
                       said);
  }

  Workshop& workshop_;
  VmOptions vm_;
  std::vector<Mutant> mutants_;
};

}  // namespace

Mutant parse_mutant(const std::string& name, std::string_view patch) {
  Mutant mutant{.name = name};
  const auto bad = [&name](const std::string& what) {
    return Failure("mutant " + name + ": " + what);
  };
  std::istringstream lines{std::string{patch}};
  bool has_patch = false;
  for (std::string line; !has_patch && std::getline(lines, line);) {
    has_patch = line.starts_with("--- ") || line.starts_with("diff ");
    const std::size_t colon = line.find(": ");
    if (has_patch || colon == line.npos || line.substr(0, colon).contains(' ')) continue;
    const std::string key = line.substr(0, colon), value = trimmed(line.substr(colon + 2));
    if (key == "Test") mutant.test = value;
    else if (key == "Run") mutant.run = value;
    else if (key == "Kernel") mutant.kernel = value;
    else if (key == "Machine" && value == "iommu") mutant.iommu = true;
    else if (key == "Machine" && value == "two GPUs")
      mutant.two_gpus = true;
    else if (key == "Gpu") mutant.gpu = parse_gpu(value);
    else if (key == "Report") mutant.report = value;
    else if (key == "Output") mutant.output = value;
    else if (key == "Trace") mutant.trace = value;
    else if (key != "SPDX-License-Identifier" && key != "Subject") throw bad("unknown key " + key);
  }
  if (!has_patch) throw bad("there is no patch in it");
  if (mutant.test.empty() == mutant.run.empty()) throw bad("it needs one of Test and Run");
  if (mutant.kernel != "stock" && !is_built_kernel(mutant.kernel)) {
    throw bad("Kernel is one of stock, debug, paranoid");
  }
  if (mutant.report.empty() && !mutant.trace.empty()) throw bad("Trace is of a Report");
  return mutant;
}

std::unique_ptr<TestSource> mutant_tests(Workshop& workshop, const VmOptions& vm) {
  return std::make_unique<MutantTests>(workshop, vm);
}

}  // namespace figment::host
