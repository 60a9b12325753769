// SPDX-License-Identifier: MIT
//
// What is made of fdinfo: of what the kernel writes, and of what it would never write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <format>
#include <fstream>

#include "usage.h"

namespace figment::top {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr std::string_view kInfo =
    "pos:\t0\nflags:\t02400002\nmnt_id:\t26\nino:\t312\n"
    "drm-driver:\tfigment\n"
    "drm-client-id:\t7\n"
    "drm-pdev:\t0000:00:04.0\n"
    "drm-client-name:\tpainter\n"
    "drm-engine-figment:\t1500 ns\n"
    "drm-engine-capacity-figment:\t2\n"
    "drm-total-memory:\t3 MiB\n"
    "drm-shared-memory:\t0\n"
    "drm-active-memory:\t1 MiB\n"
    "drm-resident-memory:\t2048 KiB\n"
    "drm-total-vram:\t4096\n"
    "figment-svm-vram:\t8 KiB\n";

Client parsed(const std::string& lines) {
  const auto client = parse_fdinfo("drm-driver:\tfigment\n" + lines);
  EXPECT_TRUE(client);
  return client.value_or(Client{});
}

TEST(Fdinfo, tells_who_it_is_and_what_it_uses) {
  const auto client = parse_fdinfo(kInfo);
  ASSERT_TRUE(client);
  EXPECT_EQ(client->id, 7u);
  EXPECT_EQ(client->gpu, "0000:00:04.0");
  EXPECT_EQ(client->name, "painter");
  ASSERT_THAT(client->engines, SizeIs(1));
  EXPECT_EQ(client->engines.at("figment"), (Engine{.busy_ns = 1500, .capacity = 2}));
  ASSERT_THAT(client->regions, SizeIs(2));
  EXPECT_EQ(client->regions.at("memory"),
            (Region{.total = 3u << 20, .resident = 2u << 20, .active = 1u << 20}));
  EXPECT_EQ(client->regions.at("vram"), (Region{.total = 4096}));
  EXPECT_EQ(client->svm_vram, 8192u);
}

TEST(Fdinfo, of_other_drivers_and_files_is_none_of_ours) {
  EXPECT_FALSE(parse_fdinfo(""));
  EXPECT_FALSE(parse_fdinfo("pos:\t0\n"));
  EXPECT_FALSE(parse_fdinfo("drm-driver:\tvgem\ndrm-client-id:\t1\n"));
  EXPECT_FALSE(parse_fdinfo("drm-driver:\tfigment2\n"));
  // A client that is called so.
  EXPECT_FALSE(parse_fdinfo("drm-driver:\tvgem\ndrm-client-name:\tx\ndrm-driver:\tfigment\n"));
  EXPECT_TRUE(parse_fdinfo("drm-driver:\tvgem\n", "vgem"));
}

TEST(Fdinfo, numbers_that_are_none_do_not_count) {
  for (const char* amount : {"", "-1 ns", "x ns", "1.5 ns", "5", "5 ms", "5ns", "0x10 ns",
                             "99999999999999999999999 ns", "ns 5"}) {
    EXPECT_THAT(parsed(std::format("drm-engine-a:\t{}\n", amount)).engines, SizeIs(0)) << amount;
  }
  for (const char* amount : {"", "-1", "1 GiB", "1KiB", "18446744073709551615 KiB", "KiB"}) {
    EXPECT_THAT(parsed(std::format("drm-total-a:\t{}\n", amount)).regions, SizeIs(0)) << amount;
  }
  EXPECT_EQ(parsed("drm-client-id:\tseven\n").id, 0u);
  EXPECT_EQ(parsed("drm-total-a:\t18446744073709551615\n").regions.at("a").total, ~0ull);
}

TEST(Fdinfo, an_engine_is_one_unless_it_says_how_many) {
  EXPECT_EQ(parsed("drm-engine-a:\t1 ns\n").engines.at("a").capacity, 1u);
  EXPECT_EQ(parsed("drm-engine-a:\t1 ns\ndrm-engine-capacity-a:\t0\n").engines.at("a").capacity,
            1u);
}

TEST(Fdinfo, of_two_lines_with_one_key_the_first_counts) {
  EXPECT_EQ(parsed("drm-engine-a:\t1 ns\ndrm-engine-a:\t2 ns\n").engines.at("a").busy_ns, 1u);
}

TEST(Fdinfo, may_be_anything) {
  EXPECT_THAT(parsed("drm-engine-:\t1 ns\ndrm-total-:\t1\n:\n::\n\n-\ndrm-\n").engines, SizeIs(0));
  std::string many;
  for (int n = 0; n < 100'000; ++n) many += std::format("drm-engine-e{}:\t1 ns\n", n);
  EXPECT_LE(parsed(many).engines.size(), 64u);
  // Cut off anywhere.
  for (std::size_t length = 0; length <= kInfo.size(); ++length) {
    std::ignore = parse_fdinfo(kInfo.substr(0, length));
  }
  std::string noise(65536, '\0');
  unsigned seed = 1;
  for (char& c : noise) {
    seed = seed * 1664525u + 1013904223u;
    c = "drm-engine:\n\t 0192ns\xff"[(seed >> 16) % 21];
  }
  std::ignore = parse_fdinfo("drm-driver:\tfigment\n" + noise);
}

Sample sample(unsigned milliseconds, std::vector<Process> processes) {
  return {.time = std::chrono::steady_clock::time_point(std::chrono::milliseconds(milliseconds)),
          .processes = std::move(processes)};
}

Client busy(std::uint64_t id, std::uint64_t ns) {
  return {.id = id,
          .gpu = "g",
          .name = "",
          .engines = {{"figment", {.busy_ns = ns, .capacity = 2}}},
          .regions = {{"vram", {.total = 100, .resident = 50}}}};
}

TEST(Usage, is_of_the_time_between_and_of_all_engines) {
  const auto uses = usage_between(
      sample(0, {{1, "a", {busy(1, 1'000'000)}}, {2, "b", {busy(2, 0)}}}),
      sample(10,
             {{1, "a", {busy(1, 1'000'000)}}, {2, "b", {busy(2, 5'000'000), busy(3, 9'000'000)}}}));
  ASSERT_THAT(uses, SizeIs(2));
  EXPECT_EQ(uses[0].pid, 2u) << "the busiest first";
  EXPECT_EQ(uses[0].clients, 2u);
  EXPECT_DOUBLE_EQ(uses[0].engines.at("figment").percent, 25)
      << "half of the time on one of two engines; when a new client's jobs ran, nobody knows";
  EXPECT_EQ(uses[0].regions.at("vram").total, 200u);
  EXPECT_EQ(uses[1].engines.at("figment").percent, 0);
}

TEST(Usage, a_counter_may_go_back_and_time_may_stand_still) {
  const auto uses =
      usage_between(sample(5, {{1, "a", {busy(1, 9)}}}), sample(5, {{1, "a", {busy(1, 3)}}}));
  ASSERT_THAT(uses, SizeIs(1));
  EXPECT_EQ(uses[0].engines.at("figment").percent, 0);
}

TEST(Usage, sums_do_not_overflow) {
  Client large = busy(1, ~0ull), larger = busy(2, ~0ull);
  large.regions["vram"].total = larger.regions["vram"].total = ~0ull;
  const auto uses = usage_between(sample(0, {{1, "a", {busy(1, 0), busy(2, 0)}}}),
                                  sample(1, {{1, "a", {large, larger}}}));
  EXPECT_EQ(uses.at(0).regions.at("vram").total, ~0ull);
  EXPECT_EQ(uses.at(0).engines.at("figment").busy_ns, ~0ull);
}

TEST(Table, does_not_let_names_through_that_move_the_cursor) {
  Client client = busy(1, 0);
  client.name = "\033[2Jx\xff";
  const auto uses = usage_between(sample(0, {}), sample(1, {{1, "a\nb", {client}}}));
  const std::string table = to_table(uses);
  EXPECT_THAT(table, HasSubstr("a?b (?[2Jx?)"));
  EXPECT_THAT(table, Not(HasSubstr("\033")));
  // And JSON is JSON, whatever a process is called.
  const std::string text =
      to_json(uses).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  EXPECT_EQ(nlohmann::json::parse(text).at(0).at("process"), "a\nb");
}

/// A folder in the form of /proc.
class FakeProc : public testing::Test {
 protected:
  FakeProc() {
    std::string folder = (fs::temp_directory_path() / "figment-top-XXXXXX").string();
    if (!::mkdtemp(folder.data())) throw std::system_error(errno, std::generic_category(), folder);
    proc_ = folder;
  }
  ~FakeProc() override { fs::remove_all(proc_); }

  void open_file(const std::string& pid, int fd, const std::string& target, std::string_view info) {
    fs::create_directories(proc_ / pid / "fd");
    fs::create_directories(proc_ / pid / "fdinfo");
    fs::create_symlink(target, proc_ / pid / "fd" / std::to_string(fd));
    std::ofstream(proc_ / pid / "fdinfo" / std::to_string(fd)) << info;
    std::ofstream(proc_ / pid / "comm") << "name-" << pid << "\n";
  }

  fs::path proc_;
};

TEST_F(FakeProc, has_clients_in_some_of_its_processes) {
  open_file("10", 3, "/dev/dri/renderD128", kInfo);
  open_file("10", 4, "/dev/dri/renderD128", kInfo);  // the same one again
  open_file("9", 3, "/dev/null", kInfo);             // it only looks like one
  open_file("11", 3, "/dev/dri/renderD128", kInfo);  // inherited
  open_file("self", 3, "/dev/dri/renderD128", kInfo);
  fs::create_directories(proc_ / "12");  // it has just ended
  const Sample taken = take_sample(proc_);
  ASSERT_THAT(taken.processes, SizeIs(1));
  EXPECT_EQ(taken.processes[0].pid, 10u);
  EXPECT_EQ(taken.processes[0].name, "name-10");
  EXPECT_THAT(taken.processes[0].clients, SizeIs(1));
}

TEST_F(FakeProc, may_not_be_there) {
  EXPECT_THAT(take_sample(proc_ / "none").processes, SizeIs(0));
}

}  // namespace
}  // namespace figment::top
