// SPDX-License-Identifier: MIT
//
// KTAP, the form in which the kernel's own tests report: selftests on their standard output, KUnit
// in the kernel's log, there with time stamps and indented, suites above cases above parameters.
#ifndef FIGMENT_PROGRAM_KTAP_H
#define FIGMENT_PROGRAM_KTAP_H

#include "suite.h"

namespace figment::host {

// The results that have no others below them, named "suite.case.parameter". A plan that is not
// kept, a sum that is worse than its parts, and an exit status that nothing explains are failures,
// too.
SuiteTest parse_ktap(const ProgramOutput& output);

}  // namespace figment::host

#endif
