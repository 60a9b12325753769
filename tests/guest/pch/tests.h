// SPDX-License-Identifier: MIT
// Precompiled: what nearly every guest test uses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <format>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>
