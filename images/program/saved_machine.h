// SPDX-License-Identifier: MIT
//
// A deterministic machine that has been booted once, up to the mark of its agent: driver loaded,
// nothing run yet. What is saved is a function of what the machine is made of, so a machine that was
// saved again, here or elsewhere, continues in the same way.
#ifndef FIGMENT_PROGRAM_SAVED_MACHINE_H
#define FIGMENT_PROGRAM_SAVED_MACHINE_H

#include "commands.h"
#include "qmp.h"

namespace figment::host {

struct SavedMachine {
  fs::path memory;   // RAM; restored machines have private copies of its pages
  fs::path state;    // all else
  fs::path console;  // the log up to the mark
};

// The saved machine for a deterministic guest, from build/machines, or made now. Its seed, its
// latencies, its command and its trace are of no account: they come with each restored machine.
// Throws Failure when the guest does not get to the mark or QEMU cannot save it.
SavedMachine saved_machine(const Workshop& workshop, const Prepared& prepared,
                           const GpuProperties& asked);

// Restores, in a QEMU that waits for it (-incoming defer), and lets the machine go on.
void restore_state(Qmp& qmp, const fs::path& state);

// `guest`, to be restored from a saved machine instead of booted.
Guest restored(Guest guest, const SavedMachine& saved);

}  // namespace figment::host

#endif
