// SPDX-License-Identifier: MIT
#include "igt_tests.h"

#include <algorithm>
#include <format>
#include <fstream>

#include "igt_log.h"
#include "test_guest.h"

namespace figment::host {

namespace {

constexpr const char* kPrefix = "igt.Test.";
constexpr const char* kLog = "igt.Kernel.log_holds_no_report";
constexpr const char* kMount = "/mnt";
constexpr unsigned kLimitSeconds = 120;  // of one test

// What IGT sees is a machine of its own, with the guest's devices and modules.
std::string mounts() {
  std::string script = std::format("mount -t erofs -o ro /dev/vdd {}\n", kMount) +
                       std::format("mount --bind /usr/lib/modules {}/usr/lib/modules\n", kMount);
  for (const char* folder : {"dev", "proc", "sys"}) {
    script += std::format("mount --rbind /{0} {1}/{0}\n", folder, kMount);
  }
  return script + std::format("mount -t tmpfs none {}/tmp\n", kMount);
}

class IgtTests : public TestSource {
 public:
  IgtTests(Workshop& workshop, VmOptions vm)
      : workshop_(workshop), vm_(std::move(vm)), expected_(read_expectations()) {}

  std::vector<std::string> names() override {
    std::vector<std::string> names;
    for (const std::string& test : workshop_.igt_list()) {
      if (!runs(test)) continue;
      names.push_back(kPrefix + test);
    }
    names.emplace_back(kLog);
    return names;
  }

  std::vector<std::string> kernels() const override { return {vm_.kernel}; }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    const auto begin = Clock::now();
    std::vector<std::string> tests;
    for (const std::string& test : workshop_.igt_list()) {
      if (std::ranges::find(selected, kPrefix + test) != selected.end()) tests.push_back(test);
    }
    std::string script = mounts() + "set +e\n";
    for (const std::string& test : tests) script += step(test);
    std::string output;
    const Verdict verdict = run_test_guest(
        workshop_, vm_,
        {.command = {"sh", "-c", "set -e\n" + script + "exit 0\n"},
         .shares = {},
         .null_nvme = false,
         .disks = {workshop_.igt_root()},
         .directory = "/root",
         .test_hmm = false},
        "", [&output](std::string_view bytes) { output += bytes; });
    const std::vector<IgtTest> results = parse_igt_log(output);
    for (const std::string& test : tests) report(judged(test, results, verdict, begin));
    report({.name = kLog,
            .outcome = verdict.reports.empty() ? Outcome::passed : Outcome::failed,
            .detail = verdict.reports.empty() ? "" : verdict.explanation(),
            .milliseconds = 0});
    // For docs/conformance.md.
    std::ofstream(workshop_.places().build / "conformance.md") << igt_table(results);
  }

 private:
  IgtExpectations read_expectations() const {
    const fs::path folder = workshop_.places().checkout / "tests/igt";
    return parse_igt_expectations(read_file(folder / "fails"), read_file(folder / "skips"),
                                  read_file(folder / "flakes"));
  }

  bool runs(const std::string& test) const {
    return std::ranges::find(expected_.skips, test) == expected_.skips.end();
  }

  std::string step(const std::string& test) const {
    const std::string selection = igt_selection(test, expected_);
    Argv command = {"chroot", kMount, "timeout", "--kill-after=10", std::to_string(kLimitSeconds),
                    "/usr/libexec/igt-gpu-tools/" + test};
    if (!selection.empty()) command.insert(command.end(), {"--run-subtest", selection});
    return std::format("echo '{}'\nbegin=$(date +%s%3N)\n{} 2>&1\necho \"{}\"\n", igt_begin(test),
                       quoted(command), igt_end(test, "$?", "$(($(date +%s%3N) - begin))"));
  }

  TestResult judged(const std::string& test, const std::vector<IgtTest>& results,
                    const Verdict& verdict, Clock::time_point begin) const {
    const std::string name = kPrefix + test;
    const auto found = std::ranges::find(results, test, &IgtTest::name);
    if (found == results.end()) {
      return result_of(name, std::format("it was not run; exit status {}\n{}", verdict.exit_status(),
                                         verdict.explanation()),
                       begin);
    }
    TestResult result = result_of(name, igt_complaints(*found, expected_), begin);
    result.milliseconds = found->milliseconds;
    const bool skipped = std::ranges::all_of(
        found->subtests, [](const IgtSubtest& each) { return each.state == IgtState::skip; });
    if (result.outcome == Outcome::passed && skipped) {
      result.outcome = Outcome::skipped;
      result.detail = found->subtests.front().reason;
    }
    return result;
  }

  Workshop& workshop_;
  VmOptions vm_;
  IgtExpectations expected_;
};

}  // namespace

std::unique_ptr<TestSource> igt_tests(Workshop& workshop, const VmOptions& vm) {
  return std::make_unique<IgtTests>(workshop, vm);
}

}  // namespace figment::host
