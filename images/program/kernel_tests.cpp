// SPDX-License-Identifier: MIT
#include "kernel_tests.h"

#include <algorithm>
#include <array>
#include <format>
#include <set>
#include <sstream>

#include "test_guest.h"

namespace figment::host {

namespace {

// What a guest's script writes to the kernel's log around each step.
constexpr std::string_view kMark = "figment-step: ";

std::string mark(const std::string& step, const char* end) {
  return std::format("echo '{}{} {}' > /dev/kmsg\n", kMark, step, end);
}

// The part of the log between the marks of a step; up to the end, when the guest died in it.
std::string segment(const std::string& log, const std::string& step) {
  const std::size_t begin = log.find(std::format("{}{} begin", kMark, step));
  if (begin == log.npos) return {};
  return log.substr(begin, log.find(std::format("{}{} end", kMark, step), begin) - begin);
}

std::string joined(const std::set<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// --- controls ----------------------------------------------------------------

struct Control {
  const char* report;  // as figment_control.ko calls it; with blanks it is the judge's kind
  const char* before;  // for the shell: makes limits short
  const char* after;
};

// In this order: lockdep is off after its first report, and whatever taints the kernel turns it off
// as well; an oops is the end.
constexpr std::array kControls = {
    Control{"none", "", ""},
    Control{"lockdep", "", ""},
    Control{"warning", "", ""},
    Control{"refcount", "", ""},
    Control{"list", "", ""},
    Control{"ubsan", "", ""},
    Control{"dma", "", ""},
    Control{"atomic-sleep", "", ""},
    Control{"debug-object", "", ""},
    Control{"bad-page", "", ""},
    Control{"kasan", "", ""},
    Control{"hung-task", "echo 1 > /proc/sys/kernel/hung_task_timeout_secs\n",
            "echo 0 > /proc/sys/kernel/hung_task_timeout_secs\n"},
    Control{"stall", "echo 3 > /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout\n",
            "echo 120 > /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout\n"},
    // The scan comes when the script has ended, and is in the log behind all of it.
    Control{"kmemleak", "", ""},
    Control{"oops", "", ""},
};
constexpr std::string_view kLeak = "kmemleak";
constexpr const char* kControlSource = "figment_control.c:";

class ControlTests : public TestSource {
 public:
  ControlTests(Workshop& workshop, VmOptions vm) : workshop_(workshop), vm_(std::move(vm)) {}

  std::vector<std::string> names() override {
    std::vector<std::string> names;
    for (const Control& control : kControls) names.push_back(name_of(control));
    return names;
  }

  std::vector<std::string> kernels() const override { return {vm_.kernel}; }

  // Two guests: in the first one everything, with the oops as its end; in the second one the leak,
  // which is looked for when the command has ended.
  void run(const std::vector<std::string>& selected, const Report& report) override {
    std::vector<const Control*> batch, leak;
    for (const Control& control : kControls) {
      if (std::ranges::find(selected, name_of(control)) == selected.end()) continue;
      (control.report == kLeak ? leak : batch).push_back(&control);
    }
    if (!batch.empty()) run_guest_of(batch, vm_, report);
    VmOptions with_leaks = vm_;
    // All of it is scanned, twice.
    with_leaks.memory_mib = 768;
    with_leaks.append += (with_leaks.append.empty() ? "" : " ") + std::string{"kmemleak=on"};
    if (!leak.empty()) run_guest_of(leak, with_leaks, report);
  }

 private:
  static std::string name_of(const Control& control) {
    std::string name = control.report;
    std::ranges::replace(name, '-', '_');
    return "controls.Judge." + name;
  }

  void run_guest_of(const std::vector<const Control*>& controls, const VmOptions& vm,
                    const Report& report) {
    const auto begin = Clock::now();
    const std::string module =
        workshop_.control_module(workshop_.kernel(vm.kernel)).string();
    std::string script;
    for (const Control* control : controls) {
      script += control->before + mark(control->report, "begin");
      // Each ends with an error of its own, so that nothing stays loaded.
      script += std::format("insmod {} report={} 2>/dev/null\n", module, control->report);
      script += mark(control->report, "end") + control->after;
    }
    // Nothing is wrong but what the log says.
    script += "exit 0\n";
    const Verdict verdict = run_test_guest(
        workshop_, vm, {.command = {"sh", "-c", script}, .shares = {}, .null_nvme = false,
                        .directory = "/root"},
        "", {});
    const std::string log = fs::exists(verdict.console) ? read_file(verdict.console) : "";
    const bool expects_reports = std::ranges::any_of(
        controls, [](const Control* control) { return std::string_view{control->report} != "none"; });
    for (const Control* control : controls) {
      std::string complaint = judged(*control, log);
      if (expects_reports && verdict.exit_status() != 3) {
        complaint += std::format("the run's exit status is {}, not 3\n", verdict.exit_status());
      }
      if (!complaint.empty()) complaint += "console log: " + verdict.console.string() + "\n";
      report(result_of(name_of(*control), complaint, begin));
    }
  }

  // What is wrong with what the judge makes of one step; empty when it is right.
  std::string judged(const Control& control, const std::string& log) {
    const std::string step = segment(log, control.report);
    if (step.empty()) return "the step is not in the log\n";
    const Judge judge = make_judge(workshop_.places());
    std::vector<KernelReport> reports =
        judge.reports(control.report == kLeak ? log.substr(log.find(step)) : step);
    std::string kind = control.report;
    std::ranges::replace(kind, '-', ' ');
    std::set<std::string> kinds;
    for (const KernelReport& each : reports) kinds.insert(each.kind);
    if (kind == "none") return kinds.empty() ? "" : "reports without a cause: " + joined(kinds) + "\n";
    if (!kinds.contains(kind)) {
      return std::format("no report of kind '{}'; found: {}\n", kind,
                         kinds.empty() ? "none" : joined(kinds));
    }
    // When leaks are told, the module is gone, and with it the names of its functions.
    if (control.report == kLeak) return "";
    SymbolFiles symbols{.kernel = {},
                        .modules = {workshop_.control_module_file(workshop_.kernel(vm_.kernel))},
                        .prefixes = {}};
    for (KernelReport& each : reports) {
      add_source_lines(each.trace, symbols);
      const bool told = std::ranges::any_of(
          each.trace, [](const std::string& line) { return line.contains(kControlSource); });
      if (told) return "";
    }
    return "no report says the line of its source\n";
  }

  Workshop& workshop_;
  VmOptions vm_;
};

// --- the driver's source -----------------------------------------------------

class DriverSourceTests : public TestSource {
 public:
  explicit DriverSourceTests(Workshop& workshop) : workshop_(workshop) {}

  std::vector<std::string> names() override { return {kWarnings, kSparse, kCheckpatch}; }

  std::vector<std::string> kernels() const override { return {"debug"}; }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    const auto is_selected = [&](const char* name) {
      return std::ranges::find(selected, name) != selected.end();
    };
    const Kernel kernel = workshop_.kernel("debug");
    const fs::path source = workshop_.places().checkout / "kernel-driver";
    if (is_selected(kWarnings) || is_selected(kSparse)) {
      const auto begin = Clock::now();
      // One compilation for both; in a folder of its own, because all of it is looked at.
      const fs::path into = workshop_.places().build / "driver" / "checked";
      fs::remove_all(into);
      fs::create_directories(into);
      const Output made = capture({"make", "-C", kernel.build, "M=" + source.string(),
                                   "MO=" + into.string(), "CONFIG_DRM_FIGMENT=m", "W=1", "C=2",
                                   "modules"},
                                  {}, true);
      std::string warnings, sparse;
      if (made.status != 0) warnings = made.text;
      std::istringstream lines(made.text);
      for (std::string line; std::getline(lines, line);) {
        if (!line.contains("warning:") && !line.contains("error:")) continue;
        // The compiler says which of its options a warning is of; sparse has none.
        (line.ends_with(']') ? warnings : sparse) += line + "\n";
      }
      if (is_selected(kWarnings)) report(result_of(kWarnings, warnings, begin));
      if (is_selected(kSparse)) report(result_of(kSparse, sparse, begin));
    }
    if (is_selected(kCheckpatch)) {
      const auto begin = Clock::now();
      const Argv check = {"perl", kernel.build / "scripts/checkpatch.pl", "--no-tree", "--strict",
                          "--terse", "--no-summary", "--show-types", "--max-line-length=100"};
      Argv own = check, shared = check;
      // The contracts are for user space and the device as well: no macros of the kernel, and
      // tables whose lines say what each field is.
      shared.push_back("--ignore=BIT_MACRO,CAMELCASE,LONG_LINE_COMMENT,TYPO_SPELLING");
      own.push_back("-f");
      shared.push_back("-f");
      for (const auto& entry : fs::recursive_directory_iterator(source)) {
        const fs::path& file = entry.path();
        if (file.extension() != ".c" && file.extension() != ".h") continue;
        const bool is_contract = file.filename() == "figment_hw.h" ||
                                 file.filename() == "figment_drm.h";
        (is_contract ? shared : own).push_back(file);
      }
      std::string complaint;
      for (const Argv& argv : {own, shared}) {
        // It leaves a file where it is started.
        const Output said = capture(argv, {.directory = workshop_.places().build}, true);
        if (said.status != 0) complaint += said.text;
      }
      report(result_of(kCheckpatch, complaint, begin));
    }
  }

 private:
  static constexpr const char* kWarnings = "driver.Source.compiles_without_warnings";
  static constexpr const char* kSparse = "driver.Source.sparse_finds_nothing";
  static constexpr const char* kCheckpatch = "driver.Source.checkpatch_finds_nothing";

  Workshop& workshop_;
};

}  // namespace

std::unique_ptr<TestSource> control_tests(Workshop& workshop, const VmOptions& vm) {
  return std::make_unique<ControlTests>(workshop, vm);
}

std::unique_ptr<TestSource> driver_source_tests(Workshop& workshop) {
  return std::make_unique<DriverSourceTests>(workshop);
}

}  // namespace figment::host
