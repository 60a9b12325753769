// SPDX-License-Identifier: MIT
//
// The monitor client against a server that says what a test wants it to say.
#include "qmp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace figment::host {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kGreeting =
    R"({"QMP": {"version": {"qemu": {"major": 10}}, "capabilities": []}})";

// QEMU's end: a script of lines to say, each after so many commands were heard.
class FakeQemu {
 public:
  using Answer = std::function<std::string(const json& command)>;

  // Greets, accepts qmp_capabilities, and then says what `answer` gives for each command; "" closes.
  explicit FakeQemu(Answer answer, std::string greeting = std::string{kGreeting} + "\n")
      : thread_([this, answer = std::move(answer), greeting = std::move(greeting)] {
          Fd own = std::move(sockets_.theirs);
          say(own, greeting);
          std::string heard;
          for (char c; read(own.get(), &c, 1) == 1;) {
            if (c != '\n') {
              heard += c;
              continue;
            }
            const json command = json::parse(heard);
            heard.clear();
            commands.push_back(command);
            const std::string said = command["execute"] == "qmp_capabilities"
                                         ? to(command, R"("return": {})")
                                         : answer(command);
            if (said.empty()) return;
            say(own, said);
          }
        }) {}
  ~FakeQemu() { thread_.join(); }

  Fd socket() { return std::move(sockets_.ours); }

  static std::string to(const json& command, const std::string& rest) {
    return R"({"id": )" + command["id"].dump() + ", " + rest + "}\n";
  }

  std::vector<json> commands;  // look after the client is gone

 private:
  static void say(const Fd& fd, const std::string& text) {
    // Byte by byte at first: the client must not depend on how lines arrive.
    for (const char c : text) {
      if (send(fd.get(), &c, 1, MSG_NOSIGNAL) != 1) return;
    }
  }

  SocketPair sockets_;
  std::thread thread_;
};

template <typename Work>
std::string complaint(Work work) {
  try {
    work();
    return "";
  } catch (const Failure& failure) {
    return failure.what();
  }
}

TEST(Qmp, a_command_has_arguments_and_returns_a_value) {
  FakeQemu server([](const json& command) {
    return FakeQemu::to(command, R"("return": {"status": "running", "given": )" +
                                     command["arguments"]["x"].dump() + "}");
  });
  {
    Qmp qmp(server.socket());
    const json value = qmp.execute("query-status", {{"x", 7}});
    EXPECT_EQ(value["status"], "running");
    EXPECT_EQ(value["given"], 7);
  }
}

TEST(Qmp, a_refused_command_throws_with_the_reason_and_the_next_one_works) {
  FakeQemu server([](const json& command) {
    return command["execute"] == "frobnicate"
               ? FakeQemu::to(command, R"("error": {"class": "CommandNotFound", "desc": "not here"})")
               : FakeQemu::to(command, R"("return": 5)");
  });
  Qmp qmp(server.socket());
  try {
    qmp.execute("frobnicate");
    ADD_FAILURE() << "no exception";
  } catch (const QmpError& error) {
    EXPECT_EQ(error.kind, "CommandNotFound");
    EXPECT_THAT(error.what(), HasSubstr("frobnicate: not here"));
  }
  EXPECT_EQ(qmp.execute("other"), 5);
}

TEST(Qmp, events_between_a_command_and_its_answer_are_kept_in_order) {
  FakeQemu server([](const json& command) {
    return R"({"event": "STOP", "data": {"n": 1}, "timestamp": {}})"
           "\n"
           R"({"event": "MIGRATION", "data": {"status": "setup"}})"
           "\n"
           R"({"event": "STOP", "data": {"n": 2}})"
           "\n" +
           FakeQemu::to(command, R"("return": {})") +
           R"({"event": "MIGRATION", "data": {"status": "completed"}})"
           "\n";
  });
  Qmp qmp(server.socket());
  qmp.execute("migrate");
  EXPECT_EQ(qmp.wait_event("MIGRATION",
                           [](const json& data) { return data["status"] == "completed"; })["status"],
            "completed");
  EXPECT_EQ(qmp.wait_event("STOP")["n"], 1);
  EXPECT_EQ(qmp.wait_event("STOP")["n"], 2);
  EXPECT_EQ(qmp.wait_event("MIGRATION")["status"], "setup");
  EXPECT_EQ(qmp.kept_events(), 0u);
}

TEST(Qmp, a_qemu_that_ends_is_a_failure_that_says_what_was_waited_for) {
  FakeQemu server([](const json&) { return ""; });
  Qmp qmp(server.socket());
  EXPECT_THAT(complaint([&] { qmp.execute("query-status"); }),
              testing::AllOf(HasSubstr("closed"), HasSubstr("query-status")));
}

TEST(Qmp, a_silent_qemu_is_a_failure) {
  FakeQemu server([](const json& command) { return FakeQemu::to(command, R"("return": {})"); });
  Qmp qmp(server.socket(), std::chrono::milliseconds(50));
  EXPECT_THAT(complaint([&] { qmp.wait_event("SHUTDOWN"); }),
              testing::AllOf(HasSubstr("silent"), HasSubstr("SHUTDOWN")));
}

TEST(Qmp, what_is_not_qmp_is_refused) {
  for (const char* greeting : {"hello\n", "[1]\n", "{}\n", "{\"QMP\"\n"}) {
    FakeQemu server([](const json&) { return ""; }, greeting);
    EXPECT_NE(complaint([&] { Qmp qmp(server.socket()); }), "") << greeting;
  }
}

TEST(SaveMachine, stops_and_waits_until_the_file_is_complete) {
  FakeQemu server([](const json& command) {
    const bool migrates = command["execute"] == "migrate";
    return FakeQemu::to(command, R"("return": {})") +
           (migrates ? R"({"event": "MIGRATION", "data": {"status": "active"}})"
                       "\n"
                       R"({"event": "MIGRATION", "data": {"status": "completed"}})"
                       "\n"
                     : "");
  });
  {
    Qmp qmp(server.socket());
    save_machine(qmp, "/some/file");
  }
  const auto executed = [&](const char* name) {
    return std::ranges::find_if(server.commands,
                                [&](const json& command) { return command["execute"] == name; });
  };
  ASSERT_NE(executed("migrate"), server.commands.end());
  EXPECT_EQ((*executed("migrate"))["arguments"]["uri"], "file:/some/file");
  EXPECT_LT(executed("stop"), executed("migrate"));
}

TEST(SaveMachine, says_why_it_failed) {
  FakeQemu server([](const json& command) {
    const std::string name = command["execute"];
    if (name == "migrate") {
      return FakeQemu::to(command, R"("return": {})") +
             R"({"event": "MIGRATION", "data": {"status": "failed"}})"
             "\n";
    }
    if (name == "query-migrate") {
      return FakeQemu::to(command, R"("return": {"status": "failed", "error-desc": "disk full"})");
    }
    return FakeQemu::to(command, R"("return": {})");
  });
  Qmp qmp(server.socket());
  EXPECT_THAT(complaint([&] { save_machine(qmp, "/some/file"); }), HasSubstr("disk full"));
}

}  // namespace
}  // namespace figment::host
