// SPDX-License-Identifier: MIT
//
// A debugger on a deterministic machine: where the driver will be, and the line to attach with.
#ifndef FIGMENT_PROGRAM_DEBUGGER_H
#define FIGMENT_PROGRAM_DEBUGGER_H

#include "commands.h"

namespace figment::host {

// Runs the machine once, without a debugger, to see where it loads the driver: before any command,
// and so at the same place in the run to come. Empty without a GPU.
std::string driver_address(const Guest& guest, const SessionOptions& session, const Judge& judge);

// A line for the user's shell. `gdb`: the address as QEMU has it, "tcp:..." or "unix:...".
std::string gdb_line(const fs::path& kernel_image, const fs::path& driver,
                     const std::string& address, const std::string& gdb);

// Makes the machine wait for a debugger, and says on stderr how to attach one.
void wait_for_debugger(const VmOptions& vm, const Judge& judge, Prepared& prepared);

}  // namespace figment::host

#endif
