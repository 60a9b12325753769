// SPDX-License-Identifier: MIT
//
// figment-bench measures everything that it says it does. How fast anything is, is no part of it:
// a machine may be as slow as it likes.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "figment/strategy.h"
#include "userptr.h"

namespace figment::guest {
namespace {

using Json = nlohmann::json;

/// The results of a short run of one section.
Json measured(const std::string& section) {
  std::string folder = (std::filesystem::temp_directory_path() / "figment-bench-XXXXXX").string();
  if (!::mkdtemp(folder.data())) fail(errno, "mkdtemp");
  const std::string file = folder + "/results.json";
  const int status =
      std::system(std::format("figment-bench --quick --only {} --json {} >{}/output 2>&1", section,
                              file, folder)
                      .c_str());
  std::ifstream output(folder + "/output");
  const std::string text(std::istreambuf_iterator<char>(output), {});
  EXPECT_EQ(status, 0) << text;
  std::ifstream in(file);
  const Json all = Json::parse(in, nullptr, false);
  std::filesystem::remove_all(folder);
  EXPECT_FALSE(all.is_discarded()) << text;
  EXPECT_EQ(all.value("version", 0), 1);
  // The version, and what was asked for.
  EXPECT_EQ(all.size(), 2u) << all;
  return all.is_object() && all.contains(section) ? all[section] : Json();
}

void expect_summary(const Json& summary) {
  ASSERT_TRUE(summary.is_object()) << summary;
  EXPECT_GT(summary.at("samples"), 0);
  EXPECT_LE(summary.at("min"), summary.at("p50"));
  EXPECT_LE(summary.at("p50"), summary.at("max"));
}

void expect_positive(const Json& summary) {
  expect_summary(summary);
  EXPECT_GT(summary.at("min"), 0);
}

TEST(Bench, refuses_what_it_does_not_know) {
  const int status = std::system("figment-bench --only everything >/dev/null 2>&1");
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

TEST(Bench, measures_round_trips) {
  const Json trip = measured("round_trip");
  expect_positive(trip.at("empty_job_us"));
  if (!trip.at("user_queue_us").is_null()) {
    expect_positive(trip.at("user_fence_us"));
    expect_positive(trip.at("user_queue_us"));
  }
  if (trip.at("disk_read_us").is_null()) {
    EXPECT_NE(trip.at("disk_read_why_not"), "");
  } else {
    expect_positive(trip.at("disk_read_us"));
  }
}

TEST(Bench, measures_engines) {
  const Json engines = measured("engines");
  EXPECT_EQ(engines.size(), 2u);
  for (const Json& busy : engines) {
    EXPECT_EQ(busy.at("engines"), Device::open().info().engines);
    expect_positive(busy.at("one_per_second"));
    expect_positive(busy.at("all_per_second"));
  }
}

TEST(Bench, measures_resets) {
  const Json resets = measured("reset");
  std::set<std::string> names;
  for (const Json& reset : resets) {
    names.insert(reset.at("what"));
    if (reset.at("ms").is_null()) {
      EXPECT_NE(reset.at("why_not"), "");
      // Each GPU has what it takes.
      EXPECT_EQ(reset.at("what"), "disk") << reset;
    } else {
      expect_positive(reset.at("ms"));
    }
  }
  EXPECT_EQ(names, (std::set<std::string>{"queue", "function", "disk"}));
}

TEST(Bench, measures_copies) {
  const Json copies = measured("copy");
  EXPECT_GE(copies.size(), 4u);
  for (const Json& copy : copies) expect_positive(copy.at("bytes_per_second"));
}

TEST(Bench, measures_forks) {
  const Json forks = measured("fork_idle");
  EXPECT_EQ(forks.size(), 2u);
  for (const Json& fork : forks) expect_positive(fork.at("us"));
}

const Json& find(const Json& list, std::string_view key, std::string_view value) {
  static const Json nothing;
  for (const Json& each : list) {
    if (each.at(key) == value) return each;
  }
  ADD_FAILURE() << "there is no " << key << " " << value << " in " << list;
  return nothing;
}

TEST(Bench, measures_faults) {
  const Json cases = measured("faults");
  std::set<std::string> seen;
  for (const Json& each : cases) {
    SCOPED_TRACE(each.dump());
    const std::uint64_t pages = each.at("pages"), page_bytes = each.at("page_bytes");
    const bool absent = each.at("missing") == "page", at_once = each.at("ask") == "at once";
    seen.insert(std::format("{} {} {}", page_bytes, absent, at_once));
    for (const Json& reader : each.at("readers")) {
      if (reader.at("pages_per_second").is_null()) {
        EXPECT_NE(reader.at("why_not"), "");
        // A kernel of somebody's own may lack it.
        EXPECT_TRUE(reader.at("reader") == "test_hmm" && !::getenv("FIGMENT_TEST_HMM")) << reader;
        continue;
      }
      expect_positive(reader.at("pages_per_second"));
      // At least one fault, and none for what has come with another one.
      if (reader.at("device") == true) {
        EXPECT_GE(reader.at("faults"), 1) << reader;
        if (page_bytes == kPageBytes) {
          EXPECT_LE(reader.at("faults"), pages) << reader;
        }
      }
    }
    const Json& readers = each.at("readers");
    const double faults = find(readers, "reader", "userptr").at("faults");
    if (page_bytes != kPageBytes) {
      EXPECT_LE(faults, 2 * pages) << "a huge page is served as a whole";
      EXPECT_LE(find(readers, "reader", "svm").at("faults"), 2 * pages);
      continue;
    }
    const double alone = find(readers, "reader", "userptr, nothing around").at("faults");
    if (at_once) {
      EXPECT_LT(faults, pages / 4) << "a queue that goes from page to page gets pages ahead";
    } else {
      EXPECT_GT(alone, pages / 2) << "nothing comes with another page unless it may";
      EXPECT_LT(faults, alone / 4) << "pages around come with it";
    }
    if (absent) {
      EXPECT_EQ(find(readers, "reader", "userfaultfd, copy").at("faults"), pages);
      expect_positive(find(readers, "reader", "CPU").at("pages_per_second"));
    }
  }
  EXPECT_EQ(seen.size(), 6u);
}

TEST(Bench, measures_notifiers) {
  const Device device = Device::open();
  const Json cases = measured("notifier");
  EXPECT_EQ(cases.size(), 6u) << "two sizes of pages, three calls";
  for (const Json& each : cases) {
    SCOPED_TRACE(each.dump());
    const Json& costs = each.at("costs");
    expect_positive(find(costs, "who", "no GPU").at("call_us"));
    EXPECT_TRUE(find(costs, "who", "no GPU").at("cpu_us").is_null());
    for (const auto& strategy : kStrategies) {
      if (!device.offers(strategy.strategy)) continue;
      const Json& cost = find(costs, "who", strategy.name);
      expect_positive(cost.at("call_us"));
      const bool watches =
          strategy.strategy != Strategy::pin && strategy.strategy != Strategy::unsafe;
      EXPECT_EQ(cost.at("cpu_us").is_null(), !watches) << cost;
    }
    for (const Json& cost : costs) {
      if (cost.at("cpu_us").is_null()) {
        EXPECT_EQ(cost.at("why_not"), "no notifier");
        continue;
      }
      expect_positive(cost.at("cpu_us"));
      expect_summary(cost.at("waited_us"));
      EXPECT_GE(cost.at("waited_us").at("min"), 0);
      EXPECT_GE(cost.at("notifications"), cost.at("cpu_us").at("samples"));
      // What a call of the process takes has the notifier in it.
      EXPECT_LE(
          cost.at("cpu_us").at("min").get<double>() + cost.at("waited_us").at("min").get<double>(),
          cost.at("call_us").at("max"));
    }
  }
}

}  // namespace
}  // namespace figment::guest
