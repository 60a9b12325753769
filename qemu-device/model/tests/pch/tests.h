// SPDX-License-Identifier: MIT
// Precompiled: what nearly every test of the model uses.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
