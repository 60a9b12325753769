// SPDX-License-Identifier: MIT
//
// Guests of tests: one guest, one command, and everything that is to be known of how it went.
#ifndef FIGMENT_PROGRAM_TEST_GUEST_H
#define FIGMENT_PROGRAM_TEST_GUEST_H

#include "commands.h"
#include "test_sources.h"

namespace figment::host {

// Boots a guest for `needs.command`, with a time limit of its own; what the command writes goes to
// `output`. `rerun` is the command that a person gives to see it again.
Verdict run_test_guest(Workshop& workshop, const VmOptions& vm, const GuestNeeds& needs,
                       const std::string& rerun,
                       const std::function<void(std::string_view)>& output);

// How the command ended, for run_gtest().
GtestRun gtest_run_of(const Verdict& verdict);

// The command for those guest tests (Suite.Case, separated by ':').
Argv guest_tests_command(const std::string& filter);

// A program of GoogleTest that runs in a guest.
struct GuestProgram {
  std::string target;  // of meson
  // What it takes to run those of its tests.
  std::function<GuestNeeds(const std::string& filter)> needs;
};
GuestProgram guest_tests();

// A result of one test that began at `since`: passed without a complaint.
TestResult result_of(const std::string& name, const std::string& complaint, Clock::time_point since);

}  // namespace figment::host

#endif
