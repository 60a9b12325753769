// SPDX-License-Identifier: MIT
//
// The driver comes and goes: module unload and reload, and unbinding from the device
// while a process holds it open.
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "guest.h"
#include "module_parameter.h"
#include "process.h"
#include "unbound_device.h"

namespace figment::guest {
namespace {

/// The module's file, from FIGMENT_MODULE; without it, modprobe must know the name.
std::optional<std::string> module_file() {
  const char* path = std::getenv("FIGMENT_MODULE");
  return path ? std::optional<std::string>(path) : std::nullopt;
}

int unload() {
  return ::syscall(SYS_delete_module, "figment", O_NONBLOCK) == 0 ? 0 : errno;
}

int load() {
  const auto path = module_file();
  if (!path) return std::system("modprobe figment") == 0 ? 0 : ENOENT;
  const UniqueFd fd(::open(path->c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno;
  return ::syscall(SYS_finit_module, fd.get(), "", 0) == 0 ? 0 : errno;
}

/// Nodes come and go a little later than the driver does, by way of devtmpfs.
bool nodes_come(std::size_t count) {
  return stress::poll_until([&] { return Device::nodes().size() == count; }, after(kPatience));
}

/// GPUs of all strategies on offer, each with a job that stays on memory of this process.
class BusyGpus {
 public:
  BusyGpus() {
    const Device device = Device::open();
    for (const auto& strategy : kStrategies) {
      if (!strategy.safe || !device.offers(strategy.strategy)) continue;
      Gpu& gpu = *gpus_.emplace_back(std::make_unique<Gpu>(strategy.strategy));
      gpu.vm.map_userptr({.at = kData, .memory = memory_.bytes()});
      CommandList list = gpu.gate();
      list.fill({.at = kData, .bytes = 8, .value = 1});
      if (strategy.long_running) {
        gpu.begin_on(gpu.queue, list);
      } else {
        fences_.push_back(gpu.start(list).sync_file());
      }
    }
  }
  /// All of them have ended, and badly.
  void expect_lost() {
    for (const UniqueFd& fence : fences_) {
      EXPECT_TRUE(stress::poll_until([&] { return sync_file_result(fence).has_value(); },
                                     after(kPatience)));
      EXPECT_ERRNO(sync_file_result(fence).value_or(0), ENODEV);
    }
    for (const auto& gpu : gpus_) EXPECT_ERRNO(gpu->run({}), ENODEV);
    EXPECT_EQ(memory_.as<std::uint64_t>()[0], 0u);
  }

 private:
  const Mapping memory_ = anonymous_memory(1_MiB);
  std::vector<std::unique_ptr<Gpu>> gpus_;
  std::vector<UniqueFd> fences_;
};

class Module : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists("/sys/module/figment/refcnt")) {
      GTEST_SKIP() << "the driver is built into the kernel: there is no module to unload";
    }
    if (!module_file() && std::system("modprobe -n -q figment") != 0) {
      GTEST_SKIP() << "nothing could load the module again: set FIGMENT_MODULE to its file";
    }
    nodes_ = Device::nodes().size();
  }

  std::size_t nodes_ = 0;
};

TEST_F(Module, is_busy_while_the_device_is_open) {
  Gpu gpu;
  EXPECT_ERRNO(unload(), EAGAIN);
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
}

TEST_F(Module, is_busy_while_a_buffer_is_mapped) {
  std::optional<Gpu> gpu(std::in_place);
  const Mapping view = gpu->device.buffer({}).map();
  gpu.reset();
  EXPECT_ERRNO(unload(), EAGAIN);
  view.as<std::uint64_t>()[0] = 1;
}

TEST_F(Module, unloads_and_loads_again) {
  for (int round = 0; round < 3; ++round) {
    {
      Gpu gpu;
      EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
    }
    // A file is closed for good a little after close(): by a worker of the kernel.
    int error = EAGAIN;
    EXPECT_TRUE(stress::poll_until([&] { return (error = unload()) != EAGAIN; }, after(kPatience)));
    ASSERT_DONE(error);
    EXPECT_TRUE(nodes_come(0));
    ASSERT_DONE(load());
    ASSERT_TRUE(nodes_come(nodes_)) << "round " << round;
  }
  Gpu gpu;
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
}

// Their files are closed for good while their jobs are still on the device.
TEST_F(Module, unloads_after_busy_processes_were_killed) {
  for (int round = 0; round < 2; ++round) {
    // A process that goes may have to wait for its jobs.
    set_module_parameter("job_timeout_ms", "100");
    std::array<int, 2> pipe;
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const UniqueFd busy(pipe[0]);
    UniqueFd say(pipe[1]);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      stress::die_with_parent();
      try {
        const BusyGpus gpus;
        std::ignore = ::write(say.get(), "b", 1);
        for (;;) ::pause();
      } catch (const std::exception&) {
        ::_exit(1);
      }
    }
    say = UniqueFd();
    char byte = 0;
    EXPECT_EQ(::read(busy.get(), &byte, 1), 1) << "the child has failed";
    ::kill(child, SIGKILL);
    EXPECT_EQ(::waitpid(child, nullptr, 0), child);
    int error = EAGAIN;
    EXPECT_TRUE(stress::poll_until([&] { return (error = unload()) != EAGAIN; }, after(kPatience)));
    ASSERT_DONE(error);
    ASSERT_DONE(load());
    ASSERT_TRUE(nodes_come(nodes_)) << "round " << round;
  }
  Gpu gpu;
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
}

class Unbind : public testing::Test {
 protected:
  void SetUp() override {
    const Device device = Device::open();
    if (!can_be_unbound(device)) {
      GTEST_SKIP() << "the device is on no PCI bus that could be told to let it go";
    }
    bus_ = device.node().bus;
  }

  void unbind() { unbound_.emplace(Device::open()); }
  void bind() { unbound_.reset(); }
  /// The device that was unbound; its place among others may be another now.
  void expect_works() {
    const auto nodes = Device::nodes();
    const auto found = std::ranges::find(nodes, bus_, &Device::Node::bus);
    ASSERT_NE(found, nodes.end());
    Gpu gpu(VmConfig{}, static_cast<unsigned>(found - nodes.begin()));
    EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
  }

  std::string bus_;
  std::optional<UnboundDevice> unbound_;
};

TEST_F(Unbind, and_bind_again_gives_a_device_that_works) {
  for (int round = 0; round < 3; ++round) {
    unbind();
    bind();
    expect_works();
  }
}

TEST_F(Unbind, under_an_open_device_makes_everything_enodev) {
  std::optional<Gpu> gpu(std::in_place);
  const int fd = gpu->device.fd();
  const Buffer buffer = gpu->device.buffer({});
  unbind();
  EXPECT_ERRNO(raw(fd, DRM_IOCTL_FIGMENT_BO_CREATE, drm_figment_bo_create{.size = 4096}), ENODEV);
  EXPECT_ERRNO(raw(fd, DRM_IOCTL_FIGMENT_VM_CREATE, drm_figment_vm_create{}), ENODEV);
  EXPECT_ERRNO(raw(fd, DRM_IOCTL_FIGMENT_SUBMIT, drm_figment_submit{.queue_id = gpu->queue.id()}),
               ENODEV);
  drm_figment_dev_query query = {.size = 0};
  EXPECT_ERRNO(raw(fd, DRM_IOCTL_FIGMENT_DEV_QUERY, query), ENODEV);
  bind();
  expect_works();
  EXPECT_ERRNO(raw(fd, DRM_IOCTL_FIGMENT_VM_CREATE, drm_figment_vm_create{}), ENODEV);
  gpu.reset();
  expect_works();
}

TEST_F(Unbind, under_a_running_job_ends_it) {
  Gpu gpu;
  const Mapping memory = anonymous_memory(1_MiB);
  gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
  const UniqueFd running = gpu.close_gate(gpu.queue).sync_file();
  const UniqueFd waiting = gpu.queue.run({.at = GpuVa{}}).sync_file();
  unbind();
  for (const UniqueFd* file : {&running, &waiting}) {
    EXPECT_TRUE(
        stress::poll_until([&] { return sync_file_result(*file).has_value(); }, after(kPatience)));
    EXPECT_NE(sync_file_result(*file), 0) << "a job that never ran has ended well";
  }
  // The memory is the process's alone now, and so is its life.
  memory.as<std::uint64_t>()[0] = 1;
  bind();
  expect_works();
}

TEST_F(Unbind, under_jobs_of_all_strategies_ends_them) {
  for (int round = 0; round < 2; ++round) {
    BusyGpus gpus;
    unbind();
    gpus.expect_lost();
    bind();
    expect_works();
  }
}

TEST_F(Unbind, ends_the_wait_for_a_user_fence) {
  const Device device = Device::open();
  const std::uint64_t word = 0;
  int error = 0;
  std::thread waiter([&] {
    try {
      std::ignore = wait(device.fd(), {.word = &word, .reference = 1}, after(kPatience));
    } catch (const std::system_error& end) {
      error = end.code().value();
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  unbind();
  waiter.join();
  EXPECT_ERRNO(error, ENODEV);
  bind();
  expect_works();
}

}  // namespace
}  // namespace figment::guest
