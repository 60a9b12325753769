// SPDX-License-Identifier: MIT
//
// What tests of IGT print, and how they are asked for some of their subtests.
#ifndef FIGMENT_PROGRAM_IGT_LOG_H
#define FIGMENT_PROGRAM_IGT_LOG_H

#include <string>

#include "suite.h"

namespace figment::host {

// The subtests of one test. When it was ended by a signal or by the time limit, its last one has
// crashed or timed out.
SuiteTest parse_igt(const ProgramOutput& output);

// All but those that match a pattern, as IGT's --run-subtest takes it; empty: all.
std::string igt_selection(const std::vector<std::string>& left_out);

}  // namespace figment::host

#endif
