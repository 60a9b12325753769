// SPDX-License-Identifier: MIT
//
// What becomes of the options that fragments ask for.
#include "kernel_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

std::vector<std::string> missing(const char* asked, const char* final) {
  return config_differences(parse_kernel_config(asked), parse_kernel_config(final));
}

TEST(KernelConfig, has_options_with_their_values) {
  EXPECT_THAT(parse_kernel_config("# a comment\n\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n"
                                  "CONFIG_D=\"two words\"\nCONFIG_E=30\n"),
              ElementsAre(Pair("CONFIG_A", "y"), Pair("CONFIG_B", "m"), Pair("CONFIG_C", "n"),
                          Pair("CONFIG_D", "\"two words\""), Pair("CONFIG_E", "30")));
}

TEST(KernelConfig, what_comes_later_holds) {
  EXPECT_THAT(parse_kernel_config("CONFIG_A=y\n# CONFIG_A is not set\n"),
              ElementsAre(Pair("CONFIG_A", "n")));
  EXPECT_THAT(parse_kernel_config("# CONFIG_A is not set\nCONFIG_A=m\n"),
              ElementsAre(Pair("CONFIG_A", "m")));
}

TEST(KernelConfig, a_line_that_is_no_option_is_an_error) {
  EXPECT_ANY_THROW(parse_kernel_config("CONFIG_A\n"));
  EXPECT_ANY_THROW(parse_kernel_config("CONFIG_A=\n"));
  EXPECT_ANY_THROW(parse_kernel_config("KASAN=y\n"));
}

TEST(KernelConfig, what_was_granted_is_no_difference) {
  EXPECT_THAT(missing("CONFIG_KASAN=y\nCONFIG_KUNIT=m\n# CONFIG_INET is not set\n",
                      "CONFIG_X=y\nCONFIG_KASAN=y\nCONFIG_KUNIT=m\n# CONFIG_INET is not set\n"),
              IsEmpty());
}

// An option whose dependencies are not met is not even named in .config.
TEST(KernelConfig, an_option_that_was_dropped_is_named) {
  EXPECT_THAT(missing("CONFIG_SLUB_TINY=y\nCONFIG_KASAN=y\n", "CONFIG_SLUB_TINY=y\n"),
              ElementsAre("CONFIG_KASAN=y, but it is not set"));
  EXPECT_THAT(missing("CONFIG_KASAN=y\n", "# CONFIG_KASAN is not set\n"),
              ElementsAre("CONFIG_KASAN=y, but it is not set"));
}

TEST(KernelConfig, an_option_that_is_not_wanted_and_there_is_named) {
  EXPECT_THAT(missing("# CONFIG_INET is not set\n", "CONFIG_INET=y\n"),
              ElementsAre("CONFIG_INET=n, but it is y"));
  EXPECT_THAT(missing("# CONFIG_INET is not set\n", "CONFIG_OTHER=y\n"), IsEmpty());
}

TEST(KernelConfig, another_value_is_named) {
  EXPECT_THAT(missing("CONFIG_KUNIT=m\nCONFIG_TIMEOUT=30\n", "CONFIG_KUNIT=y\nCONFIG_TIMEOUT=120\n"),
              ElementsAre("CONFIG_KUNIT=m, but it is y", "CONFIG_TIMEOUT=30, but it is 120"));
}

}  // namespace
}  // namespace figment::host
