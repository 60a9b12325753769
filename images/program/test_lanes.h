// SPDX-License-Identifier: MIT
//
// Selected tests, in two lanes side by side where that is worth it. Some tests wait, or keep one
// processor busy; these fill the rest of a machine that runs guests with two processors.
#ifndef FIGMENT_PROGRAM_TEST_LANES_H
#define FIGMENT_PROGRAM_TEST_LANES_H

#include <string>
#include <vector>

#include "test_sources.h"

namespace figment::host {

struct Selection {
  TestSource& source;
  std::vector<std::string> names;
};

// Runs all of them and reports each result here, in this process, as it comes: those of sources
// that leave_a_processor() in a process of their own, beside the others.
void run_in_lanes(const std::vector<Selection>& selections, const Report& report);

}  // namespace figment::host

#endif
