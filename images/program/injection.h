// SPDX-License-Identifier: MIT
//
// The GPUs of a guest that misbehave on purpose, through the monitor of its machine;
// docs/injection.md.
#ifndef FIGMENT_PROGRAM_INJECTION_H
#define FIGMENT_PROGRAM_INJECTION_H

#include "qmp.h"

namespace figment::host {

// Arms a rule, or disarms all of them ("clear"). Throws UsageError with the device's reason when it
// refuses the rule, and when there is no such GPU.
void arm(Qmp& qmp, unsigned gpu, const std::string& rule);
// A line for each rule that is armed.
std::string armed_rules(Qmp& qmp, unsigned gpu);

// The guest of which `folder` has the logs; empty: the only one that runs, of those with logs in
// `runs`. Throws Failure, in words, when that is none or there are several.
Qmp find_guest(const fs::path& runs, const fs::path& folder);

}  // namespace figment::host

#endif
