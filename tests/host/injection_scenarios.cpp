// SPDX-License-Identifier: MIT
//
// GPUs that misbehave because the host says so: from the start, and while the guest runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>

#include "deterministic.h"
#include "scenario.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

// What the tests in the guest say, so that nobody takes it for results of these.
std::string quoted_lines(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) out += "guest: " + line + "\n";
  return out;
}

// The folder of the logs of the guest that has `word` on its command line.
fs::path folder_of_guest(const std::string& word) {
  constexpr std::string_view kMark = "id=console,path=";
  for (const pid_t process : processes_with(word)) {
    const std::string words = read_file(fs::path("/proc") / std::to_string(process) / "cmdline");
    const std::size_t begin = words.find(kMark);
    if (begin == words.npos) continue;
    const std::string path = words.substr(begin + kMark.size());
    return fs::path(path.substr(0, path.find('\0'))).parent_path();
  }
  throw Failure("no guest has " + word);
}

// One guest for all of it, as it takes long to boot: the second GPU goes away, and the host brings
// it back. The test in the guest looks what the driver makes of that.
TEST(Inject, a_device_that_is_gone_comes_back_when_the_host_says_so) {
  const std::string word = "figment_inject=" + std::to_string(getpid());
  Figment guest({"run", "--append", word, "--gpus", "2", "--inject", "removed,after=1000000000",
                 "--", "figment-guest-tests", "--gtest_filter=Removal.*"});
  ASSERT_TRUE(eventually([&] { return guest.out().contains("the device is gone"); }))
      << quoted_lines(guest.out()) << guest.err();
  const fs::path folder = folder_of_guest(word);
  const auto inject = [&](Argv arguments) {
    const Argv front{"inject", "--guest", folder};
    arguments.insert(arguments.begin(), front.begin(), front.end());
    return run_figment(arguments);
  };

  // Armed before anything ran: it has seen the driver of the first GPU begin.
  Finished said = inject({"show"});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.out, ContainsRegex("^0: removed,after=1000000000: struck 0 of [0-9][0-9]"));
  said = inject({"--gpu", "1", "show"});
  EXPECT_THAT(said.out, ContainsRegex("^0: removed: struck [1-9]"));

  said = inject({"--gpu", "1", "hang,queue=frob"});
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.err, AllOf(HasSubstr("queue=frob"), HasSubstr("no number")));
  said = inject({"--gpu", "2", "hang"});
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.err, HasSubstr("no GPU 2"));

  said = inject({"--gpu", "1", "clear", "hang,queue=3", "show"});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(said.out, "0: hang,queue=3: struck 0 of 0\n");
  const Finished end = guest.finish();
  EXPECT_EQ(end.status, 0) << quoted_lines(end.out) << end.err;
  EXPECT_THAT(end.out, HasSubstr("[  PASSED  ] 1 test"));

  // It has ended, and takes nothing any more.
  said = inject({"show"});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr(folder.filename().string()));
}

TEST(Inject, a_rule_that_is_wrong_ends_the_run_before_it_begins) {
  const Finished run = run_figment({"run", "--inject", "hnag", "--", "true"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("'hnag'"), HasSubstr("hang")));
}

// Rules strike at the same moments in each run of a seed, and the guest sees that they are there.
TEST(Inject, the_same_seed_misbehaves_in_the_same_way) {
  const Argv arguments{"run",
                       "--seed",
                       "6",
                       "--inject",
                       "interrupt-late,chance=300000,value=200000",
                       "--",
                       "sh",
                       "-c",
                       "figment-guest-tests --gtest_filter=QueueTest.works*; "
                       "cat /sys/kernel/debug/dri/0000*/inject"};
  const Finished one = run_figment(arguments), two = run_figment(arguments);
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, ContainsRegex("0: \\(armed by the host\\): struck [1-9]"));
  EXPECT_EQ(first_difference(one.out, two.out), "");
}

}  // namespace
}  // namespace figment::host
