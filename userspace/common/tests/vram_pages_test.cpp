// SPDX-License-Identifier: MIT
#include "vram_pages.h"

#include <gtest/gtest.h>

namespace figment {
namespace {

// Documentation/admin-guide/mm/pagemap.rst: present, elsewhere, and the type of what is elsewhere.
constexpr std::uint64_t kPresent = 1ull << 63;
constexpr std::uint64_t kElsewhere = 1ull << 62;
constexpr std::uint64_t kOffset = 0x1234ull << 5;

TEST(VramPages, are_those_that_only_a_device_can_reach) {
  EXPECT_TRUE(is_in_vram(kElsewhere | kOffset | 28));
  EXPECT_TRUE(is_in_vram(kElsewhere | kOffset | 29));
  EXPECT_TRUE(is_in_vram(kElsewhere | 28));
}

TEST(VramPages, are_not_holes_and_not_pages_in_memory_or_in_swap) {
  EXPECT_FALSE(is_in_vram(0));
  EXPECT_FALSE(is_in_vram(kPresent | 28));
  for (const std::uint64_t type : {0, 1, 23}) EXPECT_FALSE(is_in_vram(kElsewhere | kOffset | type));
}

TEST(VramPages, are_not_pages_on_their_way_or_held_exclusively_or_markers) {
  for (const std::uint64_t type : {24, 25, 26, 27, 30, 31}) {
    EXPECT_FALSE(is_in_vram(kElsewhere | kOffset | type)) << type;
  }
}

}  // namespace
}  // namespace figment
