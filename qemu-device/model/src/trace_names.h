// SPDX-License-Identifier: MIT
// Names of the trace points and of their arguments, for logs.
#pragma once

namespace figment {

// "?" for what is no trace point.
const char* trace_name(unsigned int event);
// printf-like, one %llu, %#llx or %lld per argument, in the order a..d.
const char* trace_format(unsigned int event);

}  // namespace figment
