// SPDX-License-Identifier: MIT
//
// Figment and Mesa's software Vulkan driver on the same buffers: docs/conformance.md.
#ifndef FIGMENT_PROGRAM_MESA_TESTS_H
#define FIGMENT_PROGRAM_MESA_TESTS_H

#include "test_guest.h"

namespace figment::host {

// figment-mesa-tests, in a root with that driver.
GuestProgram tests_with_mesa(Workshop& workshop);

}  // namespace figment::host

#endif
