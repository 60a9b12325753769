// SPDX-License-Identifier: MIT
//
// Scenarios of run and shell: each boots a guest, most of them one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "scenario.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

std::string numbers(unsigned last) {
  std::string text;
  for (unsigned i = 1; i <= last; ++i) text += std::to_string(i) + "\n";
  return text;
}

// The path after "console log: " in what ./figment said.
fs::path console_log(const std::string& said) {
  constexpr std::string_view kMark = "console log: ";
  const std::size_t at = said.find(kMark);
  if (at == said.npos) return {};
  const std::size_t begin = at + kMark.size();
  return said.substr(begin, said.find('\n', begin) - begin);
}

// A word that is on the command line of QEMU and of nobody else.
std::string unique_word() {
  static int number = 0;
  return "figment_scenario=" + std::to_string(getpid()) + "_" + std::to_string(++number);
}

TEST(Run, stdout_and_stderr_arrive_separately_and_complete) {
  const Finished run = run_figment(
      {"run", "--", "sh", "-c", "seq 400000 & seq 300000 >&2; wait; exit 7"});
  EXPECT_EQ(run.status, 7);
  EXPECT_TRUE(run.out == numbers(400000)) << run.out.size() << " bytes";
  EXPECT_TRUE(run.err == numbers(300000)) << run.err.size() << " bytes";
}

TEST(Run, piped_input_reaches_the_command) {
  std::string input;
  for (unsigned i = 0; i < 1'500'000; ++i) input += static_cast<char>(i * 2654435761u >> 24);
  const Finished run = run_figment({"run", "--", "cat"}, input);
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_TRUE(run.out == input) << run.out.size() << " bytes";
}

TEST(Run, a_command_that_is_not_there_is_127_and_a_signal_128_and_more) {
  EXPECT_EQ(run_figment({"run", "--", "no-such-command"}).status, 127);
  EXPECT_EQ(run_figment({"run", "--", "sh", "-c", "kill -TERM $$"}).status, 128 + SIGTERM);
}

TEST(Run, a_kernel_report_is_3_and_log_and_command_are_named) {
  const Finished run = run_figment(
      {"run", "--cpus", "1", "--", "sh", "-c", "echo 'WARNING: planted by a test' > /dev/kmsg"});
  EXPECT_EQ(run.status, 3);
  EXPECT_THAT(run.err, HasSubstr("again: ./figment run --cpus 1 -- sh -c "));
  EXPECT_THAT(run.err, HasSubstr("WARNING: planted by a test"));
  ASSERT_TRUE(fs::exists(console_log(run.err))) << run.err;
  EXPECT_THAT(read_file(console_log(run.err)), HasSubstr("planted by a test"));
}

TEST(Run, a_guest_that_dies_is_3_and_what_it_said_before_is_there) {
  const Finished run =
      run_figment({"run", "--", "sh", "-c", "echo before; sleep 1; echo c > /proc/sysrq-trigger"});
  EXPECT_EQ(run.status, 3);
  EXPECT_EQ(run.out, "before\n");
  EXPECT_THAT(run.err, AllOf(HasSubstr("died"), HasSubstr("sysrq triggered crash")));
}

TEST(Run, a_timeout_is_124) {
  const std::string word = unique_word();
  const Finished run =
      run_figment({"run", "--append", word, "--timeout", "20", "--", "sleep", "1000"});
  EXPECT_EQ(run.status, 124);
  EXPECT_THAT(run.err, HasSubstr("timeout after 20 s"));
  EXPECT_THAT(processes_with(word), IsEmpty());
}

// Output puts the end off; what is silent longer than that is ended, long before the other limit.
TEST(Run, a_command_that_falls_silent_is_124_and_one_that_talks_goes_on) {
  const Finished run = run_figment({"run", "--silence", "6", "--timeout", "300", "--", "sh", "-c",
                                    "for n in 1 2 3 4; do echo $n; sleep 2; done; sleep 1000"});
  EXPECT_EQ(run.status, 124);
  EXPECT_EQ(run.out, "1\n2\n3\n4\n");
  EXPECT_THAT(run.err, HasSubstr("no output for 6 s"));
}

class Ended : public testing::TestWithParam<int> {};

// SIGKILL too: then nobody cleans up, and still nothing is left.
TEST_P(Ended, by_a_signal_leaves_no_process) {
  const std::string word = unique_word();
  Figment figment({"run", "--append", word, "--", "sh", "-c", "echo up; sleep 1000"});
  ASSERT_TRUE(eventually([&] { return figment.out() == "up\n"; })) << figment.err();
  ASSERT_THAT(processes_with(word), Not(IsEmpty()));
  kill(figment.pid(), GetParam());
  EXPECT_EQ(figment.finish().status, 128 + GetParam());
  EXPECT_TRUE(eventually([&] { return processes_with(word).empty(); }));
}

INSTANTIATE_TEST_SUITE_P(Each, Ended, testing::Values(SIGINT, SIGTERM, SIGKILL),
                         [](const auto& info) -> std::string {
                           return info.param == SIGINT    ? "interrupt"
                                  : info.param == SIGTERM ? "terminate"
                                                          : "kill";
                         });

TEST(Run, the_machine_is_as_asked_for) {
  const Finished run = run_figment(
      {"run", "--cpus", "3", "--mem", "768M", "--gpus", "2", "--gpu", "engines=4,queues=16",
       "--append", "frob=1", "--", "sh", "-c",
       "nproc; ls /dev/dri | grep -c render; grep -o frob=1 /proc/cmdline; "
       "awk '/MemTotal/ { print ($2 > 500000 && $2 < 786432) }' /proc/meminfo; "
       "figment-info --gpu 1 | grep -E '^ *(engines|queues) '"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, testing::MatchesRegex("3\n2\nfrob=1\n1\n *engines +4\n *queues +16\n"));
}

TEST(Run, without_a_gpu_there_is_no_driver) {
  const Finished run = run_figment({"run", "--gpus", "0", "--", "sh", "-c", "! lsmod | grep figment"});
  EXPECT_EQ(run.status, 0) << run.out << run.err;
}

TEST(Run, the_model_runs_on_the_virtual_clock_too) {
  const Finished run = run_figment({"run", "--gpu", "executor=clock", "--", "figment-info"});
  EXPECT_EQ(run.status, 0) << run.err;
}

TEST(Run, shares_can_be_written_and_the_checkout_cannot) {
  const TemporaryFolder folder;
  write_file(folder.path() / "from-host", "h");
  const std::string checkout = figment_command().parent_path();
  const Finished run = run_figment(
      {"run", "--share", folder.path().string() + ":/mnt/it", "--", "sh", "-c",
       "cat /mnt/it/from-host && echo g > /mnt/it/from-guest && test -x " + checkout +
           "/figment && ! touch " + checkout + "/from-guest 2>/dev/null"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.out, "h");
  EXPECT_EQ(read_file(folder.path() / "from-guest"), "g\n");
}

TEST(Run, two_guests_at_a_time_do_not_meet) {
  Figment first({"run", "--", "echo", "first"});
  Figment second({"run", "--", "echo", "second"});
  const Finished one = first.finish(), two = second.finish();
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(two.status, 0) << two.err;
  EXPECT_EQ(one.out, "first\n");
  EXPECT_EQ(two.out, "second\n");
}

// A pseudo-terminal stands in for the user's.
TEST(Shell, has_a_terminal_of_our_size_with_job_control) {
  const std::string command = figment_command();
  winsize size{};
  size.ws_row = 33, size.ws_col = 77;
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    execl(command.c_str(), "figment", "shell", nullptr);
    _exit(127);
  }
  std::string screen;
  const auto read_until = [&](const std::string& text) {
    const auto limit = Clock::now() + std::chrono::minutes(5);
    while (!screen.contains(text) && wait_readable(terminal, limit)) {
      std::array<char, 4096> buffer;
      const ssize_t n = read(terminal, buffer.data(), buffer.size());
      if (n <= 0) return screen.contains(text);
      screen.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return screen.contains(text);
  };
  const auto type = [&](const std::string& text) {
    ASSERT_EQ(write(terminal, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  ASSERT_TRUE(read_until("# ")) << screen;
  type("stty size; tty\n");
  EXPECT_TRUE(read_until("33 77")) << screen;
  EXPECT_TRUE(read_until("/dev/pts/")) << screen;
  // Ctrl-C ends the guest's command and neither the shell nor ./figment; Ctrl-Z stops it.
  type("sleep 1000; echo status $((100 + $?))\n");
  ASSERT_TRUE(read_until("sleep 1000; echo"));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  type("\x03");
  type("echo still $((40 + 2))\n");
  EXPECT_TRUE(read_until("still 42")) << screen;
  type("sleep 1000\n");
  std::this_thread::sleep_for(std::chrono::seconds(1));
  type("\x1a");
  EXPECT_TRUE(read_until("Stopped")) << screen;
  type("kill %1; exit 9\n");
  // The shell may first warn of the stopped job.
  type("exit 9\n");
  while (read_until("no such text")) {
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 9) << screen;
  close(terminal);
}

TEST(Shell, without_a_terminal_is_a_usage_error) {
  const Finished run = run_figment({"shell"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("terminal"));
}

}  // namespace
}  // namespace figment::host
