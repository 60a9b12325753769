// SPDX-License-Identifier: MIT
#include "process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "temporary_folder.h"

namespace figment::host {
namespace {

TEST(Capture, has_all_output_and_the_status) {
  const Output output = capture({"sh", "-c", "head -c 3000000 /dev/zero; exit 5"});
  EXPECT_EQ(output.text.size(), 3'000'000u);
  EXPECT_EQ(output.status, 5);
}

TEST(Capture, a_program_that_is_not_there_is_a_failure_with_its_name) {
  EXPECT_THROW(capture({"/nowhere/at/all"}), Failure);
}

TEST(Child, a_signal_shows_in_the_status) {
  Child child({"sleep", "1000"}, {});
  EXPECT_FALSE(child.poll());
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 128 + SIGTERM);
}

// The grandchild is in the group of its parent, which knows nothing of it.
TEST(Child, its_end_takes_its_own_children_along) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "pid";
  {
    Child child({"sh", "-c", "sleep 1000 & echo $! > " + file.string() + "; wait"}, {});
    while (!fs::exists(file) || fs::file_size(file) == 0) std::this_thread::yield();
  }
  pid_t pid = 0;
  std::ifstream(file) >> pid;
  ASSERT_GT(pid, 0);
  // A zombie until somebody collects it; what counts is that it does not run.
  const auto runs = [&] {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string word;
    char state = 'X';
    stat >> word >> word >> state;
    return stat && state != 'Z' && state != 'X';
  };
  const auto limit = Clock::now() + std::chrono::seconds(30);
  while (runs() && Clock::now() < limit) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(runs());
}

TEST(Quoted, is_read_back_by_a_shell) {
  const Argv argv{"printf", "%s\\n", "it's", "a b", "", "$HOME", "x=1,y"};
  const Output output = capture({"sh", "-c", quoted(argv)});
  EXPECT_EQ(output.text, "it's\na b\n\n$HOME\nx=1,y\n");
}

TEST(WriteFile, replaces_whole_files) {
  const TemporaryFolder folder;
  write_file(folder.path() / "f", "one and more");
  write_file(folder.path() / "f", "two");
  EXPECT_EQ(read_file(folder.path() / "f"), "two");
}

}  // namespace
}  // namespace figment::host
