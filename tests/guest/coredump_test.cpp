// SPDX-License-Identifier: MIT
//
// Device coredumps: after a job has gone wrong there is one, and figment-decode says whose job it
// was, on which queue, and at which packet.
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "figment_hw.h"
#include "guest.h"
#include "module_parameter.h"
#include "process.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kClass = "/sys/class/devcoredump";

class Coredump : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kClass)) {
      GTEST_SKIP() << "this kernel keeps no device coredumps: CONFIG_DEV_COREDUMP";
    }
    dismiss();
  }
  void TearDown() override { dismiss(); }

  /// The dump of our device, or an empty path.
  std::filesystem::path dump() const {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(kClass, none)) {
      const auto device = std::filesystem::read_symlink(entry.path() / "failing_device", none);
      if (device.filename() == gpu_.device.node().bus) return entry.path() / "data";
    }
    return {};
  }
  void dismiss() const {
    ASSERT_TRUE(stress::poll_until(
        [&] {
          const auto data = dump();
          if (data.empty()) return true;
          std::ofstream(data) << 1 << std::flush;
          return false;
        },
        after(kPatience)));
  }

  /// What figment-decode makes of the dump that `failure` leaves. It may have to fail more than
  /// once: tests before this one may have failed so often that the driver has become tired of it.
  json decoded(const std::function<void()>& failure) {
    const Deadline deadline = after(kPatience);
    do {
      failure();
      // A worker writes it.
      std::ignore = stress::poll_until([&] { return !dump().empty(); }, after(500ms));
    } while (dump().empty() && Clock::now() < deadline);
    return json::parse(output_of("figment-decode --json"));
  }
  static std::string output_of(const std::string& command) {
    std::FILE* pipe = ::popen(command.c_str(), "r");
    if (!pipe) fail(errno, command);
    std::string text;
    for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    if (const int status = ::pclose(pipe); status != 0) {
      throw std::runtime_error(std::format("{}: status {:#x}", command, status));
    }
    return text;
  }
  static std::vector<std::string> packets_of(const json& buffer) {
    std::vector<std::string> texts;
    for (const auto& packet : buffer.at("packets")) texts.push_back(packet.at("packet"));
    return texts;
  }
  static CommandList bad_packet() {
    CommandList list;
    const std::uint64_t header = FIGMENT_PACKET(0x77, 1, 0);
    return list.spin(1us).raw({&header, 1});
  }

  ScopedModuleParameter timeout_{"job_timeout_ms", "300"};
  Gpu gpu_;
};

TEST_F(Coredump, names_the_process_the_queue_and_the_packets_of_a_job_that_hangs) {
  const json said = decoded([&] {
    CommandList list;
    list.nop(2);
    // Not open_gate(): it is to stay.
    EXPECT_ERRNO(outcome(gpu_.start(gpu_.gate(list))), ETIME);
  });
  EXPECT_EQ(said["error"], "ETIME");
  EXPECT_EQ(said["code"], "NONE");
  EXPECT_EQ(said["complete"], true);
  EXPECT_EQ(said["device"], gpu_.device.node().bus);
  EXPECT_EQ(said["job"]["pid"], ::getpid());
  EXPECT_EQ(said["job"]["process"], "figment-guest-t") << "as far as the kernel keeps names";
  EXPECT_EQ(said["queue"]["strategy"], "fence");
  EXPECT_THAT(std::string(said["at"]["packet"]), StartsWith("INDIRECT"));
  ASSERT_FALSE(said["buffers"].empty());
  const std::vector<std::string> packets = packets_of(said["buffers"][0]);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0], "NOP of 2 qwords");
  EXPECT_THAT(packets[1], StartsWith("WAIT until the word at"));
  EXPECT_EQ(said["in_flight"][0]["seqno"], said["job"]["seqno"]);

  // The registers are from before the reset.
  const auto queue = std::ranges::find_if(
      said["queues"], [&](const json& one) { return one["queue"] == said["queue"]["queue"]; });
  ASSERT_NE(queue, said["queues"].end());
  EXPECT_EQ((*queue)["state"], "READY");
  EXPECT_FALSE((*queue)["engine"].is_null());
  EXPECT_EQ(said["registers"]["ID"], FIGMENT_ID);

  const std::string text = output_of("figment-decode --dismiss");
  EXPECT_THAT(text, HasSubstr(std::format("of figment-guest-t (pid {})", ::getpid())));
  EXPECT_THAT(text, HasSubstr("failed with ETIME"));
  EXPECT_TRUE(stress::poll_until([&] { return dump().empty(); }, after(kPatience)));
}

// The packets of a user queue are those of its ring that were left.
TEST_F(Coredump, shows_the_ring_of_a_user_queue) {
  if (!gpu_.device.offers(Strategy::preempt)) GTEST_SKIP() << "no long-running VM on offer";
  const json said = decoded([&] {
    Gpu gpu(Strategy::preempt);
    UserQueue queue = gpu.vm.user_queue({.at = kData});
    CommandList good;
    EXPECT_EQ(queue.wait(queue.submit(good.nop(7)), after(kPatience)), WaitEnd::holds);
    EXPECT_EQ(queue.wait(queue.submit(bad_packet()), after(kPatience)), WaitEnd::job_failed);
  });
  EXPECT_EQ(said["code"], "OPCODE");
  EXPECT_EQ(said["complete"], true);
  EXPECT_EQ(said["job"]["pid"], ::getpid());
  EXPECT_EQ(said["queue"]["strategy"], "preempt");
  ASSERT_FALSE(said["buffers"].empty());
  const json& packets = said["buffers"][0]["packets"];
  EXPECT_EQ(packets[0]["at"], said["address"]);
  EXPECT_EQ(packets[0]["problem"], "opcode 0x77 is unknown");
}

TEST_F(Coredump, marks_a_packet_that_is_malformed) {
  const json said = decoded([&] { EXPECT_ERRNO(gpu_.run(bad_packet()), EINVAL); });
  EXPECT_EQ(said["code"], "OPCODE");
  const json& packets = said["buffers"][0]["packets"];
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[1]["at"], said["address"]);
  EXPECT_EQ(packets[1]["problem"], "opcode 0x77 is unknown");
}

TEST_F(Coredump, shows_the_way_to_an_address_that_is_not_mapped) {
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData, .buffer = buffer, .access = Access::read_only});
  const json said = decoded([&] { EXPECT_ERRNO(gpu_.store(kData, 1), EFAULT); });
  EXPECT_EQ(said["code"], "PERMISSION");
  EXPECT_EQ(said["walk"]["address"], kData.value);
  const json& entries = said["walk"]["entries"];
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[3]["level"], 0);
  const std::uint64_t leaf = entries[3]["entry"];
  EXPECT_EQ(leaf & (FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE),
            FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF);
  EXPECT_TRUE(std::ranges::any_of(said["mappings"], [](const json& mapping) {
    return mapping["first"] == kData.value && mapping["access"] == "ro" &&
           mapping["kind"] == "system";
  }));
}

TEST_F(Coredump, has_packets_in_buffers_and_none_of_a_process) {
  const GpuVa in_vram = kData, of_process = kData + 1_GiB;
  const Buffer vram = gpu_.device.buffer({.bytes = kPageBytes, .placement = Placement::vram});
  const Mapping memory = anonymous_memory(kPageBytes);
  gpu_.vm.map({.at = in_vram, .buffer = vram});
  gpu_.vm.map_userptr({.at = of_process, .memory = memory.bytes()});
  CommandList called = bad_packet();
  called.write_to(memory.bytes());
  CommandList first;
  first.spin(2us).indirect({.at = of_process, .bytes = called.bytes()});
  first.write_to(vram.map().bytes());

  const json said = decoded([&] {
    EXPECT_ERRNO(outcome(gpu_.queue.run({.at = in_vram, .bytes = first.bytes()})), EINVAL);
  });
  ASSERT_EQ(said["buffers"].size(), 2u);
  EXPECT_EQ(packets_of(said["buffers"][0]).at(0), "SPIN 2000 ns");
  EXPECT_EQ(said["buffers"][1]["address"], of_process.value);
  EXPECT_EQ(said["buffers"][1]["missing"], "memory of a process");
  EXPECT_TRUE(said["buffers"][1]["packets"].empty());
}

TEST_F(Coredump, is_of_the_first_job_until_it_is_dismissed) {
  const json first = decoded([&] { EXPECT_ERRNO(gpu_.run(bad_packet()), EINVAL); });
  EXPECT_ERRNO(gpu_.store(kHole, 1), EFAULT);
  // Whatever becomes of that one is over when a later one could be there.
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(json::parse(output_of("figment-decode --json"))["job"]["seqno"], first["job"]["seqno"]);
  dismiss();
  const json next = decoded([&] { EXPECT_ERRNO(gpu_.store(kHole, 1), EFAULT); });
  EXPECT_EQ(next["code"], "UNMAPPED");
  EXPECT_GT(next["job"]["seqno"], first["job"]["seqno"]);
}

TEST_F(Coredump, names_the_process_that_submitted_and_not_the_one_that_opened) {
  // Such a name could be taken for the next section.
  constexpr const char* kName = "a\n[ring]\x01";
  const json said = decoded([&] {
    EXPECT_EQ(in_child([&] {
                ::prctl(PR_SET_NAME, kName);
                return gpu_.run(bad_packet());
              }),
              EINVAL);
  });
  EXPECT_NE(said["job"]["pid"], ::getpid());
  EXPECT_EQ(said["job"]["process"], "a\\n[ring]\\001");
  EXPECT_FALSE(said["ring"].empty());
}

}  // namespace
}  // namespace figment::guest
