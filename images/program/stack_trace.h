// SPDX-License-Identifier: MIT
//
// Frames of call traces, as kernels print them, and the source lines that they stand for. The
// kernel's own address does not matter: a frame names its function, and the file with the symbols
// says where that is. Needs binutils and line tables: the driver has them for every kernel, the
// kernel itself only where it was compiled here.
#ifndef FIGMENT_PROGRAM_STACK_TRACE_H
#define FIGMENT_PROGRAM_STACK_TRACE_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "process.h"

namespace figment::host {

struct Frame {
  std::string symbol;
  std::uint64_t offset = 0;  // from its begin, in bytes; of a call: of what comes after it
  std::uint64_t size = 0;    // of the function, up to the next one
  std::string module;        // empty: the kernel itself
  bool is_call = true;       // false: the place itself (RIP)
  auto operator<=>(const Frame&) const = default;
};

// The frame in a line: "symbol+0xOFFSET/0xSIZE [module]", whatever is around it.
std::optional<Frame> frame_in(std::string_view line);

// A function of an object file, from `readelf -sW`.
struct Symbol {
  std::uint64_t value = 0;  // address, or in a module the offset in its section
  std::uint64_t size = 0;   // without the padding that follows
  unsigned section = 0;
};

// All functions with the names that `wanted` says, from the text of `readelf -sW`.
std::multimap<std::string, Symbol> parse_symbols(std::string_view text,
                                                 const std::vector<Frame>& wanted);

// The one of several functions of a name that a frame is in; none, if the frame is in none.
std::optional<Symbol> symbol_of(const Frame& frame,
                                const std::multimap<std::string, Symbol>& symbols);

// Where symbols are found.
struct SymbolFiles {
  fs::path kernel;              // vmlinux
  std::vector<fs::path> modules;  // files, or folders that have them somewhere below
  std::vector<std::string> prefixes;  // of source files, left out when a line is told
};

// Source lines of frames, "file.c:12"; of an inlined function the innermost first, joined by " in ".
// What cannot be told is left out.
std::map<Frame, std::string> source_lines(const std::vector<Frame>& frames,
                                          const SymbolFiles& files);

// Appends their source lines to the lines that have a frame.
void add_source_lines(std::vector<std::string>& lines, const SymbolFiles& files);

}  // namespace figment::host

#endif
