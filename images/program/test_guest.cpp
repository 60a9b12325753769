// SPDX-License-Identifier: MIT
#include "test_guest.h"

namespace figment::host {

namespace {

// One guest may run all tests there are, on a kernel that checks everything; what hangs is silent.
constexpr std::chrono::minutes kGuestLimit{60};
constexpr std::chrono::minutes kSilence{6};

}  // namespace

Verdict run_test_guest(Workshop& workshop, const VmOptions& vm, const GuestNeeds& needs,
                       const std::string& rerun,
                       const std::function<void(std::string_view)>& output) {
  Prepared prepared = prepare(workshop, vm, needs);
  prepared.session.folder = run_folder(workshop.places());
  prepared.session.timeout = kGuestLimit;
  prepared.session.silence = kSilence;
  prepared.session.on_stdout = prepared.session.on_stderr = output;
  prepared.session.rerun = rerun;
  return run_guest(prepared.guest, prepared.session, make_judge(workshop.places()));
}

GtestRun gtest_run_of(const Verdict& verdict) {
  GtestRun run{.status = verdict.status.value_or(3), .trouble = {}};
  if (!verdict.trouble.empty()) {
    run.trouble = verdict.trouble + "; console log: " + verdict.console.string();
  }
  return run;
}

Argv guest_tests_command(const std::string& filter) {
  return {"env", "GTEST_COLOR=no", "figment-guest-tests", "--gtest_filter=" + filter};
}

GuestProgram guest_tests() {
  return {.target = "figment-guest-tests", .needs = [](const std::string& filter) {
            return GuestNeeds{.command = guest_tests_command(filter),
                              .shares = {},
                              .null_nvme = false,
                              .directory = "/root"};
          }};
}

TestResult result_of(const std::string& name, const std::string& complaint,
                     Clock::time_point since) {
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since);
  return {.name = name,
          .outcome = complaint.empty() ? Outcome::passed : Outcome::failed,
          .detail = complaint,
          .milliseconds = static_cast<unsigned>(time.count())};
}

}  // namespace figment::host
