// SPDX-License-Identifier: MIT
//
// Kernel configurations, as text: what fragments ask for, and what has become of it. Kconfig drops
// what it cannot give without a word, so that a check is off that everybody believes to be on
// (SLUB_TINY silently forbids KASAN, for one). Pure.
#ifndef FIGMENT_PROGRAM_KERNEL_CONFIG_H
#define FIGMENT_PROGRAM_KERNEL_CONFIG_H

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace figment::host {

// Options by name ("CONFIG_KASAN") with what is right of the equals sign; "n" for "is not set".
using KernelConfig = std::map<std::string, std::string, std::less<>>;

// Reads a .config or fragments, one after the other: what comes later holds. Throws Failure on a
// line that is neither an option nor a comment.
KernelConfig parse_kernel_config(std::string_view text);

// What `asked` has and `final` has not, one line each: "CONFIG_KASAN=y, but it is not set". An
// option that is in neither form in `final` is not set.
std::vector<std::string> config_differences(const KernelConfig& asked, const KernelConfig& final);

}  // namespace figment::host

#endif
