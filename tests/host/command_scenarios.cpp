// SPDX-License-Identifier: MIT
//
// Scenarios of the command line, the cache and doctor: no guest boots here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <regex>

#include "cache.h"
#include "scenario.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Mistake {
  const char* name;
  Argv arguments;
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, end_with_2_and_one_line_and_start_nothing) {
  const Finished run = run_figment(GetParam().arguments);
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.out, "");
  // But for the progress of what has to be compiled to know the names of tests.
  const std::string said =
      std::regex_replace(run.err, std::regex("figment: (programs|fuzzers): .*\n"), "");
  EXPECT_EQ(std::ranges::count(said, '\n'), 1) << run.err;
  EXPECT_TRUE(said.starts_with("figment: ")) << run.err;
}

INSTANTIATE_TEST_SUITE_P(
    Each, Mistakes,
    testing::Values(Mistake{"no_command", {}}, Mistake{"unknown_command", {"fly"}},
                    Mistake{"unknown_option", {"run", "--fly", "--", "true"}},
                    Mistake{"bad_value", {"run", "--cpus", "many", "--", "true"}},
                    Mistake{"share_is_no_folder", {"run", "--share", "/no/such/folder", "--", "true"}},
                    Mistake{"unknown_part", {"build", "castle"}},
                    Mistake{"unknown_test", {"test", "no-test-has-this-name"}}),
    [](const auto& info) { return std::string{info.param.name}; });

TEST(DryRun, prints_the_command_line_of_qemu_and_nothing_else) {
  const Finished run = run_figment({"run", "--dry-run", "--cpus", "3", "--gpus", "2", "--gpu",
                                    "engines=4", "--append", "frob=1", "--", "true"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(std::ranges::count(run.out, '\n'), 1);
  EXPECT_THAT(run.out,
              AllOf(HasSubstr("qemu-system-x86_64 "), HasSubstr("-smp 3"), HasSubstr("frob=1"),
                    HasSubstr("figment,id=gpu0,model="), HasSubstr("engines=4")));
  EXPECT_EQ(run.err, "");
}

// With an empty cache it says where everything would be, and the cache stays empty.
TEST(DryRun, makes_nothing) {
  const TemporaryFolder cache;
  const Finished run = run_figment({"run", "--dry-run", "--", "true"}, {},
                                   {"FIGMENT_CACHE=" + cache.path().string()});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr(cache.path().string()));
  EXPECT_TRUE(fs::is_empty(cache.path()));
}

TEST(Build, that_is_killed_leaves_no_entry_and_the_next_one_makes_it) {
  const TemporaryFolder folder;
  const Cache cache(folder.path());
  const std::vector<std::string> environment{"FIGMENT_CACHE=" + folder.path().string()};
  {
    Figment figment({"build", "kernel"}, {}, environment);
    ASSERT_TRUE(eventually([&] { return !cache.leftovers().empty(); })) << figment.err();
    kill(figment.pid(), SIGKILL);
    EXPECT_EQ(figment.finish().status, 128 + SIGKILL);
  }
  EXPECT_THAT(cache.entries("kernel"), IsEmpty());
  const Finished doctor = run_figment({"doctor"}, {}, environment);
  EXPECT_THAT(doctor.out, AllOf(ContainsRegex("kernel +missing"), HasSubstr("interrupted")));

  const Finished build = run_figment({"build", "kernel"}, {}, environment);
  EXPECT_EQ(build.status, 0) << build.err;
  EXPECT_THAT(cache.entries("kernel"), SizeIs(1));
  EXPECT_THAT(cache.leftovers(), IsEmpty());
  EXPECT_THAT(run_figment({"doctor"}, {}, environment).out, ContainsRegex("kernel +ready"));
}

TEST(Build, two_at_a_time_make_one_entry) {
  const TemporaryFolder folder;
  const std::vector<std::string> environment{"FIGMENT_CACHE=" + folder.path().string()};
  Figment first({"build", "kernel"}, {}, environment);
  Figment second({"build", "kernel"}, {}, environment);
  const Finished one = first.finish(), two = second.finish();
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(two.status, 0) << two.err;
  EXPECT_THAT(Cache(folder.path()).entries("kernel"), SizeIs(1));
  // One made it and the other one waited.
  EXPECT_THAT(one.err + two.err, HasSubstr("waiting for another run"));
}

TEST(Kernel, a_folder_without_a_kernel_is_told_apart) {
  const TemporaryFolder folder;
  const Finished run = run_figment({"run", "--kernel", folder.path(), "--", "true"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("no kernel was built there"));
}

TEST(Kernel, options_that_a_guest_needs_are_named) {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() / "include/config");
  write_file(folder.path() / "include/config/kernel.release", "7.3.0-mine\n");
  write_file(folder.path() / ".config", "CONFIG_MODULES=y\n# CONFIG_EROFS_FS is not set\n");
  const Finished run = run_figment({"run", "--kernel", folder.path(), "--", "true"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("CONFIG_EROFS_FS"), HasSubstr("CONFIG_9P_FS")));
  EXPECT_THAT(run.err, testing::Not(HasSubstr("CONFIG_MODULES")));
}

}  // namespace
}  // namespace figment::host
