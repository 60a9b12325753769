// SPDX-License-Identifier: MIT
#include "protocol.h"

#include <gtest/gtest.h>

namespace figment::guest {
namespace {

TEST(Frames, survive_being_cut_anywhere) {
  const std::string bytes = encode(FrameType::stdout_data, std::string("a\0b", 3)) +
                            encode(FrameType::exit, "7") + encode(FrameType::stdin_data, "");
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Decoder decoder;
    std::vector<Frame> frames;
    for (const std::string& piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
      decoder.feed(piece);
      while (auto frame = decoder.next()) frames.push_back(std::move(*frame));
    }
    ASSERT_EQ(frames.size(), 3u) << "cut at " << cut;
    EXPECT_EQ(frames[0].type, FrameType::stdout_data);
    EXPECT_EQ(frames[0].payload, std::string("a\0b", 3));
    EXPECT_EQ(frames[1].type, FrameType::exit);
    EXPECT_EQ(frames[1].payload, "7");
    EXPECT_EQ(frames[2].payload, "");
  }
}

TEST(Frames, an_absurd_length_is_refused) {
  Decoder decoder;
  decoder.feed(std::string("\x05\xff\xff\xff\xff", 5));
  EXPECT_THROW(decoder.next(), std::runtime_error);
}

TEST(Start, arrives_as_it_was_sent) {
  const Start start{.mounts = {{"share0", "/work", false}, {"share1", "/out", true}},
                    .modules = {{"/m/drm.ko", ""}, {"/m/figment.ko", "allow_unsafe=1 x=2"}},
                    .environment = {"PATH=/bin", "EMPTY="},
                    .arguments = {"sh", "-c", "echo a=b; exit 3", ""},
                    .directory = "/some where",
                    .terminal = true,
                    .rows = 50,
                    .columns = 132,
                    .recording = "/run/a pipe"};
  EXPECT_EQ(decode_start(encode(start)), start);
}

TEST(Start, an_unknown_record_is_refused) {
  EXPECT_THROW(decode_start(std::string("frob=1\0", 7)), std::runtime_error);
  EXPECT_THROW(decode_start("no equals sign"), std::runtime_error);
}

}  // namespace
}  // namespace figment::guest
