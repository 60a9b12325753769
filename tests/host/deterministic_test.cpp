// SPDX-License-Identifier: MIT
#include "deterministic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "temporary_folder.h"

namespace figment::host {
namespace {

using testing::HasSubstr;

std::string value(const GpuProperties& properties, const std::string& name) {
  const auto found = std::ranges::find(properties, name, &GpuProperties::value_type::first);
  return found == properties.end() ? "" : found->second;
}

// Seeds are written into bug reports: what one draws must not change by accident.
TEST(Draw, is_a_function_of_the_seed) {
  EXPECT_EQ(draw(7), draw(7));
  std::set<std::string> different;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    std::string text = std::to_string(draw(seed).turn_max_ns);
    for (const auto& [name, value] : draw(seed).gpu) text += " " + name + "=" + value;
    different.insert(text);
  }
  EXPECT_EQ(different.size(), 100u);
}

TEST(Draw, is_what_the_options_allow) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const Draw drawn = draw(seed);
    for (const auto& [name, value] : drawn.gpu) EXPECT_NO_THROW(parse_gpu(name + "=" + value));
    EXPECT_LE(drawn.turn_min_ns, drawn.turn_max_ns);
    EXPECT_GE(drawn.turn_max_ns, 10'000u);
  }
}

TEST(Draw, is_fast_and_slow) {
  bool fast = false, slow = false;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const std::string latency = value(draw(seed).gpu, "invalidate-ns");
    fast |= latency.empty();
    slow |= !latency.empty() && std::stoull(latency.substr(latency.find('-') + 1)) > 50'000;
  }
  EXPECT_TRUE(fast);
  EXPECT_TRUE(slow);
}

TEST(SeededProperties, what_was_asked_for_wins) {
  const GpuProperties properties =
      seeded_properties({{"step-bytes", "4096"}, {"engines", "4"}}, 3);
  EXPECT_EQ(value(properties, "step-bytes"), "4096");
  EXPECT_EQ(std::ranges::count(properties, "step-bytes", &GpuProperties::value_type::first), 1);
  EXPECT_EQ(value(properties, "engines"), "4");
  EXPECT_EQ(value(properties, "executor"), "clock");
  EXPECT_NE(value(properties, "seed"), "0");
}

TEST(Orders, are_an_image_that_begins_with_the_start_frame) {
  const TemporaryFolder folder;
  const guest::Start start{.arguments = {"true"}};
  const MemoryImage image = write_orders(folder.path() / "orders", start);
  EXPECT_EQ(fs::file_size(image.file), image.bytes);
  guest::Decoder decoder;
  decoder.feed(read_file(image.file).substr(0, 4096));
  const auto frame = decoder.next();
  ASSERT_TRUE(frame);
  EXPECT_EQ(guest::decode_start(frame->payload), start);
}

TEST(Orders, that_do_not_fit_are_refused) {
  const TemporaryFolder folder;
  const guest::Start start{.arguments = {std::string(3 << 20, 'x')}};
  EXPECT_THROW(write_orders(folder.path() / "orders", start), Failure);
}

TEST(FirstDifference, names_the_line) {
  EXPECT_EQ(first_difference("a\nb\n", "a\nb\n"), "");
  EXPECT_EQ(first_difference("a\nbc\nd\n", "a\nbx\nd\n"), "line 2: 'bc' and 'bx'");
  EXPECT_EQ(first_difference("a\n", "a\nmore\n"), "line 2: '' and 'more'");
}

}  // namespace
}  // namespace figment::host
