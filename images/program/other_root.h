// SPDX-License-Identifier: MIT
//
// A root beside the guest's, with libraries that the guest has not: a machine of its own for the
// programs in it, with the guest's devices and modules.
#ifndef FIGMENT_PROGRAM_OTHER_ROOT_H
#define FIGMENT_PROGRAM_OTHER_ROOT_H

#include <string>

#include "process.h"

namespace figment::host {

// Where it is in the guest.
inline constexpr const char* kOtherRoot = "/mnt";

// For the guest's shell: mounts the image that is the first of GuestNeeds::disks there. The image
// has usr/lib/modules; its /tmp can be written to.
std::string mount_other_root();

// `command`, in that root.
Argv in_other_root(Argv command);

}  // namespace figment::host

#endif
