// SPDX-License-Identifier: MIT
#include "suite_tests.h"

#include <algorithm>
#include <array>
#include <format>

#include "test_guest.h"

namespace figment::host {

namespace {

// In the order of the table.
constexpr std::array kOrder = {"igt",       "kunit",           "selftests",
                               "stress-ng", "stress-ng-stock", "libdrm"};

// The load of a busy suite: runs of the stress test one after the other, until they are told to
// stop. Each is short, so that the end of the tests waits for little; each judges itself by the
// oracle.
constexpr const char* kLoad = "load";
constexpr const char* kLoadBegins =
    "(\n"
    "  runs=0\n"
    "  while [ ! -e /run/load.stop ]; do\n"
    "    if figment-stress --strategy fence,preempt,fault,svm --scenario both --seconds 4 \\\n"
    "        --processes 1 --queues 1 --in-flight 2 >/run/load.last 2>&1; then\n"
    "      runs=$((runs + 1)); echo $runs >/run/load.runs\n"
    "    else\n"
    "      mv /run/load.last /run/load.failed; break\n"
    "    fi\n"
    "  done\n"
    ") &\n";
constexpr const char* kLoadEnds =
    "touch /run/load.stop; wait\n"
    "if [ -e /run/load.failed ]; then cat /run/load.failed; exit 1; fi\n"
    "cat /run/load.last; [ \"$(cat /run/load.runs)\" -ge 1 ]";

class SuiteTests : public TestSource {
 public:
  SuiteTests(Workshop& workshop, VmOptions vm, Suite suite)
      : workshop_(workshop),
        vm_(std::move(vm)),
        suite_(std::move(suite)),
        folder_(fs::path("tests") / suite_.name),
        expected_(parse_expectations(file("fails"), file("skips"), file("flakes"))) {
    for (ListedTest& test : suite_list(workshop_.places().checkout, suite_.name)) {
      if (!expected_.leaves_out(test.name)) tests_.push_back(std::move(test));
    }
  }

  std::vector<std::string> names() override {
    std::vector<std::string> names;
    for (const ListedTest& test : tests_) names.push_back(name_of(test.name));
    if (suite_.busy) names.push_back(load_name());
    names.push_back(log_name());
    return names;
  }

  std::vector<std::string> kernels() const override { return {vm_.kernel}; }

  void run(const std::vector<std::string>& selected, const Report& report) override {
    const auto begin = Clock::now();
    std::vector<std::string> programs;
    std::string steps;
    for (const ListedTest& test : tests_) {
      if (std::ranges::find(selected, name_of(test.name)) == selected.end()) continue;
      programs.push_back(test.name);
      steps += marked_step(test.name, suite_.command(test, expected_));
    }
    GuestNeeds needs = suite_.needs();
    needs.command = {"sh", "-c",
                     "set -e\n" + suite_.setup + (suite_.busy ? kLoadBegins : "") + "set +e\n" +
                         steps + (suite_.busy ? marked_step(kLoad, kLoadEnds) : "") + "exit 0\n"};
    std::string output;
    const Verdict verdict =
        run_test_guest(workshop_, vm_, needs, std::format("./figment test {}", suite_.prefix),
                       [&output](std::string_view bytes) { output += bytes; });
    std::vector<SuiteTest> results;
    std::optional<SuiteTest> load;
    for (const ProgramOutput& each : parse_outputs(output)) {
      if (each.name == kLoad) {
        load = judged_by_status(each, -1);
        if (each.status != 0) load->subtests[0].reason = each.text;
      } else {
        results.push_back(suite_.parse(each));
      }
    }
    for (const std::string& program : programs) {
      const auto found = std::ranges::find(results, program, &SuiteTest::name);
      report(judged(name_of(program), found == results.end() ? nullptr : &*found, verdict, output,
                    begin));
    }
    if (suite_.busy) {
      report(judged(load_name(), load ? &*load : nullptr, verdict, output, begin));
    }
    // Always said, selected or not: no run of tests is good with a report in the log.
    report({.name = log_name(),
            .outcome = verdict.reports.empty() ? Outcome::passed : Outcome::failed,
            .detail = verdict.reports.empty() ? "" : verdict.explanation(),
            .milliseconds = 0});
    if (programs.size() == tests_.size()) keep_table(results);
  }

 private:
  std::string file(const char* name) const {
    return read_file(workshop_.places().checkout / folder_ / name);
  }

  std::string name_of(std::string test) const {
    // Collections of the kernel's tests have a colon behind them; GoogleTest's filters, too.
    std::ranges::replace(test, ':', '.');
    return suite_.prefix + test;
  }
  // A suite may have a part on another kernel.
  std::string on_kernel() const { return vm_.kernel == "stock" ? "OnStock" : ""; }
  std::string load_name() const {
    return suite_.prefix + "Load" + on_kernel() + ".keeps_every_word";
  }
  std::string log_name() const {
    return suite_.prefix.substr(0, suite_.prefix.find('.')) + ".Kernel" + on_kernel() +
           ".log_holds_no_report";
  }

  TestResult judged(const std::string& name, const SuiteTest* test, const Verdict& verdict,
                    const std::string& output, Clock::time_point begin) const {
    if (!test) {
      // The set up has failed, or the guest has died before.
      constexpr std::size_t kShown = 2000;
      return result_of(
          name,
          std::format("it was not run; exit status {}\n{}the end of the output:\n{}",
                      verdict.exit_status(), verdict.explanation(),
                      output.substr(output.size() > kShown ? output.size() - kShown : 0)),
          begin);
    }
    TestResult result = result_of(name, complaints(*test, expected_, folder_.string()), begin);
    result.milliseconds = test->milliseconds;
    const bool skipped = std::ranges::all_of(
        test->subtests, [](const Subtest& each) { return each.state == SubtestState::skip; });
    if (result.outcome == Outcome::passed && skipped) {
      result.outcome = Outcome::skipped;
      result.detail = test->subtests.front().reason;
    }
    return result;
  }

  // For docs/conformance.md: what this run knows, beside what others have known.
  void keep_table(const std::vector<SuiteTest>& results) const {
    const fs::path build = workshop_.places().build;
    const fs::path parts = build / "conformance";
    fs::create_directories(parts);
    write_file(parts / suite_.name, table_lines(suite_.name, results, expected_));
    std::string table = table_head();
    for (const char* name : kOrder) {
      if (fs::exists(parts / name)) table += read_file(parts / name);
    }
    write_file(build / "conformance.md", table);
  }

  Workshop& workshop_;
  VmOptions vm_;
  Suite suite_;
  fs::path folder_;
  Expectations expected_;
  std::vector<ListedTest> tests_;
};

}  // namespace

std::unique_ptr<TestSource> suite_tests(Workshop& workshop, const VmOptions& vm, Suite suite) {
  return std::make_unique<SuiteTests>(workshop, vm, std::move(suite));
}

std::vector<ListedTest> suite_list(const fs::path& checkout, const std::string& name) {
  return parse_suite_list(read_file(checkout / "tests" / name / "list"));
}

Argv with_limit(unsigned seconds, Argv command) {
  command.insert(command.begin(), {"timeout", "--kill-after=10", std::to_string(seconds)});
  return command;
}

}  // namespace figment::host
