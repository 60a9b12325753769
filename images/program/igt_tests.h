// SPDX-License-Identifier: MIT
//
// igt.Test.*: generic tests of IGT, the suite that Linux' DRM drivers are tested with, in a guest
// with Figment; docs/conformance.md.
#ifndef FIGMENT_PROGRAM_IGT_TESTS_H
#define FIGMENT_PROGRAM_IGT_TESTS_H

#include <memory>

#include "test_sources.h"

namespace figment::host {

std::unique_ptr<TestSource> igt_tests(Workshop& workshop, const VmOptions& vm);

}  // namespace figment::host

#endif
