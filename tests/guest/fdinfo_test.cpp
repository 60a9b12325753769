// SPDX-License-Identifier: MIT
//
// What the kernel tells monitors about the clients of the device (fdinfo), and the monitor that is
// here, figment-top.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>
#include <xf86drm.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "figment/error.h"
#include "guest.h"
#include "usage.h"

namespace figment::guest {
namespace {

using Json = nlohmann::json;

/// As a monitor reads it of the open file.
top::Client client_of(const Device& device) {
  std::ifstream file(std::format("/proc/self/fdinfo/{}", device.fd()));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto client = top::parse_fdinfo(text);
  if (!client) throw std::runtime_error("fdinfo is that of no client: " + text);
  return *client;
}

TEST(Fdinfo, tells_clients_apart) {
  const Device device = Device::open(), other = Device::open();
  EXPECT_NE(client_of(device).id, client_of(other).id);
  EXPECT_EQ(client_of(device).gpu, device.node().bus);
}

TEST(Fdinfo, has_the_name_that_a_client_gives_itself) {
  // Newer than the headers of libdrm.
  struct {
    std::uint64_t bytes, name;
  } request = {};
  const Device device = Device::open();
  EXPECT_EQ(client_of(device).name, "");
  const std::string name = "painter";
  request = {.bytes = name.size(), .name = user_pointer(name.c_str())};
  ASSERT_DONE(raw(device.fd(), DRM_IOWR(0xd1, request), request));
  EXPECT_EQ(client_of(device).name, name);
}

TEST(Fdinfo, counts_buffers_in_the_memory_where_they_are) {
  const Device device = Device::open();
  EXPECT_EQ(client_of(device).regions.at("vram"), top::Region{});
  const Buffer vram = device.buffer({.bytes = 1_MiB, .placement = Placement::vram});
  EXPECT_EQ(client_of(device).regions.at("vram"), (top::Region{.total = 1_MiB, .resident = 1_MiB}));
  const Buffer buffer = device.buffer({.bytes = 3_MiB});
  EXPECT_EQ(client_of(device).regions.at("memory"), (top::Region{.total = 3_MiB}))
      << "nobody has touched it";
  const Mapping view = buffer.map();
  std::memset(view.bytes().data(), 1, view.bytes().size());
  EXPECT_EQ(client_of(device).regions.at("memory"),
            (top::Region{.total = 3_MiB, .resident = 3_MiB}));
}

TEST(Fdinfo, counts_a_buffer_of_two_clients_as_shared_by_both) {
  const Device device = Device::open(), other = Device::open();
  const Buffer buffer = device.buffer({.bytes = 1_MiB});
  EXPECT_EQ(client_of(device).regions.at("memory").shared, 0u);
  int file = -1;
  std::uint32_t handle = 0;
  ASSERT_EQ(drmPrimeHandleToFD(device.fd(), buffer.handle(), DRM_CLOEXEC, &file), 0);
  ASSERT_EQ(drmPrimeFDToHandle(other.fd(), file, &handle), 0);
  ::close(file);
  for (const Device* each : {&device, &other}) {
    EXPECT_EQ(client_of(*each).regions.at("memory").shared, 1_MiB);
  }
}

TEST_F(GpuTest, has_engines_whose_time_counts_when_a_job_has_ended) {
  const auto engine = [&] { return client_of(gpu_.device).engines.at("figment"); };
  EXPECT_EQ(engine().capacity, gpu_.device.info().engines);
  const Fence job = gpu_.close_gate(gpu_.queue);
  const std::uint64_t before = engine().busy_ns;
  gpu_.open_gate();
  ASSERT_DONE(outcome(job));
  EXPECT_GT(engine().busy_ns, before);
  EXPECT_GT(client_of(Device::open()).engines.size(), 0u) << "also of one that does nothing";
}

/// What one run of figment-top tells of this process.
Json told_by_top() {
  FILE* const top = ::popen("figment-top --once --json --interval 0.2", "r");
  if (!top) fail(errno, "popen");
  std::string text;
  std::array<char, 4096> bytes;
  while (const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), top)) {
    text.append(bytes.data(), count);
  }
  EXPECT_EQ(::pclose(top), 0);
  const Json all = Json::parse(text);
  const auto own = std::ranges::find_if(
      all, [](const Json& each) { return each.at("pid") == static_cast<unsigned>(::getpid()); });
  return own == all.end() ? Json() : *own;
}

TEST(Top, sees_a_process_that_is_busy_and_none_that_is_not) {
  ASSERT_EQ(told_by_top(), Json()) << "this process has no GPU open";
  Gpu gpu;
  const Buffer buffer = gpu.device.buffer({.bytes = 1_MiB, .placement = Placement::vram});
  const Json idle = told_by_top();
  ASSERT_EQ(idle.value("gpu", ""), gpu.device.node().bus);
  EXPECT_EQ(idle.at("engines").at("figment").at("busy_ns"), 0u);
  EXPECT_EQ(idle.at("memory_bytes").at("vram").at("resident"), 1_MiB);
  // Jobs that end while it looks: from one thread, while another one waits for the tool.
  std::atomic<bool> done = false;
  std::jthread worker([&] {
    CommandList list;
    list.spin(std::chrono::milliseconds(1));
    while (!done) EXPECT_DONE(gpu.run(list));
  });
  const Json busy = told_by_top();
  done = true;
  EXPECT_GT(busy.at("engines").at("figment").at("busy_ns"), 0u);
  EXPECT_GT(busy.at("engines").at("figment").at("percent"), 0.0);
}

}  // namespace
}  // namespace figment::guest
