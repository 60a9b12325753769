// SPDX-License-Identifier: MIT
#include "test_sources.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <format>
#include <nlohmann/json.hpp>
#include <sstream>

#include "demo.h"
#include "kernel_tests.h"
#include "mesa_tests.h"
#include "suite_tests.h"
#include "test_guest.h"

namespace figment::host {

namespace {

// A program that is silent for so long hangs. Sanitised model tests on a loaded machine take
// minutes, guests boot in between.
constexpr std::chrono::minutes kSilence{10};

// What is worth a kernel that checks everything: the paths on which the kernel takes memory away,
// and those that take the driver apart.
const std::vector<std::string> kParanoidSubset = {"*UserptrTest.*", "Module.*", "Unbind.*",
                                                  "Killed.*",
                                                  "*Fork.under_gpu_writes_corrupts_nothing/both_*"};

// What makes sense on one GPU only, or with a host that answers
// (tests/host/injection_scenarios.cpp).
const std::vector<std::string> kOfCommandPreemption = {"CommandPreemption.*", "NoInjection.*"};
const std::vector<std::string> kOfTheHost = {"Removal.*"};

// What stock does and debug need not do again: speed, and ways to fork that take the driver's same paths.
const std::vector<std::string> kOfStock = {
    "Bench.*", "*Fork.under_gpu_writes_corrupts_nothing/child_writes_*",
    "*Fork.under_gpu_writes_corrupts_nothing/parent_writes_*",
    "*Fork.under_gpu_writes_corrupts_nothing/exit_early_*",
    "*Fork.under_gpu_writes_corrupts_nothing/tree_*"};

// A GPU that can put a job aside only between two packets: how a driver finds out that one does not
// leave.
const GpuProperties kCommandGpu = {{"preempt", "command"}, {"faults", "off"}, {"inject", "off"}};
const std::vector<std::string> kCommandSubset = {"CommandPreemption.*", "NoInjection.*",
                                                 "*UserptrTest.*/preempt"};

// A GPU that takes its time with everything, and looks where nobody has asked it to: what can be
// in flight at some moment is then in flight. With none of it an invalidation is over at once.
const GpuProperties kSlowGpu = {{"invalidate-ns", "0-200000"}, {"preempt-ns", "0-500000"},
                                {"event-ns", "0-50000"},       {"access-ns", "0-20000"},
                                {"doorbell-ns", "0-50000"},    {"interrupt-ns", "0-50000"},
                                {"prefetch-pages", "8"}};
const std::vector<std::string> kSlowSubset = {"*UserptrTest.*", "*LongRunning.*", "PageFault.*",
                                              "UserFault.*", "*Swapped.*", "Unbind.*",
                                              // Not svm-vram, whose pages move for minutes.
                                              "*Fork.under_gpu_writes_corrupts_nothing/both_[dfp]*",
                                              "*Fork.under_gpu_writes_corrupts_nothing/both_svm"};

// What is worth an IOMMU in the path: each page that comes or goes.
const std::vector<std::string> kIommuSubset = {
    "*UserptrTest.*",  "*LongRunning.*",
    "PageFault.*",     "Pin.*",
    "*Swapped.*",      "Unbind.*",
    "*FunctionReset*", "*Fork.under_gpu_writes_corrupts_nothing/both_*"};

// What two GPUs do together needs two; for everything else the second one is not there. VRAM is
// filled and emptied again and again, which takes as long as it is large.
constexpr unsigned kTestGpus = 2;
const GpuProperties kTestGpu = {{"vram", "64M"}};

constexpr const char* kFuzzPrefix = "fuzz.";

std::string join(const std::vector<std::string>& words, char separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : std::string{separator}) + word;
  return text;
}

std::vector<std::string> without_prefix(const std::vector<std::string>& names,
                                        const std::string& prefix) {
  std::vector<std::string> rest;
  for (const std::string& name : names) rest.push_back(name.substr(prefix.size()));
  return rest;
}

// Runs a program here; its stdout and stderr are one stream.
GtestRun run_here(const Argv& argv, const std::function<void(std::string_view)>& output) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  Child child(argv, {.directory = {},
                     .environment = {"GTEST_COLOR=no", "UBSAN_OPTIONS=print_stacktrace=1"},
                     .input = -1,
                     .output = writer.get(),
                     .error = writer.get(),
                     .keep = {}});
  writer = Fd();
  std::array<char, 65536> buffer;
  for (;;) {
    if (!wait_readable(reader.get(), Clock::now() + kSilence)) {
      child.signal(SIGKILL);
      child.wait();
      return {.status = 124,
              .trouble = std::format("ended by us: no output for {} minutes", kSilence.count())};
    }
    const ssize_t n = read(reader.get(), buffer.data(), buffer.size());
    if (n <= 0) break;
    output({buffer.data(), static_cast<std::size_t>(n)});
  }
  return {.status = *child.wait(), .trouble = {}};
}

class ProgramTests : public TestSource {
 public:
  ProgramTests(std::string prefix, fs::path program)
      : prefix_(std::move(prefix)), program_(std::move(program)) {}

  // Most of the host's boot a guest for one command, or a deterministic machine.
  bool leaves_a_processor() const override { return prefix_ == "host."; }

  std::vector<std::string> names() override {
    const Output list = capture({program_, "--gtest_list_tests"});
    if (list.status != 0) throw Failure(program_.string() + " cannot list its tests");
    std::vector<std::string> names = parse_test_list(list.text);
    for (std::string& name : names) name = prefix_ + name;
    return names;
  }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    run_gtest(
        prefix_, without_prefix(selected, prefix_),
        [this](const std::string& filter, const auto& output) {
          return run_here({program_, "--gtest_filter=" + filter}, output);
        },
        report);
  }

 private:
  std::string prefix_;
  fs::path program_;
};

// A meson test that is judged by its exit status, as meson does: 77 is a skip.
class CommandTest : public TestSource {
 public:
  CommandTest(std::string name, Argv argv, fs::path folder)
      : name_(std::move(name)), argv_(std::move(argv)), folder_(std::move(folder)) {}

  std::vector<std::string> names() override { return {name_}; }
  bool leaves_a_processor() const override { return name_.starts_with(kFuzzPrefix); }

  void run(const std::vector<std::string>&, const Report& report) override {
    const auto begin = Clock::now();
    const Output output = capture(argv_, {.directory = folder_}, true);
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    TestResult result{.name = name_,
                      .outcome = Outcome::passed,
                      .detail = {},
                      .milliseconds = static_cast<unsigned>(time.count())};
    if (output.status == 77) result.outcome = Outcome::skipped;
    if (output.status != 77 && output.status != 0) result.outcome = Outcome::failed;
    if (result.outcome != Outcome::passed) result.detail = output.text;
    if (result.outcome == Outcome::failed) {
      result.detail += std::format("'{}' ended with status {}\n", quoted(argv_), output.status);
    }
    report(result);
  }

 private:
  std::string name_;
  Argv argv_;
  fs::path folder_;
};

// A program of tests on one kernel. Those of figment-guest-tests: "guest." is the kernel that was
// asked for, "debug." and so on are those of that name.
class GuestTests : public TestSource {
 public:
  // `subset`: globs of Suite.Case, or none for all that make sense on the GPU that can do most.
  GuestTests(Workshop& workshop, VmOptions vm, std::string prefix, std::vector<std::string> subset,
             GuestProgram program = guest_tests())
      : workshop_(workshop),
        vm_(std::move(vm)),
        prefix_(std::move(prefix)),
        subset_(std::move(subset)),
        program_(std::move(program)) {}

  std::vector<std::string> names() override {
    const Output list = capture({workshop_.meson_product(program_.target), "--gtest_list_tests"});
    if (list.status != 0) throw Failure(program_.target + " cannot list its tests");
    std::vector<std::string> names = parse_test_list(list.text);
    std::erase_if(names, [this](const std::string& name) {
      if (!subset_.empty()) return !is_selected(name, subset_);
      return is_selected(name, kOfCommandPreemption) || is_selected(name, kOfTheHost) ||
             (vm_.kernel == "debug" && is_selected(name, kOfStock));
    });
    for (std::string& name : names) name = prefix_ + name;
    names.push_back(log_name());
    return names;
  }

  std::vector<std::string> kernels() const override { return {vm_.kernel}; }
  // Behind an IOMMU emulated processors take turns.
  bool leaves_a_processor() const override { return vm_.iommu; }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    std::vector<std::string> tests = selected;
    std::erase(tests, log_name());
    std::string reports;
    const auto run_one = [&](const GuestNeeds& needs, const auto& output) {
      // A guest that died is run again without the test that it died in: the names say which.
      const std::string rerun =
          "./figment test '" + prefix_ + "*'" +
          (prefix_ != vm_.kernel + "." && vm_.kernel != "stock" ? " --kernel " + vm_.kernel : "");
      const Verdict verdict = run_test_guest(workshop_, vm_, needs, rerun, output);
      if (!verdict.reports.empty()) reports += verdict.explanation();
      return gtest_run_of(verdict);
    };
    if (tests.empty()) {
      // Only the log is asked for: that of a guest that boots, loads the driver and unloads it.
      GuestNeeds needs = program_.needs("");
      needs.command = {"modprobe", "-r", "figment"};
      run_one(needs, std::function<void(std::string_view)>{});
    } else {
      run_gtest(
          prefix_, without_prefix(tests, prefix_),
          [&](const std::string& filter, const auto& output) {
            return run_one(program_.needs(filter), output);
          },
          report);
    }
    // Always said, selected or not: no run of guest tests is good with a report in the log.
    report({.name = log_name(),
            .outcome = reports.empty() ? Outcome::passed : Outcome::failed,
            .detail = reports,
            .milliseconds = 0});
  }

 private:
  std::string log_name() const { return prefix_ + "Kernel.log_holds_no_report"; }

  Workshop& workshop_;
  VmOptions vm_;
  std::string prefix_;
  std::vector<std::string> subset_;
  GuestProgram program_;
};

// In the place of tests that nobody gets who does not ask for them: says so.
class ByNameOnly : public TestSource {
 public:
  ByNameOnly(std::string prefix, std::string why) : prefix_(std::move(prefix)), why_(std::move(why)) {}

  std::vector<std::string> names() override { return {prefix_ + "Tests.run_by_name_only"}; }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    report({.name = selected.front(),
            .outcome = Outcome::skipped,
            .detail = why_ + "; all of them: ./figment test " + prefix_,
            .milliseconds = 0});
  }

 private:
  std::string prefix_;
  std::string why_;
};

// The quick torture table, on an ordinary machine and behind an IOMMU. The tool judges its rows.
// Behind an IOMMU with those whose mappings for DMA come and go by code of their own: preempt does it
// as fence, pin once and for all, and pages in VRAM need none.
class EventTests : public TestSource {
 public:
  EventTests(Workshop& workshop, VmOptions vm, bool iommu)
      : workshop_(workshop), vm_(std::move(vm)) {
    vm_.iommu = iommu;
    vm_.nodes = kTableNodes;
  }

  std::vector<std::string> names() override { return {name()}; }
  bool leaves_a_processor() const override { return vm_.iommu; }

  void run(const std::vector<std::string>&, const Report& report) override {
    const auto begin = Clock::now();
    report(result_of(name(), complaint(), begin));
  }

 private:
  std::string name() const {
    return vm_.iommu ? "events.Table.is_so_behind_an_iommu" : "events.Table.is_as_it_must_be";
  }

  std::string complaint() {
    std::string output;
    Argv command = {"figment-stress", "events", "--quick"};
    if (vm_.iommu) command.insert(command.end(), {"--strategy", "fence,fault,svm"});
    const Verdict verdict = run_test_guest(
        workshop_, vm_,
        {.command = command, .shares = {}, .null_nvme = false, .directory = "/root"},
        "./figment test " + name(), [&output](std::string_view bytes) { output += bytes; });
    if (verdict.exit_status() == 0) return "";
    // Complaints are lines of the tool's own; the table and the progress are long.
    std::string complaints;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("figment-stress:")) complaints += line + "\n";
    }
    return std::format("{}exit status {}\n{}", complaints, verdict.exit_status(),
                       verdict.explanation());
  }

  Workshop& workshop_;
  VmOptions vm_;
};

// Fences between GPUs: the quick rows of figment-stress chain, and one GPU that hangs. The tool
// judges its rows.
class ChainTests : public TestSource {
 public:
  ChainTests(Workshop& workshop, VmOptions vm) : workshop_(workshop), vm_(std::move(vm)) {
    vm_.gpus = kGpus;
  }

  std::vector<std::string> names() override { return {kName}; }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    const auto begin = Clock::now();
    std::string output;
    const std::string rows = std::format(
        "figment-stress chain --quick --gpus 2,{0} && figment-stress chain --hang --gpus 2", kGpus);
    const Verdict verdict = run_test_guest(
        workshop_, vm_,
        {.command = {"sh", "-c", rows}, .shares = {}, .null_nvme = false, .directory = "/root"},
        std::string{"./figment test "} + kName,
        [&output](std::string_view bytes) { output += bytes; });
    report(result_of(selected.front(),
                     verdict.exit_status() == 0
                         ? ""
                         : std::format("exit status {}\n{}{}", verdict.exit_status(), output,
                                       verdict.explanation()),
                     begin));
  }

 private:
  static constexpr const char* kName = "chain.Table.is_as_it_must_be";
  // From so many on the sum of all notifiers is told from the slowest.
  static constexpr unsigned kGpus = 4;

  Workshop& workshop_;
  VmOptions vm_;
};

// The whole chain once: fork stress in a guest. The rows judge themselves; here it is asked that
// there was something to judge.
class DemoTests : public TestSource {
 public:
  DemoTests(Workshop& workshop, VmOptions vm) : workshop_(workshop), vm_(std::move(vm)) {}

  std::vector<std::string> names() override { return {kSafe, kUnsafe, kWhole}; }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    constexpr unsigned kSeconds = 30;
    const DemoResult result =
        run_demo(workshop_, vm_, {.seconds = kSeconds, .forks = 0, .table = false}, {}, {});
    const auto say = [&](const char* name, const std::string& complaint) {
      if (std::ranges::find(selected, name) == selected.end()) return;
      report({.name = name,
              .outcome = complaint.empty() ? Outcome::passed : Outcome::failed,
              .detail = complaint,
              .milliseconds = 0});
    };
    std::string safe, unsafe;
    unsigned safe_rows = 0, unsafe_rows = 0;
    for (const DemoRow& row : result.rows) {
      const bool is_control = row.strategy == "unsafe";
      ++(is_control ? unsafe_rows : safe_rows);
      const std::string name = row.strategy + " " + row.scenario;
      std::string& complaint = is_control ? unsafe : safe;
      if (row.forks == 0) complaint += name + ": no forks\n";
      if (row.gpu_words == 0) complaint += name + ": no words were checked\n";
      if (is_control && row.corrupt_words == 0) complaint += name + ": no corrupt word was found\n";
      if (!is_control && row.corrupt_words > 0) {
        complaint += std::format("{}: {} corrupt words\n", name, row.corrupt_words);
      }
    }
    if (safe_rows == 0) safe += "no row of a safe strategy\n";
    if (unsafe_rows == 0) unsafe += "no row of the control\n";
    say(kSafe, safe);
    say(kUnsafe, unsafe);
    const int status = result.verdict.exit_status();
    say(kWhole, status == 0 ? ""
                            : std::format("exit status {}\n{}{}", status, result.errors,
                                          result.verdict.explanation()));
  }

 private:
  static constexpr const char* kSafe = "demo.Oracle.safe_strategies_keep_every_word";
  static constexpr const char* kUnsafe = "demo.Oracle.control_is_caught_in_every_scenario";
  static constexpr const char* kWhole = "demo.Stress.ends_well_with_a_clean_log";

  Workshop& workshop_;
  VmOptions vm_;
};

}  // namespace

void run_gtest(const std::string& prefix, std::vector<std::string> tests, const GtestRunner& runner,
               const Report& report) {
  const auto done = [&](TestResult result) {
    std::erase(tests, result.name);
    result.name = prefix + result.name;
    report(result);
  };
  while (!tests.empty()) {
    GtestLog log;
    const std::size_t before = tests.size();
    bool any_failed = false;
    const GtestRun run = runner(join(tests, ':'), [&](std::string_view bytes) {
      for (TestResult& result : log.feed(bytes)) {
        any_failed |= result.outcome == Outcome::failed;
        done(std::move(result));
      }
    });
    const std::string end = std::format("{}the program ended with status {}",
                                        run.trouble.empty() ? "" : run.trouble + "; ", run.status);
    if (auto result = log.unfinished()) {
      result->detail += end + " in this test\n";
      done(std::move(*result));
    } else if (tests.size() == before) {
      for (const std::string& name : std::vector(tests)) {
        done({.name = name,
              .outcome = Outcome::failed,
              .detail = end + " and did not run it\n",
              .milliseconds = 0});
      }
    } else if ((run.status != 0 && !any_failed) || !run.trouble.empty()) {
      // A leak that a sanitiser finds at the end, a guest that dies while it shuts down.
      report({.name = prefix + "Program.ends_well",
              .outcome = Outcome::failed,
              .detail = end + " after its tests\n",
              .milliseconds = 0});
    }
  }
}

bool may_match(const std::string& prefix, const std::vector<std::string>& all,
               const std::vector<std::string>& patterns) {
  return patterns.empty() || std::ranges::any_of(patterns, [&](const std::string& pattern) {
           const auto own = std::ranges::find_if(
               all, [&](const std::string& candidate) { return pattern.starts_with(candidate); });
           return own == all.end() || *own == prefix;
         });
}

std::vector<std::unique_ptr<TestSource>> test_sources(Workshop& workshop, const VmOptions& vm,
                                                      const std::vector<std::string>& patterns) {
  struct MesonTest {
    std::string prefix;
    std::string name;
    bool is_gtest;
    Argv argv;
    std::vector<std::string> depends;  // ids of targets
    fs::path folder;
  };
  const auto introspect = [](const fs::path& folder, const std::string& what) {
    return nlohmann::json::parse(read_file(folder / "meson-info" / ("intro-" + what + ".json")));
  };
  std::vector<MesonTest> tests;
  // With a kernel of the user's choice the tests in guests are for that one.
  const bool all_kernels = vm.kernel == "stock";
  std::vector<std::string> prefixes = {"guest.",  "slow.",   "command.",   "iommu.",    "demo.",
                                       "events.", "debug.",  "paranoid.",  "controls.", "mutants.",
                                       "kunit.",  "igt.",    "selftests.", "stressng.", "libdrm.",
                                       "mesa.",   "driver.", "chain.",     kFuzzPrefix};
  const auto find_tests = [&](const fs::path& folder, bool fuzz) {
    for (const auto& test : introspect(folder, "tests")) {
      const std::string name = test.at("name");
      const auto& suites = test.at("suite");
      const std::string suite = suites.empty() ? "" : suites.at(0).get<std::string>();
      // "project:suite", or the project alone.
      const std::size_t colon = suite.find(':');
      const std::string prefix = (colon == suite.npos ? name : suite.substr(colon + 1)) + ".";
      // The folder of the fuzzers knows all other tests, too.
      if ((prefix == kFuzzPrefix) != fuzz) continue;
      tests.push_back({.prefix = prefix,
                       .name = name,
                       .is_gtest = test.at("protocol") == "gtest",
                       .argv = test.at("cmd"),
                       .depends = test.at("depends"),
                       .folder = folder});
      prefixes.push_back(tests.back().prefix);
    }
  };
  find_tests(workshop.meson_folder(), false);
  if (may_match(kFuzzPrefix, prefixes, patterns)) {
    workshop.configure_fuzzers();
    find_tests(workshop.fuzz_folder(), true);
  }
  const auto wanted = [&](const std::string& prefix) {
    return may_match(prefix, prefixes, patterns);
  };
  std::erase_if(tests, [&](const MesonTest& test) { return !wanted(test.prefix); });

  const auto targets_of = [&](const fs::path& folder) {
    std::vector<std::string> targets;
    for (const auto& target : introspect(folder, "targets")) {
      const bool needed = std::ranges::any_of(tests, [&](const MesonTest& test) {
        return test.folder == folder &&
               std::ranges::find(test.depends, target.at("id").get<std::string>()) !=
                   test.depends.end();
      });
      if (!needed) continue;
      const fs::path file = target.at("filename").at(0).get<std::string>();
      targets.push_back(file.lexically_relative(folder));
    }
    return targets;
  };
  const fs::path folder = workshop.meson_folder();
  std::vector<std::string> targets = targets_of(folder);
  if (wanted("guest.") || wanted("slow.") || wanted("command.") || wanted("iommu.") ||
      wanted("debug.") || wanted("paranoid.") || wanted("mutants.")) {
    targets.push_back(workshop.meson_product("figment-guest-tests").lexically_relative(folder));
  }
  if (!targets.empty()) workshop.programs(targets);
  if (wanted("mesa.")) workshop.mesa_tests();
  if (wanted(kFuzzPrefix)) workshop.fuzzers(targets_of(workshop.fuzz_folder()));

  std::vector<std::unique_ptr<TestSource>> sources;
  for (const MesonTest& test : tests) {
    if (test.is_gtest) {
      sources.push_back(std::make_unique<ProgramTests>(test.prefix, test.argv.front()));
    } else {
      sources.push_back(
          std::make_unique<CommandTest>(test.prefix + test.name, test.argv, test.folder));
    }
  }
  const auto on = [&vm](const char* kernel) {
    VmOptions other = vm;
    other.kernel = kernel;
    return other;
  };
  const auto with_gpus = [](VmOptions other) {
    other.gpus = std::max(other.gpus, kTestGpus);
    other.gpu.insert(other.gpu.begin(), kTestGpu.begin(), kTestGpu.end());
    return other;
  };
  if (wanted("driver.")) sources.push_back(driver_source_tests(workshop));
  if (wanted("guest.")) {
    sources.push_back(std::make_unique<GuestTests>(workshop, with_gpus(vm), "guest.",
                                                   std::vector<std::string>{}));
  }
  const auto with = [&vm](const GpuProperties& gpu) {
    VmOptions other = vm;
    other.gpu.insert(other.gpu.begin(), gpu.begin(), gpu.end());
    return other;
  };
  if (wanted("slow.")) {
    sources.push_back(std::make_unique<GuestTests>(workshop, with(kSlowGpu), "slow.", kSlowSubset));
  }
  if (wanted("iommu.")) {
    VmOptions behind = vm;
    behind.iommu = true;
    sources.push_back(std::make_unique<GuestTests>(workshop, behind, "iommu.", kIommuSubset));
  }
  if (wanted("command.")) {
    sources.push_back(
        std::make_unique<GuestTests>(workshop, with(kCommandGpu), "command.", kCommandSubset));
  }
  if (all_kernels && wanted("debug.")) {
    sources.push_back(std::make_unique<GuestTests>(workshop, with_gpus(on("debug")), "debug.",
                                                   std::vector<std::string>{}));
  }
  if (all_kernels && patterns.empty()) {
    sources.push_back(std::make_unique<ByNameOnly>(
        "paranoid.", "its kernel takes a quarter of an hour to compile"));
  } else if (all_kernels && wanted("paranoid.")) {
    sources.push_back(
        std::make_unique<GuestTests>(workshop, on("paranoid"), "paranoid.", kParanoidSubset));
  }
  const std::string judge = vm.kernel == "stock" ? "debug" : vm.kernel;
  if (wanted("controls.")) sources.push_back(control_tests(workshop, on(judge.c_str())));
  if (wanted("mutants.")) sources.push_back(mutant_tests(workshop, on(judge.c_str())));
  const auto add_suite = [&](Suite suite, const VmOptions& machine) {
    if (!wanted(suite.prefix.substr(0, suite.prefix.find('.') + 1))) return;
    sources.push_back(suite_tests(workshop, machine, std::move(suite)));
  };
  VmOptions judging = on(judge.c_str());
  add_suite(kunit_suite(workshop, judging.kernel), judging);
  add_suite(igt_suite(workshop), judging);
  add_suite(selftest_suite(workshop), judging);
  // With memory to move to, and with devices to tell one from the other.
  VmOptions other = judging;
  other.nodes = kTableNodes;
  add_suite(stress_ng_suite(other.kernel), other);
  other.kernel = "stock";
  if (all_kernels) add_suite(stress_ng_suite(other.kernel), other);
  other = judging;
  other.gpus = 2;
  add_suite(libdrm_suite(), other);
  if (wanted("mesa.")) {
    sources.push_back(std::make_unique<GuestTests>(
        workshop, judging, "mesa.", std::vector<std::string>{}, tests_with_mesa(workshop)));
  }
  if (wanted("events.")) {
    for (const bool iommu : {false, true}) {
      sources.push_back(std::make_unique<EventTests>(workshop, vm, iommu));
    }
  }
  if (wanted("chain.")) sources.push_back(std::make_unique<ChainTests>(workshop, vm));
  if (wanted("demo.")) sources.push_back(std::make_unique<DemoTests>(workshop, vm));
  return sources;
}

}  // namespace figment::host
