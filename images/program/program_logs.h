// SPDX-License-Identifier: MIT
//
// What programs print that are tools first, and tests only by what they are asked.
#ifndef FIGMENT_PROGRAM_PROGRAM_LOGS_H
#define FIGMENT_PROGRAM_PROGRAM_LOGS_H

#include "suite.h"

namespace figment::host {

// stress-ng with one stressor.
SuiteTest parse_stress_ng(const ProgramOutput& output);

// drmdevice of libdrm, before it lines "figment ADDRESS VENDOR DEVICE" as sysfs has them, ids in
// hex: each of these GPUs has to be told of, with its ids, its node for jobs, and as one that
// opens.
SuiteTest parse_drmdevice(const ProgramOutput& output);

}  // namespace figment::host

#endif
