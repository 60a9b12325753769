// SPDX-License-Identifier: MIT
// The properties of a GPU: their defaults, and what is allowed.
#pragma once

#include <expected>
#include <string>

#include "figment/figment_model.h"

namespace figment {

// Data that one small step may move, at most.
inline constexpr uint32_t kStepBytesMax = 1u << 20;

figment_model_config default_config();

// Or one line that says which field is wrong and what it may be.
std::expected<void, std::string> check_config(const figment_model_config& config);

}  // namespace figment
