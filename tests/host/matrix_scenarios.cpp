// SPDX-License-Identifier: MIT
//
// ./figment matrix as a whole: a few events and the smallest measurements, in guests; and what is
// left of it when a guest does not come to its end. The page itself has unit tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <format>
#include <nlohmann/json.hpp>

#include "scenario.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Matrix, makes_the_page_and_the_rows) {
  const TemporaryFolder folder;
  const fs::path html = folder.path() / "page.html", json = folder.path() / "rows.json";
  const Finished run = run_figment({"matrix", "--quick", "--part", "table,growth", "--event",
                                    "fork-child,munmap", "--pages", "4k", "--strategy",
                                    "fence,unsafe", "--html", html, "--json", json});
  ASSERT_EQ(run.status, 0) << run.err << run.out;
  const auto results = nlohmann::json::parse(read_file(json));
  EXPECT_EQ(results.at("status"), 0);
  EXPECT_EQ(results.at("rows").size(), 4u);
  const std::string rows = std::format("{} rows", 4 + results.at("growth").size());
  EXPECT_THAT(run.out, AllOf(HasSubstr(rows), HasSubstr(html.string())));
  std::uint64_t caught = 0;
  for (const auto& row : results.at("rows")) {
    EXPECT_GT(row.at("gpu_words"), 0) << row;
    if (row.at("strategy") == "unsafe" && row.at("event") == "fork-child") {
      caught = row.at("corrupt_words");
    }
  }
  EXPECT_GT(caught, 0u) << "the control";
  for (const auto& part : results.at("parts")) EXPECT_EQ(part.at("complete"), true) << part;
  EXPECT_FALSE(results.at("growth").empty());
  for (const auto& row : results.at("growth")) {
    EXPECT_TRUE(row.at("skipped").is_null()) << row;
    const auto& forks = row.at("fork_us_samples");
    for (const char* state : {"none", "idle", "busy"}) EXPECT_FALSE(forks.at(state).empty()) << row;
  }
  EXPECT_THAT(read_file(html), AllOf(HasSubstr("Every row is as it must be"), HasSubstr("<svg"),
                                     Not(HasSubstr("{{"))));
}

TEST(Matrix, has_the_comparisons) {
  const TemporaryFolder folder;
  const fs::path html = folder.path() / "page.html", json = folder.path() / "rows.json";
  const Finished run = run_figment({"matrix", "--quick", "--part", "compare", "--strategy",
                                    "fence,unsafe", "--html", html, "--json", json});
  ASSERT_EQ(run.status, 0) << run.err << run.out;
  const auto results = nlohmann::json::parse(read_file(json));
  EXPECT_EQ(results.at("parts").at(0).at("complete"), true);
  std::uint64_t caught = 0;
  for (const auto& row : results.at("compare")) {
    EXPECT_TRUE(row.at("skipped").is_null()) << row;
    EXPECT_GT(row.at("words"), 0) << row;
    caught += row.at("verdict") == "caught";
    // What pins its pages is right, with and without a GPU.
    if (row.at("user") == "fence" || row.at("user") == "io-uring" ||
        row.at("user") == "direct-read") {
      EXPECT_EQ(row.at("verdict"), "right") << row;
    }
  }
  EXPECT_GT(caught, 0u) << "the control";
  EXPECT_THAT(read_file(html), AllOf(HasSubstr("Every row is as it must be"),
                                     HasSubstr("cell told"), Not(HasSubstr("{{"))));
}

TEST(Matrix, of_a_guest_that_does_not_end_is_written_and_says_so) {
  const TemporaryFolder folder;
  const fs::path html = folder.path() / "page.html", json = folder.path() / "rows.json";
  const Finished run =
      run_figment({"matrix", "--part", "table", "--timeout", "1", "--html", html, "--json", json});
  EXPECT_EQ(run.status, 124) << run.err;
  EXPECT_EQ(nlohmann::json::parse(read_file(json)).at("status"), 124);
  EXPECT_THAT(read_file(html), AllOf(HasSubstr("Not complete"), HasSubstr("ran out of time")));
}

TEST(Matrix, that_is_interrupted_has_written_what_there_is) {
  const TemporaryFolder folder;
  const fs::path html = folder.path() / "page.html", json = folder.path() / "rows.json";
  Figment figment({"matrix", "--quick", "--part", "table", "--html", html, "--json", json});
  // The first row is there, others are not.
  ASSERT_TRUE(eventually([&] { return figment.err().contains("[3/"); })) << figment.err();
  kill(figment.pid(), SIGINT);
  const Finished run = figment.finish();
  EXPECT_EQ(run.status, 128 + SIGINT);
  EXPECT_THAT(run.err, HasSubstr("interrupted; what there is"));
  const auto results = nlohmann::json::parse(read_file(json));
  EXPECT_EQ(results.at("parts").at(0).at("complete"), false);
  EXPECT_GT(results.at("parts").at(0).at("planned"), 3);
  EXPECT_THAT(read_file(html), HasSubstr("Not complete"));
}

TEST(Matrix, that_cannot_write_its_page_says_so_before_a_guest_boots) {
  const Finished run = run_figment({"matrix", "--html", "/no/such/folder/page.html"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, Not(HasSubstr("logs in")));
}

}  // namespace
}  // namespace figment::host
