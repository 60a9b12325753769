// SPDX-License-Identifier: MIT
//
// Frames of call traces and the functions that they are in. That source lines come out right is
// shown by controls.Judge.*, with a module of ours in a guest.
#include "stack_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace figment::host {
namespace {

using testing::Eq;
using testing::Optional;

Frame frame(const char* symbol, std::uint64_t offset, std::uint64_t size, const char* module = "") {
  return {.symbol = symbol, .offset = offset, .size = size, .module = module};
}

TEST(StackTrace, frames_have_symbol_offset_size_and_module) {
  EXPECT_THAT(frame_in(" kthread+0xf1/0x130"), Optional(Eq(frame("kthread", 0xf1, 0x130))));
  EXPECT_THAT(frame_in(" ? figment_job_run+0x3c/0x90 [figment]"),
              Optional(Eq(frame("figment_job_run", 0x3c, 0x90, "figment"))));
  EXPECT_THAT(frame_in(" at: f.isra.0+0x1/0x2 [gpu_sched 0123abcd]"),
              Optional(Eq(frame("f.isra.0", 1, 2, "gpu_sched"))));
}

TEST(StackTrace, the_instruction_itself_is_no_call) {
  const auto place = frame_in("RIP: 0010:figment_probe+0x10/0x20 [figment]");
  ASSERT_TRUE(place);
  EXPECT_FALSE(place->is_call);
}

TEST(StackTrace, other_lines_have_no_frame) {
  EXPECT_FALSE(frame_in("Call Trace:"));
  EXPECT_FALSE(frame_in("CPU: 0 UID: 0 PID: 1 Comm: init Not tainted 7.3.4+deb13-amd64 #1"));
  EXPECT_FALSE(frame_in("RAX: 0000000000000000 RBX: ffff888100000000"));
}

constexpr const char* kSymbols = R"(
Symbol table '.symtab' contains 5 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     1: 0000000000000010    43 FUNC    LOCAL  DEFAULT    2 show
     2: 0000000000000100   300 FUNC    LOCAL  DEFAULT    4 show
     3: 0000000000000000     8 OBJECT  LOCAL  DEFAULT    6 show
     4: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND show
     5: 0000000000000200    16 FUNC    GLOBAL DEFAULT    2 other
)";

TEST(StackTrace, of_several_functions_of_a_name_the_size_tells) {
  const auto symbols = parse_symbols(kSymbols, {frame("show", 1, 1)});
  EXPECT_EQ(symbols.size(), 2u);
  // The kernel's sizes reach to the next function, over the padding between them.
  const auto small = symbol_of(frame("show", 4, 48), symbols);
  ASSERT_TRUE(small);
  EXPECT_EQ(small->section, 2u);
  const auto large = symbol_of(frame("show", 4, 304), symbols);
  ASSERT_TRUE(large);
  EXPECT_EQ(large->section, 4u);
  EXPECT_EQ(large->value, 0x100u);
}

TEST(StackTrace, an_unknown_function_has_no_symbol) {
  EXPECT_FALSE(symbol_of(frame("gone", 0, 1), parse_symbols(kSymbols, {frame("gone", 0, 1)})));
}

TEST(StackTrace, without_a_file_lines_stay_as_they_are) {
  std::vector<std::string> lines = {" kthread+0xf1/0x130", "Call Trace:"};
  add_source_lines(lines, {.kernel = "/nowhere", .modules = {}, .prefixes = {}});
  EXPECT_THAT(lines, testing::ElementsAre(" kthread+0xf1/0x130", "Call Trace:"));
}

}  // namespace
}  // namespace figment::host
