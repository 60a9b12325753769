// SPDX-License-Identifier: MIT
#include "options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace figment::host {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Options parse(std::vector<const char*> arguments) {
  const Parsed parsed = parse_options(arguments);
  if (!parsed.options) throw std::runtime_error("help");
  return *parsed.options;
}

// The complaint about a command line; empty when there is none.
std::string complaint(std::vector<const char*> arguments) {
  try {
    parse(std::move(arguments));
    return "";
  } catch (const UsageError& error) {
    return error.what();
  }
}

TEST(Options, run_takes_everything_after_the_dashes_as_it_is) {
  const Options options = parse({"run", "--cpus", "4", "--", "ls", "--cpus", "--", "-x"});
  EXPECT_EQ(options.command, CommandName::run);
  EXPECT_EQ(options.vm.cpus, 4u);
  EXPECT_THAT(options.arguments, ElementsAre("ls", "--cpus", "--", "-x"));
}

TEST(Options, every_vm_option_is_read) {
  const Options options = parse({"run",
                                 "--kernel",
                                 "./linux",
                                 "--cpus",
                                 "3",
                                 "--mem",
                                 "1G",
                                 "--nodes",
                                 "2",
                                 "--gpus",
                                 "2",
                                 "--gpu",
                                 "engines=4,faults=on",
                                 "--gpu",
                                 "seed=7",
                                 "--share",
                                 "/a:/b",
                                 "--append",
                                 "x=1",
                                 "--append",
                                 "y",
                                 "--timeout",
                                 "9",
                                 "--silence",
                                 "8",
                                 "--dry-run",
                                 "--",
                                 "true"});
  EXPECT_EQ(options.vm.kernel, "./linux");
  EXPECT_EQ(options.vm.memory_mib, 1024u);
  EXPECT_EQ(options.vm.nodes, 2u);
  EXPECT_EQ(options.vm.gpus, 2u);
  EXPECT_THAT(options.vm.gpu,
              ElementsAre(std::pair{"engines", "4"}, std::pair{"faults", "on"}, std::pair{"seed", "7"}));
  EXPECT_THAT(options.vm.shares, ElementsAre(Share{.folder = "/a", .mount = "/b", .writable = true}));
  EXPECT_EQ(options.vm.append, "x=1 y");
  EXPECT_EQ(options.vm.timeout, std::chrono::seconds(9));
  EXPECT_EQ(options.vm.silence, std::chrono::seconds(8));
  EXPECT_TRUE(options.vm.dry_run);
}

TEST(Options, a_timeline_is_of_a_run_with_a_gpu) {
  EXPECT_EQ(parse({"run", "--timeline", "t.json", "--", "true"}).vm.timeline, "t.json");
  EXPECT_THAT(complaint({"run", "--timeline", "t", "--gpus", "0", "--", "true"}),
              HasSubstr("there is no GPU"));
  EXPECT_THAT(complaint({"explore", "--timeline", "t", "--", "true"}), HasSubstr("explore"));
  const Options options = parse({"timeline", "recording", "trace", "trace.1", "--output", "o"});
  EXPECT_EQ(options.command, CommandName::timeline);
  EXPECT_THAT(options.arguments, ElementsAre("recording", "trace", "trace.1"));
  EXPECT_EQ(options.output, "o");
  EXPECT_THAT(complaint({"timeline", "recording"}), HasSubstr("a trace of each GPU"));
}

TEST(Options, matrix_hands_on_what_figment_stress_knows) {
  const Options options =
      parse({"matrix",   "--quick",     "--json",  "a.json", "--html",     "a.html",
             "--event",  "fork,munmap", "--pages", "4k",     "--strategy", "fence,unsafe",
             "--rounds", "5",           "--part",  "table",  "--seed",     "9",
             "--kernel", "debug",       "--mem",   "4G"});
  EXPECT_EQ(options.command, CommandName::matrix);
  EXPECT_TRUE(options.quick);
  EXPECT_EQ(options.json, "a.json");
  EXPECT_EQ(options.html, "a.html");
  EXPECT_THAT(options.events, ElementsAre("fork", "munmap"));
  EXPECT_THAT(options.pages, ElementsAre("4k"));
  EXPECT_THAT(options.strategies, ElementsAre("fence", "unsafe"));
  EXPECT_THAT(options.parts, ElementsAre("table"));
  EXPECT_EQ(options.rounds, 5u);
  EXPECT_EQ(options.stress_seed, 9u);
  EXPECT_FALSE(options.vm.seed) << "that would be another machine";
  EXPECT_EQ(options.vm.memory_mib, 4096u);
  EXPECT_THAT(options.given, testing::Contains("--quick")) << "to say how it is repeated";
}

TEST(Options, matrix_wants_all_unless_told) {
  const Options options = parse({"matrix"});
  EXPECT_FALSE(options.quick);
  EXPECT_TRUE(options.events.empty() && options.parts.empty() && !options.rounds);
  EXPECT_EQ(options.stress_seed, 1u);
  EXPECT_THAT(complaint({"matrix", "--part", "castle"}), HasSubstr("castle"));
  EXPECT_THAT(complaint({"matrix", "--rounds", "0"}), HasSubstr("--rounds"));
  EXPECT_THAT(complaint({"matrix", "--seed", "x"}), HasSubstr("--seed"));
  EXPECT_THAT(complaint({"matrix", "--", "true"}), HasSubstr("takes no command"));
}

TEST(Options, help_is_a_result) {
  const std::vector<const char*> arguments{"run", "--help"};
  const Parsed parsed = parse_options(arguments);
  EXPECT_FALSE(parsed.options);
  EXPECT_THAT(parsed.help, HasSubstr("--timeout"));
}

TEST(Options, of_explore_are_read_and_those_of_the_machine_are_kept_to_be_said_again) {
  const Options options =
      parse({"explore", "--seeds", "5..9", "--cpus", "3", "--jobs=4", "--shard", "2/3", "--all",
             "--gpu", "engines=4", "--limit", "7", "--json", "f", "--", "ls", "--jobs", "2"});
  EXPECT_EQ(options.command, CommandName::explore);
  EXPECT_EQ(options.seeds.first, 5u);
  EXPECT_EQ(options.seeds.last, 9u);
  EXPECT_EQ(options.seeds.shard, 2u);
  EXPECT_EQ(options.seeds.shards, 3u);
  EXPECT_EQ(options.jobs, 4u);
  EXPECT_TRUE(options.all);
  EXPECT_EQ(options.limit_seconds, 7u);
  EXPECT_EQ(options.json, "f");
  EXPECT_THAT(options.arguments, ElementsAre("ls", "--jobs", "2"));
  EXPECT_THAT(options.given, ElementsAre("--cpus", "3", "--gpu", "engines=4", "--limit", "7"));
}

TEST(Options, of_a_seeded_run_are_read) {
  const Options options = parse({"run", "--seed", "0", "--trace", "t", "--gdb", "1234", "--stop-ns",
                                 "5", "--", "true"});
  EXPECT_EQ(options.vm.seed, 0u);
  EXPECT_EQ(options.vm.trace, "t");
  EXPECT_EQ(options.vm.gdb, "tcp:127.0.0.1:1234");
  EXPECT_EQ(options.vm.stop_ns, 5u);
  EXPECT_EQ(parse({"run", "--seed", "1", "--gdb", "/s,t", "--", "true"}).vm.gdb,
            "unix:/s,,t,server=on,wait=off");
}

struct Wrong {
  const char* name;
  std::vector<const char*> arguments;
  const char* says_what;
  const char* says_allowed;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

class WrongOptions : public testing::TestWithParam<Wrong> {};

TEST_P(WrongOptions, get_one_line_that_says_what_and_what_is_allowed) {
  const std::string text = complaint(GetParam().arguments);
  EXPECT_THAT(text, AllOf(HasSubstr(GetParam().says_what), HasSubstr(GetParam().says_allowed)));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(
    Each, WrongOptions,
    testing::Values(
        Wrong{"nothing", {}, "no command", "demo, matrix, test, run"},
        Wrong{"unknown_command", {"frobnicate"}, "'frobnicate'", "demo, matrix, test, run"},
        Wrong{"unknown_option", {"run", "--frob", "--", "true"}, "--frob", "--kernel"},
        Wrong{"no_guest_command", {"run"}, "no command", "'--'"},
        Wrong{"nothing_to_explore", {"explore"}, "no command", "'--'"},
        Wrong{"seeds_backwards", {"explore", "--seeds", "9..5", "--", "x"}, "'9..5'", "A..B"},
        Wrong{"seeds_word", {"explore", "--seeds", "all", "--", "x"}, "'all'", "A..B"},
        Wrong{"shard_zero", {"explore", "--shard", "0/2", "--", "x"}, "'0/2'", "from 1 to N"},
        Wrong{"shard_beyond", {"explore", "--shard", "3/2", "--", "x"}, "'3/2'", "from 1 to N"},
        Wrong{"no_jobs", {"explore", "--jobs", "0", "--", "x"}, "'0'", "1 to 1024"},
        Wrong{"trace_of_many", {"explore", "--trace", "t", "--", "x"}, "--trace", "each seed"},
        Wrong{"seed_word", {"run", "--seed", "x", "--", "x"}, "'x'", "from 0 to"},
        Wrong{"gdb_without_seed", {"run", "--gdb", "1", "--", "x"}, "--gdb", "--seed"},
        Wrong{"gdb_is_nothing", {"run", "--seed", "1", "--gdb", "x", "--", "x"}, "'x'", "socket"},
        Wrong{"gdb_port", {"run", "--seed", "1", "--gdb", "65536", "--", "x"}, "'65536'", "65535"},
        Wrong{"stop_without_gdb",
              {"run", "--seed", "1", "--stop-ns", "1", "--", "x"},
              "--stop-ns",
              "--gdb"},
        Wrong{"command_for_demo", {"demo", "--", "true"}, "demo", "only run"},
        Wrong{"cpus_zero", {"run", "--cpus", "0", "--", "x"}, "'0'", "1 to 64"},
        Wrong{"cpus_word", {"run", "--cpus", "two", "--", "x"}, "'two'", "1 to 64"},
        Wrong{"cpus_trailing", {"run", "--cpus", "2x", "--", "x"}, "'2x'", "1 to 64"},
        Wrong{"nodes_zero", {"run", "--nodes", "0", "--", "x"}, "'0'", "1 to 8"},
        Wrong{"nodes_with_a_seed",
              {"run", "--seed", "1", "--nodes", "2", "--", "x"},
              "--nodes",
              "one"},
        Wrong{"cpus_negative", {"run", "--cpus=-1", "--", "x"}, "'-1'", "1 to 64"},
        Wrong{"mem_small", {"run", "--mem", "1M", "--", "x"}, "'1M'", "256M"},
        Wrong{"mem_huge", {"run", "--mem", "99999999999999999999G", "--", "x"}, "--mem", "1024G"},
        Wrong{"gpus_many", {"run", "--gpus", "9", "--", "x"}, "'9'", "0 to 8"},
        Wrong{"silence_text", {"run", "--silence", "a", "--", "x"}, "'a'", "--silence"},
        Wrong{"silence_of_a_shell", {"shell", "--silence", "9"}, "--silence", "only for run"},
        Wrong{"timeout_zero", {"run", "--timeout", "0", "--", "x"}, "'0'", "from 1"},
        Wrong{"kernel_word",
              {"run", "--kernel", "newest", "--", "x"},
              "'newest'",
              "stock, debug, paranoid"},
        Wrong{"gpu_no_value", {"run", "--gpu", "engines", "--", "x"}, "'engines'", "KEY=VALUE"},
        Wrong{"gpu_unknown", {"run", "--gpu", "speed=1", "--", "x"}, "'speed'", "engines"},
        Wrong{"gpu_engines", {"run", "--gpu", "engines=17", "--", "x"}, "'17'", "1 to 16"},
        Wrong{"gpu_choice", {"run", "--gpu", "executor=fast", "--", "x"}, "'fast'", "thread|clock"},
        Wrong{"gpu_choice_part", {"run", "--gpu", "preempt=comm", "--", "x"}, "'comm'", "command"},
        Wrong{"gpu_inject", {"run", "--gpu", "inject=hang", "--", "x"}, "'hang'", "on|off"},
        Wrong{"inject_gpu", {"run", "--inject", "1:hang", "--", "x"}, "GPU 1", "there are 1"},
        Wrong{
            "inject_gpu_word", {"run", "--inject", "x:hang", "--", "x"}, "'x:hang'", "[GPU:]RULE"},
        Wrong{
            "inject_of_explore", {"explore", "--inject", "hang", "--", "x"}, "--inject", "explore"},
        Wrong{"inject_nothing", {"inject"}, "RULE", "required"},
        Wrong{"inject_number", {"inject", "--gpu", "8", "show"}, "'8'", "0 to 7"},
        Wrong{"gpu_size", {"run", "--gpu", "vram=big", "--", "x"}, "'big'", "64M"},
        Wrong{"gpu_range", {"run", "--gpu", "event-ns=9-3", "--", "x"}, "'9-3'", "MIN-MAX"},
        Wrong{"gpu_range_low", {"run", "--gpu", "step-bytes=1-99", "--", "x"}, "'1-99'", "64 to"},
        Wrong{"gpu_range_zero", {"run", "--gpu", "tick-ns=0", "--", "x"}, "'0'", "from 1"},
        Wrong{"gpu_empty", {"run", "--gpu", "", "--", "x"}, "KEY=VALUE", "engines"},
        Wrong{"share_relative", {"run", "--share", "/a:b", "--", "x"}, "'b'", "absolute"},
        Wrong{"share_root", {"run", "--share", "/a:/", "--", "x"}, "'/'", "below the root"},
        Wrong{"share_empty", {"run", "--share", ":/b", "--", "x"}, "':/b'", "DIR[:MOUNT]"},
        Wrong{"seconds", {"demo", "--seconds", "soon"}, "'soon'", "from 1"}),
    [](const auto& info) { return std::string{info.param.name}; });

TEST(Gpu, injection_by_the_guest_is_a_property) {
  EXPECT_THAT(parse_gpu("inject=on"), ElementsAre(std::pair{"inject", "on"}));
}

TEST(Gpu, rules_from_the_start_are_of_one_gpu) {
  const Options options = parse({"run", "--gpus", "2", "--inject", "hang,queue=1", "--inject",
                                 "1:removed,after=5", "--", "x"});
  EXPECT_THAT(options.vm.inject, ElementsAre(Injection{.gpu = 0, .rule = "hang,queue=1"},
                                             Injection{.gpu = 1, .rule = "removed,after=5"}));
}

TEST(Gpu, rules_for_a_guest_that_runs_are_words) {
  const Options options =
      parse({"inject", "--gpu", "1", "--guest", "/runs/7", "clear", "hang,once", "show"});
  EXPECT_EQ(options.command, CommandName::inject);
  EXPECT_EQ(options.number, 1u);
  EXPECT_EQ(options.guest, "/runs/7");
  EXPECT_THAT(options.arguments, ElementsAre("clear", "hang,once", "show"));
}

TEST(Gpu, ranges_are_one_number_or_two) {
  EXPECT_EQ(parse_gpu("doorbell-ns=5").front().second, "5");
  EXPECT_EQ(parse_gpu("doorbell-ns=0-50000").front().second, "0-50000");
  EXPECT_EQ(parse_gpu("step-bytes=64-1048576").front().second, "64-1048576");
}

TEST(Share, a_folder_keeps_its_name_unless_told_otherwise) {
  EXPECT_EQ(parse_share("/some/where").mount, "/some/where");
  EXPECT_EQ(parse_share("/some/where/").mount, "/some/where");
  EXPECT_EQ(parse_share("/some/where:/else").mount, "/else");
}

TEST(Memory, is_in_mebibytes) {
  EXPECT_EQ(parse_memory_mib("512"), 512u);
  EXPECT_EQ(parse_memory_mib("512M"), 512u);
  EXPECT_EQ(parse_memory_mib("2G"), 2048u);
}

}  // namespace
}  // namespace figment::host
