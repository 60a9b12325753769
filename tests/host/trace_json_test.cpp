// SPDX-License-Identifier: MIT
#include "trace_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace figment::host {
namespace {

using Json = nlohmann::json;

Json written(const TraceJson& json, const Details& about = {}) {
  std::ostringstream out;
  json.write(out, about);
  return Json::parse(out.str());
}

std::vector<Json> events(const Json& trace, const std::string& phases) {
  std::vector<Json> found;
  for (const Json& event : trace["traceEvents"]) {
    if (phases.contains(event["ph"].get<std::string>())) found.push_back(event);
  }
  return found;
}

TEST(TraceJson, is_json_when_it_is_empty) {
  const Json trace = written(TraceJson(), Details().text("a", "b").number("n", std::int64_t{-1}));
  EXPECT_TRUE(trace["traceEvents"].empty());
  EXPECT_EQ(trace["otherData"], Json({{"a", "b"}, {"n", -1}}));
}

TEST(TraceJson, slices_nest_and_the_outer_one_comes_first) {
  TraceJson json;
  json.process(7, "p", 3);
  const auto lane = json.lane(7, 1, "t");
  json.open(lane, 1000, "outer", Details().number("x", std::uint64_t{1}));
  json.open(lane, 1000, "inner");
  json.close(lane, 2500);
  json.close(lane, 2500, Details().hex("y", 16));
  json.finish(9000);
  const auto slices = events(written(json), "X");
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0]["name"], "outer");
  EXPECT_EQ(slices[0]["args"], Json({{"x", 1}, {"y", "0x10"}}));
  EXPECT_EQ(slices[0]["ts"], 1.0);
  EXPECT_EQ(slices[0]["dur"], 1.5);
  EXPECT_EQ(slices[1]["name"], "inner");
  EXPECT_EQ(slices[1]["pid"], 7);
  EXPECT_EQ(slices[1]["tid"], 1);
}

TEST(TraceJson, a_mark_is_as_long_as_what_follows_lets_it) {
  TraceJson json;
  const auto lane = json.lane(1, 1, "t");
  json.open(lane, 0, "around");
  json.mark(lane, 100, "short");
  json.mark(lane, 300, "long");
  json.mark(lane, 5000, "last");
  json.close(lane, 5400);
  json.finish(9000);
  const auto slices = events(written(json), "X");
  ASSERT_EQ(slices.size(), 4u);
  EXPECT_EQ(slices[1]["dur"], 0.2);
  EXPECT_EQ(slices[2]["dur"], 1.0);
  EXPECT_EQ(slices[3]["dur"], 0.4);
}

TEST(TraceJson, what_is_open_at_the_end_says_so) {
  TraceJson json;
  json.open(json.lane(1, 1, "t"), 10, "open");
  json.close(json.lane(1, 2, "other"), 10);
  json.finish(2010);
  const auto slices = events(written(json), "X");
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(slices[0]["dur"], 2.0);
  EXPECT_EQ(slices[0]["args"]["end"], "not in this trace");
}

TEST(TraceJson, an_arrow_goes_forward_and_comes_behind_its_slice) {
  TraceJson json;
  const auto one = json.lane(1, 1, "a"), two = json.lane(2, 5, "b");
  const auto from = json.mark(one, 100, "from"), by = json.mark(two, 200, "by");
  const auto to = json.mark(one, 300, "to");
  json.arrow("job", {to, from, by});
  json.arrow("alone", {from});
  json.finish(1000);
  const Json trace = written(json);
  const auto flow = events(trace, "stf");
  ASSERT_EQ(flow.size(), 3u);
  EXPECT_EQ(flow[0]["ph"], "s");
  EXPECT_EQ(flow[1]["ph"], "t");
  EXPECT_EQ(flow[1]["pid"], 2);
  EXPECT_EQ(flow[1]["tid"], 5);
  EXPECT_EQ(flow[2]["ph"], "f");
  EXPECT_EQ(flow[2]["bp"], "e");
  EXPECT_EQ(flow[0]["id"], flow[2]["id"]);
  const auto order = events(trace, "Xstf");
  EXPECT_EQ(order[0]["ph"], "X");
  EXPECT_EQ(order[1]["ph"], "s");
}

TEST(TraceJson, any_text_is_a_string) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const Json back = Json::parse(quoted_json(all));
  EXPECT_EQ(back.get<std::string>().substr(0, 128), all.substr(0, 128));
  EXPECT_EQ(Json::parse(quoted_json("\xe9")).get<std::string>(), "\u00e9");
}

TEST(TraceJson, slices_that_overlap_have_an_id) {
  TraceJson json;
  json.overlapping(3, "job", "j-1", "job 1", 2000, 1000, Details().number("n", std::uint64_t{2}));
  const auto pair = events(written(json), "be");
  ASSERT_EQ(pair.size(), 2u);
  EXPECT_EQ(pair[0]["ph"], "b");
  EXPECT_EQ(pair[0]["args"]["n"], 2);
  EXPECT_EQ(pair[1]["id"], "j-1");
  EXPECT_EQ(pair[1]["ts"], 2.0) << "none ends before it begins";
}

}  // namespace
}  // namespace figment::host
