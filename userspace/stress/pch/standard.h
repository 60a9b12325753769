// SPDX-License-Identifier: MIT
// Precompiled: the parts of the standard library that nearly every file here uses.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <format>
#include <functional>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
