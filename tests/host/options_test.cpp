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
  const Options options =
      parse({"run", "--kernel", "./linux", "--cpus", "3", "--mem", "1G", "--gpus", "2", "--gpu",
             "engines=4,faults=on", "--gpu", "seed=7", "--share", "/a:/b", "--append", "x=1",
             "--append", "y", "--timeout", "9", "--dry-run", "--", "true"});
  EXPECT_EQ(options.vm.kernel, "./linux");
  EXPECT_EQ(options.vm.memory_mib, 1024u);
  EXPECT_EQ(options.vm.gpus, 2u);
  EXPECT_THAT(options.vm.gpu,
              ElementsAre(std::pair{"engines", "4"}, std::pair{"faults", "on"}, std::pair{"seed", "7"}));
  EXPECT_THAT(options.vm.shares, ElementsAre(Share{.folder = "/a", .mount = "/b", .writable = true}));
  EXPECT_EQ(options.vm.append, "x=1 y");
  EXPECT_EQ(options.vm.timeout, std::chrono::seconds(9));
  EXPECT_TRUE(options.vm.dry_run);
}

TEST(Options, help_is_a_result) {
  const std::vector<const char*> arguments{"run", "--help"};
  const Parsed parsed = parse_options(arguments);
  EXPECT_FALSE(parsed.options);
  EXPECT_THAT(parsed.help, HasSubstr("--timeout"));
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
        Wrong{"nothing", {}, "no command", "demo, test, run"},
        Wrong{"unknown_command", {"frobnicate"}, "'frobnicate'", "demo, test, run"},
        Wrong{"unknown_option", {"run", "--frob", "--", "true"}, "--frob", "--kernel"},
        Wrong{"no_guest_command", {"run"}, "no command", "'--'"},
        Wrong{"command_for_demo", {"demo", "--", "true"}, "demo", "only run"},
        Wrong{"cpus_zero", {"run", "--cpus", "0", "--", "x"}, "'0'", "1 to 64"},
        Wrong{"cpus_word", {"run", "--cpus", "two", "--", "x"}, "'two'", "1 to 64"},
        Wrong{"cpus_trailing", {"run", "--cpus", "2x", "--", "x"}, "'2x'", "1 to 64"},
        Wrong{"cpus_negative", {"run", "--cpus=-1", "--", "x"}, "'-1'", "1 to 64"},
        Wrong{"mem_small", {"run", "--mem", "1M", "--", "x"}, "'1M'", "256M"},
        Wrong{"mem_huge", {"run", "--mem", "99999999999999999999G", "--", "x"}, "--mem", "1024G"},
        Wrong{"gpus_many", {"run", "--gpus", "9", "--", "x"}, "'9'", "0 to 8"},
        Wrong{"timeout_zero", {"run", "--timeout", "0", "--", "x"}, "'0'", "from 1"},
        Wrong{"kernel_word", {"run", "--kernel", "newest", "--", "x"}, "'newest'", "stock, debug, paranoid"},
        Wrong{"gpu_no_value", {"run", "--gpu", "engines", "--", "x"}, "'engines'", "KEY=VALUE"},
        Wrong{"gpu_unknown", {"run", "--gpu", "speed=1", "--", "x"}, "'speed'", "engines"},
        Wrong{"gpu_engines", {"run", "--gpu", "engines=17", "--", "x"}, "'17'", "1 to 16"},
        Wrong{"gpu_choice", {"run", "--gpu", "executor=fast", "--", "x"}, "'fast'", "thread|clock"},
        Wrong{"gpu_choice_part", {"run", "--gpu", "preempt=comm", "--", "x"}, "'comm'", "command"},
        Wrong{"gpu_size", {"run", "--gpu", "vram=big", "--", "x"}, "'big'", "64M"},
        Wrong{"gpu_range", {"run", "--gpu", "event-ns=9-3", "--", "x"}, "'9-3'", "MIN-MAX"},
        Wrong{"gpu_empty", {"run", "--gpu", "", "--", "x"}, "KEY=VALUE", "engines"},
        Wrong{"share_relative", {"run", "--share", "/a:b", "--", "x"}, "'b'", "absolute"},
        Wrong{"share_root", {"run", "--share", "/a:/", "--", "x"}, "'/'", "below the root"},
        Wrong{"share_empty", {"run", "--share", ":/b", "--", "x"}, "':/b'", "DIR[:MOUNT]"},
        Wrong{"seconds", {"demo", "--seconds", "soon"}, "'soon'", "from 1"}),
    [](const auto& info) { return std::string{info.param.name}; });

TEST(Gpu, ranges_are_one_number_or_two) {
  EXPECT_EQ(parse_gpu("doorbell-ns=5").front().second, "5");
  EXPECT_EQ(parse_gpu("doorbell-ns=0-50000").front().second, "0-50000");
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
