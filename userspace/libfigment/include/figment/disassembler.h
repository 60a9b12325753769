// SPDX-License-Identifier: MIT
//
// Packets in words, and what else the hardware says in numbers. For people who look at a command
// list, a ring, or a dump of a device; whatever the words are, nothing goes wrong here.
//
//   for (const auto& line : disassemble(words, at)) std::println("{:#x}  {}", line.at, line.text);
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "figment/types.h"

namespace figment {

struct DisassembledPacket {
  std::uint64_t at = 0;        // address of its header
  std::uint64_t qwords = 1;    // as far as the words reach
  std::string text;            // "FILL 0x40 bytes at 0x2000 with 0x7 (4 bytes)"
  std::string problem;         // why a device would stop here, or empty: then nothing follows
  std::optional<GpuVa> calls;  // of INDIRECT: the packets that it calls
  std::uint64_t called_bytes = 0;
};

/// The packets in `words`, of which the first is at `address`.
[[nodiscard]] std::vector<DisassembledPacket> disassemble(std::span<const std::uint64_t> words,
                                                          std::uint64_t address);

/// FIGMENT_CODE_* as a name and in words, FIGMENT_QUEUE_* as a name; "7" and so on for what there
/// is not.
[[nodiscard]] std::string code_name(std::uint64_t code);
[[nodiscard]] std::string_view code_meaning(std::uint64_t code);
[[nodiscard]] std::string queue_state_name(std::uint64_t state);

}  // namespace figment
