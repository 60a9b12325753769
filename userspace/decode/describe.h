// SPDX-License-Identifier: MIT
//
// A dump in words, and as JSON: what happened, whose job it was, registers by name and field, and
// packets.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "dump.h"

namespace figment::decode {

[[nodiscard]] std::string describe(const Dump& dump);
[[nodiscard]] nlohmann::ordered_json to_json(const Dump& dump);

/// Packets alone, of a ring or a buffer that came without a dump.
[[nodiscard]] std::string describe_packets(std::span<const std::uint64_t> words,
                                           std::uint64_t address);

}  // namespace figment::decode
