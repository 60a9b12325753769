// SPDX-License-Identifier: MIT
//
// Scenarios of deterministic machines: the same seed is the same run to the last byte, another seed
// is another run, and a debugger meets both at the same instruction.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "deterministic.h"
#include "scenario.h"
#include "source_copy.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// All that a seeded run leaves behind.
struct SeededRun {
  Finished finished;
  std::string console;
  std::string trace;
};

// What ./figment says of its own is of the moment: where the logs are, what it waits for.
std::string without_own_words(const std::string& err, fs::path& logs) {
  std::string rest;
  for (std::size_t at = 0; at < err.size();) {
    const std::size_t end = std::min(err.find('\n', at), err.size());
    const std::string line = err.substr(at, end - at);
    constexpr std::string_view kLogs = "logs in ";
    if (line.starts_with("figment: ")) {
      const std::size_t mark = line.find(kLogs);
      if (mark != line.npos) logs = line.substr(mark + kLogs.size());
    } else {
      rest += line + "\n";
    }
    at = end + 1;
  }
  return rest;
}

// A seeded run that is under way. A deterministic machine has one thread, so two are as fast as one.
class RunningSeed {
 public:
  // Returns when the machine is about to start, so that two do not wait for each other's builds.
  RunningSeed(unsigned seed, const Argv& command) : figment_(arguments(seed, command)) {
    if (!eventually([&] { return figment_.err().contains("logs in "); })) {
      throw Failure("the machine does not start: " + figment_.err());
    }
  }

  SeededRun finish() {
    SeededRun run{.finished = figment_.finish(), .console = {}, .trace = {}};
    fs::path logs;
    const std::string rest = without_own_words(run.finished.err, logs);
    if (logs.empty()) throw Failure("no folder of logs is named: " + run.finished.err);
    run.finished.err = rest;
    run.console = read_file(logs / "console.log");
    run.trace = read_file(trace());
    return run;
  }

 private:
  fs::path trace() const { return folder_.path() / "trace"; }
  Argv arguments(unsigned seed, const Argv& command) const {
    Argv argv{"run", "--seed", std::to_string(seed), "--trace", trace(), "--"};
    std::ranges::copy(command, std::back_inserter(argv));
    return argv;
  }

  TemporaryFolder folder_;
  Figment figment_;
};

// The device's trace without times: what happened, in its order.
std::string order_of_events(const std::string& trace) {
  std::string order;
  for (std::size_t at = 0; at < trace.size();) {
    const std::size_t end = std::min(trace.find('\n', at), trace.size());
    order += trace.substr(at + std::min<std::size_t>(14, end - at), end - at - 14) + "\n";
    at = end + 1;
  }
  return order;
}

struct Workload {
  const char* name;
  Argv command;
  const char* says;  // in its output
};

void PrintTo(const Workload& workload, std::ostream* out) { *out << workload.name; }

class Determinism : public testing::TestWithParam<Workload> {};

TEST_P(Determinism, the_same_seed_is_the_same_run_to_the_last_byte) {
  RunningSeed first(11, GetParam().command), second(11, GetParam().command);
  const SeededRun one = first.finish(), two = second.finish();
  EXPECT_THAT(one.finished.out, HasSubstr(GetParam().says));
  EXPECT_EQ(one.finished.status, 0) << one.finished.out << one.finished.err;
  // There is something to compare.
  EXPECT_THAT(one.console, HasSubstr("Linux version"));
  EXPECT_THAT(one.trace, HasSubstr("doorbell"));

  EXPECT_EQ(two.finished.status, one.finished.status);
  EXPECT_EQ(first_difference(one.finished.out, two.finished.out), "");
  EXPECT_EQ(first_difference(one.finished.err, two.finished.err), "");
  EXPECT_EQ(first_difference(one.console, two.console), "");
  EXPECT_EQ(first_difference(one.trace, two.trace), "");
}

INSTANTIATE_TEST_SUITE_P(
    Each, Determinism,
    testing::Values(Workload{"guest_tests",
                             {"figment-guest-tests", "--gtest_filter=QueueTest.works*:QueueTest.all_work*"},
                             "[  PASSED  ]"},
                    Workload{"fence_under_fork_stress",
                             {"figment-stress", "--strategy", "fence", "--seconds", "2"},
                             "fence"},
                    Workload{"unsafe_under_fork_stress",
                             {"figment-stress", "--strategy", "unsafe", "--seconds", "2"},
                             "unsafe"}),
    [](const auto& info) { return std::string{info.param.name}; });

TEST(Seed, another_seed_is_another_order_of_events) {
  const Argv command{"figment-stress", "--strategy", "fence", "--scenario", "both", "--seconds", "1"};
  RunningSeed first(1, command), second(2, command);
  const SeededRun one = first.finish(), two = second.finish();
  EXPECT_EQ(one.finished.status, 0) << one.finished.err;
  EXPECT_EQ(two.finished.status, 0) << two.finished.err;
  const std::string order_one = order_of_events(one.trace), order_two = order_of_events(two.trace);
  EXPECT_THAT(order_one, HasSubstr("doorbell"));
  EXPECT_NE(order_one, order_two);
}

// What a debugger sees at a breakpoint of the driver: registers, instructions, virtual time.
constexpr const char* kSeen = "that is all";
std::string at_breakpoint(const fs::path& socket) {
  Figment figment({"run", "--seed", "3", "--gdb", socket, "--", "figment-info"});
  if (!eventually([&] { return figment.err().contains("add-symbol-file") && fs::exists(socket); })) {
    throw Failure("the machine does not wait: " + figment.err());
  }
  const std::string said = figment.err();
  std::smatch found;
  if (!std::regex_search(said, found, std::regex("'(add-symbol-file [^']+)'"))) {
    throw Failure("no line to attach with: " + said);
  }
  const std::string conductor = "monitor qom-get /machine/peripheral/conductor ";
  const Output gdb = capture({"gdb", "-nx", "-batch", "-ex", "set confirm off", "-ex", found[1].str(),
                              "-ex", "target remote " + socket.string(), "-ex",
                              "hbreak figment_dev_query_ioctl", "-ex", "continue", "-ex",
                              conductor + "instructions", "-ex", conductor + "virtual-ns", "-ex",
                              "info registers rip rsp rdi rsi eflags", "-ex",
                              std::string{"echo "} + kSeen + "\\n", "-ex", "kill"},
                             {}, true);
  figment.finish();
  // What follows is how the connection ended: the host's affair, and never the same twice.
  const std::size_t end = gdb.text.find(std::string{"\n"} + kSeen);
  if (end == gdb.text.npos) throw Failure("the debugger did not get to the end: " + gdb.text);
  return gdb.text.substr(0, end);
}

TEST(Gdb, meets_the_same_seed_at_the_same_instruction) {
  const TemporaryFolder folder;
  const std::string one = at_breakpoint(folder.path() / "one");
  EXPECT_THAT(one, HasSubstr("Breakpoint 1, "));
  EXPECT_THAT(one, HasSubstr("rip "));
  // Both lines of the monitor are there.
  EXPECT_TRUE(std::regex_search(one, std::regex("\n[0-9]{8,}\r?\n[0-9]{9,}\r?\n"))) << one;
  std::string two = at_breakpoint(folder.path() / "two");
  EXPECT_EQ(first_difference(one, two), "");
}

// --- explore ---

std::string again_line(const std::string& out) {
  constexpr std::string_view kMark = "  again: ./figment ";
  const std::size_t at = out.find(kMark);
  if (at == out.npos) return {};
  const std::size_t begin = at + kMark.size();
  return out.substr(begin, out.find('\n', begin) - begin);
}

TEST(Explore, tells_a_failure_with_the_command_that_runs_it_again) {
  const TemporaryFolder folder;
  const fs::path json = folder.path() / "result.json";
  const Finished run = run_figment({"explore", "--seeds", "5..8", "--jobs", "1", "--json", json, "--",
                                    "sh", "-c", "figment-info >/dev/null; echo no luck; exit 9"});
  EXPECT_EQ(run.status, 1) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("seed 5: status 9"), HasSubstr("the same to the last byte"),
                             HasSubstr("no luck"), HasSubstr("last events of the GPU"),
                             HasSubstr("1 seeds, 1 failed")));
  EXPECT_THAT(again_line(run.out), testing::StartsWith("explore --seeds 5..5 -- sh -c "));
  const auto result = nlohmann::json::parse(read_file(json));
  EXPECT_EQ(result.at("until_first"), 1);
  EXPECT_EQ(result.at("failures").at(0).at("seed"), 5);
  EXPECT_EQ(result.at("failures").at(0).at("status"), 9);
}

TEST(Explore, a_driver_that_is_right_has_no_bad_seed) {
  const Finished run =
      run_figment({"explore", "--seeds", "1..8", "--", "figment-stress", "--strategy", "fence",
                   "--scenario", "both", "--seconds", "0.3"});
  EXPECT_EQ(run.status, 0) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("8 seeds, 0 failed"));
}

TEST(Explore, ends_a_seed_that_hangs_by_the_guest_s_time) {
  const Finished run = run_figment({"explore", "--seeds", "1", "--limit", "5", "--", "sleep", "1000"});
  EXPECT_EQ(run.status, 1) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("did not end within 5000 ms of its time"),
                             HasSubstr("the same to the last byte")));
}

// --- bugs that need bad luck ---

// The scenario in the header of a mutant's patch, in words.
Argv scenario_of(const fs::path& patch) {
  std::istringstream lines(read_file(patch));
  constexpr std::string_view kKey = "Scenario: ";
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kKey)) continue;
    std::istringstream words(line.substr(kKey.size()));
    Argv scenario;
    for (std::string word; words >> word;) scenario.push_back(word);
    return scenario;
  }
  throw Failure(patch.string() + " has no scenario");
}

class UnluckyMutant : public testing::TestWithParam<const char*> {};

TEST_P(UnluckyMutant, is_found_by_a_seed_that_finds_it_again) {
  const fs::path checkout = figment_command().parent_path();
  const fs::path patch = checkout / "tests/mutants/unlucky" / (std::string{GetParam()} + ".patch");
  const TemporaryFolder folder;
  fs::copy(checkout / "kernel-driver", folder.path() / "kernel-driver", fs::copy_options::recursive);
  apply_patch(patch, folder.path());
  // Some times the median (docs/determinism.md): another checkout has other seeds.
  Argv argv{"explore", "--driver", folder.path() / "kernel-driver", "--seeds", "1..400", "--"};
  std::ranges::copy(scenario_of(patch), std::back_inserter(argv));
  const Finished run = run_figment(argv);
  EXPECT_EQ(run.status, 1) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("the same to the last byte"));
  // As told, by the shell that the user would paste it into.
  const std::string again = again_line(run.out);
  ASSERT_THAT(again, HasSubstr("explore --seeds ")) << run.out;
  const Output output = capture({"sh", "-c", "exec " + figment_command().string() + " " + again}, {}, true);
  EXPECT_EQ(output.status, 1) << output.text;
  EXPECT_THAT(output.text, HasSubstr("the same to the last byte"));
}

INSTANTIATE_TEST_SUITE_P(Each, UnluckyMutant,
                         testing::Values("invalidation-not-waited-for",
                                         "userptr-check-before-lock"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace figment::host
