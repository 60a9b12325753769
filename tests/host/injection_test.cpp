// SPDX-License-Identifier: MIT
//
// Guests that run, as `inject` finds them, and what it says to their monitors.
#include "injection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "options.h"
#include "temporary_folder.h"

namespace figment::host {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

// A guest as far as its monitor goes: whoever connects is greeted, and all commands are answered.
class FakeGuest {
 public:
  using Answer = std::function<json(const json& command)>;

  explicit FakeGuest(
      const fs::path& folder, Answer answer = [](const json&) { return json(); })
      : answer_(std::move(answer)), end_(eventfd(0, EFD_CLOEXEC)) {
    fs::create_directories(folder);
    listening_ = listen_for_monitors(folder);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeGuest() {
    eventfd_write(end_.get(), 1);
    thread_.join();
  }

  std::vector<json> commands;  // look when the guest is gone, or after an answer

 private:
  bool readable(const Fd& fd) {
    std::array<pollfd, 2> fds{{{.fd = end_.get(), .events = POLLIN, .revents = 0},
                               {.fd = fd.get(), .events = POLLIN, .revents = 0}}};
    poll(fds.data(), fds.size(), -1);
    return fds[0].revents == 0;
  }

  void serve() {
    while (readable(listening_)) {
      const Fd fd(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      say(fd, {{"QMP", json::object()}});
      std::string heard;
      for (char c; readable(fd) && read(fd.get(), &c, 1) == 1;) {
        if (c != '\n') {
          heard += c;
          continue;
        }
        const json command = json::parse(heard);
        heard.clear();
        json said;
        if (command["execute"] != "qmp_capabilities") {
          commands.push_back(command);
          said = answer_(command);
        }
        if (said.is_null()) said = {{"return", json::object()}};
        said["id"] = command["id"];
        say(fd, said);
      }
    }
  }

  static void say(const Fd& fd, const json& message) {
    const std::string line = message.dump() + "\n";
    std::ignore = send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
  }

  Answer answer_;
  Fd end_;
  Fd listening_;
  std::thread thread_;
};

template <typename Error = Failure>
std::string complaint(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(FindGuest, is_the_only_one_that_runs) {
  const TemporaryFolder runs;
  // One that was killed: its socket is there, and nobody listens.
  fs::create_directories(runs.path() / "killed");
  listen_for_monitors(runs.path() / "killed");
  fs::create_directories(runs.path() / "with-a-seed");
  FakeGuest guest(runs.path() / "running");
  Qmp qmp = find_guest(runs.path(), {});
  qmp.execute("hello");
  ASSERT_EQ(guest.commands.size(), 1u);
  EXPECT_EQ(guest.commands[0]["execute"], "hello");
}

TEST(FindGuest, says_when_there_is_none) {
  const TemporaryFolder runs;
  EXPECT_THAT(complaint([&] { find_guest(runs.path(), {}); }), HasSubstr("no guest"));
  EXPECT_THAT(complaint([&] { find_guest(runs.path() / "never", {}); }), HasSubstr("no guest"));
  EXPECT_THAT(complaint([&] { find_guest(runs.path(), runs.path() / "one"); }),
              AllOf(HasSubstr("one"), HasSubstr("seed")));
}

TEST(FindGuest, asks_which_when_there_are_several) {
  const TemporaryFolder runs;
  FakeGuest older(runs.path() / "1"), newer(runs.path() / "2");
  const std::string said = complaint([&] { find_guest(runs.path(), {}); });
  EXPECT_THAT(said, AllOf(HasSubstr("2 guests"), HasSubstr("--guest"), HasSubstr("/2\n")));
  EXPECT_TRUE(said.ends_with("/1")) << said;
  find_guest(runs.path(), runs.path() / "1").execute("hello");
  EXPECT_EQ(older.commands.size(), 1u);
  EXPECT_EQ(newer.commands.size(), 0u);
}

// A path of a socket has some hundred bytes at most; that of a checkout may be longer.
TEST(FindGuest, reaches_one_in_a_folder_with_a_long_name) {
  const TemporaryFolder runs;
  const fs::path folder = runs.path() / std::string(100, 'a') / std::string(100, 'b');
  FakeGuest guest(folder);
  find_guest(runs.path(), folder).execute("hello");
  EXPECT_EQ(guest.commands.size(), 1u);
}

TEST(FindGuest, takes_the_place_of_one_that_ran_in_the_same_folder) {
  const TemporaryFolder runs;
  for (int round = 0; round < 2; ++round) {
    FakeGuest guest(runs.path() / "same");
    find_guest(runs.path(), {}).execute("hello");
    EXPECT_EQ(guest.commands.size(), 1u);
  }
}

TEST(Arm, sets_the_property_of_that_gpu) {
  const TemporaryFolder runs;
  FakeGuest guest(runs.path() / "one", [](const json& command) -> json {
    if (command["execute"] == "qom-get") return {{"return", "0: hang: struck 0 of 5\n"}};
    return {};
  });
  Qmp qmp = find_guest(runs.path(), {});
  arm(qmp, 1, "hang,queue=3");
  EXPECT_EQ(armed_rules(qmp, 1), "0: hang: struck 0 of 5\n");
  ASSERT_EQ(guest.commands.size(), 2u);
  const json about = {{"path", "/machine/peripheral/gpu1"}, {"property", "injection"}};
  json set = about;
  set["value"] = "hang,queue=3";
  EXPECT_EQ(guest.commands[0]["arguments"], set);
  EXPECT_EQ(guest.commands[1]["arguments"], about);
}

TEST(Arm, says_what_the_device_has_against_a_rule) {
  const TemporaryFolder runs;
  FakeGuest guest(runs.path() / "one", [](const json& command) -> json {
    if (command["arguments"]["path"] == "/machine/peripheral/gpu0") {
      return {
          {"error", {{"class", "GenericError"}, {"desc", "injection=hnag: kind 'hnag' is none"}}}};
    }
    return {{"error", {{"class", "DeviceNotFound"}, {"desc", "Device not found"}}}};
  });
  Qmp qmp = find_guest(runs.path(), {});
  EXPECT_EQ(complaint<UsageError>([&] { arm(qmp, 0, "hnag"); }),
            "inject: injection=hnag: kind 'hnag' is none");
  EXPECT_EQ(complaint<UsageError>([&] { arm(qmp, 3, "hang"); }), "inject: the guest has no GPU 3");
  EXPECT_EQ(complaint<UsageError>([&] { armed_rules(qmp, 3); }), "inject: the guest has no GPU 3");
}

}  // namespace
}  // namespace figment::host
