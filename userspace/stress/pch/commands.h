// SPDX-License-Identifier: MIT
// Precompiled: what every command uses.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <format>
#include <functional>
#include <optional>
#include <print>
#include <string>
#include <vector>
