// SPDX-License-Identifier: MIT
// Precompiled: the parts of the standard library that nearly every file here uses. The first run of
// ./figment in a checkout waits for this program.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <format>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>
