// SPDX-License-Identifier: MIT
//
// Dumps in words: one that a driver has written, small ones that say one thing each, and what is no
// dump. tests/hang.dump is of a guest; its description is beside it, to be read when it changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "describe.h"
#include "figment_hw.h"

namespace figment::decode {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string file(const std::string& name) {
  std::ifstream stream(std::string(FIGMENT_TEST_DUMPS) + "/" + name);
  EXPECT_TRUE(stream) << name;
  return {std::istreambuf_iterator<char>(stream), {}};
}

// As the kernel does it.
std::string ascii85(const std::vector<std::uint64_t>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size() * 2; ++i) {
    auto half = static_cast<std::uint32_t>(words[i / 2] >> (i % 2 * 32));
    if (half == 0) {
      text += 'z';
    } else {
      std::array<char, 5> out;
      for (std::size_t n = 5; n-- > 0; half /= 85) out[n] = static_cast<char>('!' + half % 85);
      text.append(out.data(), out.size());
    }
    if ((i + 1) % 20 == 0) text += '\n';
  }
  return text + (text.ends_with('\n') ? "" : "\n");
}

std::string memory(const std::string& section, std::uint64_t address,
                   const std::vector<std::uint64_t>& words) {
  return std::format("\n[{}]\naddress: {:#x}\nbytes: {}\ndata:\n{}", section, address,
                     words.size() * 8, ascii85(words));
}

// A ring of 16 words that job 3 has begun at its end: it wraps.
std::vector<std::uint64_t> ring() {
  std::vector<std::uint64_t> words(16);
  const std::vector<std::uint64_t> job = {FIGMENT_PACKET(FIGMENT_OP_TIMESTAMP, 2, 0),
                                          0x9000,
                                          FIGMENT_PACKET(FIGMENT_OP_INDIRECT, 3, 0),
                                          0x2000,
                                          32,
                                          FIGMENT_PACKET(FIGMENT_OP_RELEASE, 3, 7),
                                          0x9008,
                                          3};
  for (std::size_t i = 0; i < job.size(); ++i) words[(12 + i) % 16] = job[i];
  return words;
}

constexpr std::string_view kHead =
    "Figment device coredump\nversion: 1\nkernel: 7.3.4\ndriver: figment 1.4\n"
    "device: 0000:00:03.0\ntime: 1795783367.000000001\nuptime_ns: 5\n";

// The device was at the INDIRECT, at 0x70 of the ring.
std::string dump(int error, unsigned code, std::uint64_t address,
                 const std::string& process = "guilty") {
  return std::string(kHead) +
         std::format(
             "\n[job]\nerror: {}\ncode: {}\naddress: {:#x}\nclient: 8\nqueue: 4\nseqno: 3\n"
             "begin: 0x60\ncommands: 0x2000 0x20\npid: 77\nprocess: {}\n",
             -error, code, address, process) +
         "\n[registers]\nID: 0x4d474946\nCONFIG: 0x300100004002\nSTATUS: 0x0\nINVAL_SEQ: 0x5\n"
         "INVAL_DONE: 0x3\nINJECT_RULES: 0x1\n"
         "\n[queue registers]\nqueue: 4\nDESC: 0x1000\nSTATE: 0x1\nCODE: 0x0\nENGINE: 0x1\n"
         "ADDRESS: 0x0\nREAD: 0x70\nWRITE: 0xa0\n"
         "\n[queue registers]\nqueue: 5\nDESC: 0x2000\nSTATE: 0x0\nCODE: 0x0\nENGINE: 0xffffffff\n"
         "ADDRESS: 0x0\nREAD: 0x0\nWRITE: 0x0\n"
         "\n[queue]\nqueue: 4\nasid: 2\nstrategy: fence\npriority: 1\ntimeslice_ns: 1000\n"
         "suspended: 0\nsaved: 0\nseqno: 3\nended: 2\njobs: 2\nerrors: 1\nwrite: 0xa0\n"
         "\n[job in flight]\nseqno: 3\nbegin: 0x60\ncommands: 0x2000 0x20\npid: 77\nprocess: x\n" +
         memory("ring", 0xffffffe00000, ring()) +
         memory("buffer", 0x2000,
                {FIGMENT_PACKET(FIGMENT_OP_SPIN, 2, 0), 9, FIGMENT_PACKET(0x77, 1, 0), 0}) +
         "\n[walk]\naddress: 0x5000\nroot: 0x40001\nlevel 3: 0x41001\nlevel 2: 0x0\n"
         "\n[mappings]\ncount: 2\n0x2000-0x2fff system rw 0x0\n0x7000-0x8fff userptr ro 0x7f00\n"
         "\n[end]\n";
}

TEST(Dump, of_a_guest_is_described_as_before) {
  const Dump hang = read_dump(file("hang.dump"));
  EXPECT_FALSE(hang.cut_at_line);
  EXPECT_EQ(describe(hang), file("hang.txt"));
  EXPECT_EQ(to_json(hang).dump(2) + "\n", file("hang.json"));
}

TEST(Dump, says_whose_job_and_which_packet) {
  const std::string text = describe(read_dump(dump(ETIME, FIGMENT_CODE_NONE, 0)));
  EXPECT_THAT(text, AllOf(HasSubstr("job 3 of guilty (pid 77), 0x20 bytes of packets at 0x2000"),
                          HasSubstr("failed with ETIME: it took too long"),
                          HasSubstr("Client 8, queue 4, address space 2, strategy fence"),
                          HasSubstr("at 0x70 of the ring: INDIRECT 0x20 bytes at 0x2000"),
                          HasSubstr("\n  > 0x000000000070  INDIRECT"),
                          HasSubstr("\n    0x000000000060  TIMESTAMP to 0x9000"),
                          HasSubstr("\n    0x000000000088  RELEASE 0x3 to 0x9008"),
                          HasSubstr("\n    0x000000002000  SPIN 9 ns")));
  EXPECT_THAT(text, AllOf(HasSubstr("queues 64"), HasSubstr("queue 4          READY, engine 1"),
                          HasSubstr("queue 5          OFF, no engine"),
                          HasSubstr("Rules of injection were armed"),
                          HasSubstr("2 invalidations were not acknowledged")));
  EXPECT_THAT(text, Not(HasSubstr("The way to")));
}

TEST(Dump, marks_the_packet_that_the_device_complains_of) {
  const std::string text = describe(read_dump(dump(EINVAL, FIGMENT_CODE_OPCODE, 0x2010)));
  EXPECT_THAT(text, AllOf(HasSubstr("a packet has an unknown opcode (OPCODE at 0x2010)"),
                          HasSubstr("  > 0x000000002010  0x0000000000010077    <- opcode 0x77")));
}

TEST(Dump, shows_the_way_to_an_address_that_is_not_there) {
  const std::string text = describe(read_dump(dump(EFAULT, FIGMENT_CODE_UNMAPPED, 0x5000)));
  EXPECT_THAT(text, AllOf(HasSubstr("EFAULT: nothing is mapped there (UNMAPPED at 0x5000)"),
                          HasSubstr("root     0x0000000000040001  system 0x40000"),
                          HasSubstr("level 3  0x0000000000041001  table, system 0x41000"),
                          HasSubstr("level 2  0x0000000000000000  not valid"),
                          HasSubstr("No mapping of the driver has it"),
                          HasSubstr("0x7000-0x8fff userptr ro 0x7f00")));
}

TEST(Dump, is_json_as_well) {
  const auto json = to_json(read_dump(dump(EFAULT, FIGMENT_CODE_UNMAPPED, 0x5000)));
  EXPECT_EQ(json["error"], "EFAULT");
  EXPECT_EQ(json["job"]["process"], "guilty");
  EXPECT_EQ(json["at"]["packet"], "INDIRECT 0x20 bytes at 0x2000");
  EXPECT_EQ(json["registers"]["INVAL_SEQ"], 5);
  EXPECT_EQ(json["queues"][1]["engine"], nullptr);
  EXPECT_EQ(json["buffers"][0]["packets"][1]["problem"], "opcode 0x77 is unknown");
  EXPECT_EQ(json["walk"]["entries"].size(), 2u);
  EXPECT_EQ(json["complete"], true);
}

TEST(Dump, of_a_device_that_is_gone_says_so) {
  std::string text = dump(ENODEV, FIGMENT_CODE_NONE, 0);
  text.replace(text.find("0x4d474946"), 10, "0xffffffff");
  EXPECT_THAT(describe(read_dump(text)), HasSubstr("does not answer"));
}

// A process may call itself anything, and a dump may come from anybody.
TEST(Dump, does_no_harm_to_a_terminal) {
  const Dump hostile = read_dump(dump(ETIME, 0, 0, "\x1b[2Jx\xff"));
  EXPECT_EQ(hostile.job.process, "?[2Jx?");
  for (const char c : describe(hostile)) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 127));
}

TEST(Dump, passes_over_what_a_newer_driver_says) {
  std::string text = dump(ETIME, 0, 0);
  text.insert(text.find("client:"), "colour: blue\n");
  text.insert(text.find("\n[walk]"), "\n[weather]\nit: rains\nanything at all\n");
  EXPECT_EQ(read_dump(text).job.pid, 77u);
}

struct Wrong {
  const char* what;
  std::function<void(std::string&)> change;
  const char* complaint;
};
void PrintTo(const Wrong& wrong, std::ostream* out) {
  *out << wrong.what;
}
class NoDump : public testing::TestWithParam<Wrong> {};

std::function<void(std::string&)> replaced(const char* what, const char* with) {
  return [=](std::string& text) { text.replace(text.find(what), std::strlen(what), with); };
}

INSTANTIATE_TEST_SUITE_P(
    texts, NoDump,
    testing::Values(
        Wrong{"empty", [](auto& text) { text.clear(); }, "line 0: this is not"},
        Wrong{"other", [](auto& text) { text = "**** Xe Device Coredump ****\n"; }, "line 1"},
        Wrong{"newer", replaced("version: 1", "version: 2"), "version 2"},
        Wrong{"no_version", replaced("version: 1\n", ""), "version 0"},
        Wrong{"number", replaced("pid: 77", "pid: seven"), "'seven' is not a number"},
        Wrong{"large_number", replaced("pid: 77", "pid: 99999999999999999999"), "not a number"},
        Wrong{"negative", replaced("pid: 77", "pid: -77"), "not a number"},
        Wrong{"no_value", replaced("pid: 77", "pid"), "KEY: VALUE"},
        Wrong{"commands", replaced("commands: 0x2000 0x20", "commands: 0x2000"), "ADDRESS BYTES"},
        Wrong{"no_section", replaced("\n[walk]\n", "\nwalk\n"), "[SECTION]"},
        Wrong{"level", replaced("level 3:", "level 7:"), "no such level"},
        Wrong{"mapping", replaced("0x2fff system", "0x2fff"), "FIRST-LAST"},
        Wrong{"half_a_mapping", replaced("0x2000-0x2fff", "0x2000"), "FIRST-LAST"},
        Wrong{"too_much", replaced("bytes: 128", "bytes: 120"), "more data"},
        Wrong{"too_little", replaced("bytes: 128", "bytes: 136"), "less data"},
        Wrong{"half_a_word", replaced("bytes: 128", "bytes: 132"), "can not be"},
        Wrong{"huge", replaced("bytes: 128", "bytes: 0xfffffffffffffff8"), "can not be"},
        Wrong{"not_ascii85", replaced("data:\n", "data:\n~"), "ascii85"}),
    [](const auto& info) { return info.param.what; });

TEST_P(NoDump, is_refused_with_the_line) {
  std::string text = dump(ETIME, 0, 0);
  GetParam().change(text);
  try {
    std::ignore = read_dump(text);
    FAIL() << "it was read";
  } catch (const DumpError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("line "), HasSubstr(GetParam().complaint)));
  }
}

// Whatever is left of it is told, and that it is not all.
TEST(Dump, that_is_cut_anywhere_is_read_as_far_as_it_goes) {
  const std::string text = dump(EFAULT, FIGMENT_CODE_UNMAPPED, 0x5000);
  std::size_t read = 0;
  for (std::size_t bytes = kHead.size(); bytes < text.size() - 1; ++bytes) {
    const Dump part = read_dump(std::string_view(text).substr(0, bytes));
    EXPECT_TRUE(part.cut_at_line) << bytes;
    EXPECT_EQ(to_json(part)["complete"], false);
    std::ignore = describe(part);
    read += part.job.pid == 77;
  }
  EXPECT_GT(read, text.size() / 2);
}

TEST(Dump, that_was_changed_anywhere_is_read_or_refused) {
  const std::string good = dump(EFAULT, FIGMENT_CODE_UNMAPPED, 0x5000);
  std::uint64_t random = 88172645463325252u;
  const auto next = [&] {
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  };
  unsigned refused = 0, read = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = good;
    for (std::uint64_t n = 1 + next() % 4; n > 0; --n) {
      const std::size_t at = next() % text.size();
      switch (next() % 4) {
        case 0:
          text[at] = static_cast<char>(next());
          break;
        case 1:
          text[at] = "0123456789abcdefx\n[]: -z!u"[next() % 26];
          break;
        case 2:
          text.erase(at, next() % 40);
          break;
        default:
          text.insert(at, text.substr(next() % text.size(), next() % 40));
          break;
      }
      if (text.empty()) break;
    }
    try {
      const Dump dump = read_dump(text);
      std::ignore = describe(dump);
      std::ignore = to_json(dump).dump();
      ++read;
    } catch (const DumpError&) {
      ++refused;
    }
  }
  EXPECT_GT(read, 1000u);
  EXPECT_GT(refused, 1000u);
}

TEST(Packets, can_come_without_a_dump) {
  const std::array<std::uint64_t, 3> words = {FIGMENT_PACKET(FIGMENT_OP_SPIN, 2, 0), 5,
                                              FIGMENT_PACKET(FIGMENT_OP_NOP, 1, 0)};
  EXPECT_EQ(describe_packets(words, 0x1000),
            "    0x000000001000  SPIN 5 ns\n    0x000000001010  NOP\n");
}

}  // namespace
}  // namespace figment::decode
