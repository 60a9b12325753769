// SPDX-License-Identifier: MIT
//
// Every allocation of a call fails once: a scenario that passes is repeated, with the first, the
// second, the third ... possible fault made to happen, until it passes without one. What is wanted:
// an error that says so or a call that did without, nothing left behind, no report in the log, and
// a GPU that works.
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <optional>
#include <string_view>

#include "fault_injection.h"
#include "footprint.h"
#include "guest.h"

namespace figment::guest {
namespace {

/// More steps than any scenario has.
constexpr unsigned kSweepEnd = 5000;

/// An ioctl as it is, without the restart of drmIoctl().
template <typename Request>
int once(int fd, unsigned long number, Request& request) {
  return ::ioctl(fd, number, &request) == 0 ? 0 : errno;
}

/// What a failed allocation, or a failed copy from or to user space, may become.
bool is_honest(int error) {
  return error == 0 || error == ENOMEM || error == EFAULT || error == ENOSPC || error == EINTR;
}

class Faults : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = FaultSettings::missing(); !missing.empty()) {
      GTEST_SKIP() << missing;
    }
    before_ = Footprint::at_rest();
    settings_.emplace();
  }
  void TearDown() override {
    if (!settings_) return;
    settings_.reset();
    EXPECT_EQ(Footprint::after(before_), before_) << "something is left";
  }

  /// `act` gives an errno or 0 and does, with faults armed, as little as possible beside the call
  /// that it is about; `undo` follows where it gave 0; `still_well` in each round.
  template <typename Act, typename Undo, typename StillWell>
  void sweep(const Act& act, const Undo& undo, const StillWell& still_well) {
    FailNth faults;
    unsigned failed = 0;
    for (unsigned nth = 1; nth < kSweepEnd; ++nth) {
      faults.arm(nth);
      const int error = act();
      const bool fired = faults.disarm();
      if (error == 0) undo();
      ASSERT_TRUE(is_honest(error)) << "fault " << nth << ": " << name(error);
      ASSERT_NO_FATAL_FAILURE(still_well()) << "after fault " << nth;
      failed += error != 0;
      if (fired) continue;
      EXPECT_DONE(error) << "although no fault happened";
      EXPECT_GT(nth, 1u) << "nothing here could fail";
      std::printf("%u faults, %u of them errors\n", nth - 1, failed);
      return;
    }
    FAIL() << "the sweep does not end";
  }
  template <typename Act, typename Undo>
  void sweep(const Act& act, const Undo& undo) {
    sweep(act, undo, [] {});
  }

 private:
  Footprint before_;
  std::optional<FaultSettings> settings_;
};

/// With a GPU whose jobs are looked at in every round.
class FaultsOf : public Faults {
 protected:
  void SetUp() override {
    Faults::SetUp();
    if (IsSkipped()) return;
    gpu_.emplace();
    fd_ = gpu_->device.fd();
  }
  void TearDown() override {
    gpu_.reset();
    Faults::TearDown();
  }

  template <typename Act, typename Undo>
  void sweep_calls(const Act& act, const Undo& undo) {
    sweep(act, undo, [this] { ASSERT_DONE(outcome(gpu_->queue.run({.at = GpuVa{}}))); });
  }

  int bind(const drm_figment_bind_op* ops, std::uint32_t count, const drm_figment_sync* sync) {
    drm_figment_vm_bind request = {.vm_id = gpu_->vm.id(),
                                   .flags = sync ? DRM_FIGMENT_VM_BIND_ASYNC : 0u,
                                   .ops = {sizeof(*ops), count, user_pointer(ops)},
                                   .syncs = {sizeof(*sync), sync ? 1u : 0u, user_pointer(sync)}};
    return once(fd_, DRM_IOCTL_FIGMENT_VM_BIND, request);
  }
  void unbind(GpuVa at, std::uint64_t bytes) { gpu_->vm.unmap({.at = at, .bytes = bytes}); }

  /// Synchronous, then asynchronous with a point of a timeline.
  void sweep_bind(
      const std::vector<drm_figment_bind_op>& ops, const std::function<void()>& undo,
      const std::function<void()>& prepare = [] {}) {
    sweep_calls(
        [&] {
          prepare();
          return bind(ops.data(), ops.size(), nullptr);
        },
        undo);
    const Syncobj timeline = gpu_->device.syncobj();
    drm_figment_sync sync = {.flags = DRM_FIGMENT_SYNC_SIGNAL | DRM_FIGMENT_SYNC_TIMELINE,
                             .handle = timeline.handle()};
    sweep_calls(
        [&] {
          prepare();
          ++sync.timeline_value;
          return bind(ops.data(), ops.size(), &sync);
        },
        undo);
  }

  std::optional<Gpu> gpu_;
  int fd_ = -1;
};

constexpr std::uint64_t kMany = 1_MiB;
/// User memory: each page of it is faults of its own.
constexpr std::uint64_t kUser = 64_KiB;

drm_figment_bind_op map_op(const Buffer& buffer, GpuVa at, std::uint64_t bytes) {
  return {
      .kind = DRM_FIGMENT_BIND_MAP, .handle = buffer.handle(), .address = at.value, .size = bytes};
}
drm_figment_bind_op userptr_op(const Mapping& memory, GpuVa at) {
  return {.kind = DRM_FIGMENT_BIND_MAP_USERPTR,
          .address = at.value,
          .size = memory.bytes().size(),
          .offset = user_pointer(memory.bytes().data())};
}

TEST_F(Faults, in_opening_the_device) {
  const std::string path = Device::open().node().path;
  int fd = -1;
  sweep([&] { return (fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC)) < 0 ? errno : 0; },
        [&] { ::close(fd); });
}

TEST_F(FaultsOf, device_query) {
  drm_figment_device_info info = {};
  sweep_calls(
      [&] {
        drm_figment_dev_query query = {.size = sizeof(info), .pointer = user_pointer(&info)};
        return once(fd_, DRM_IOCTL_FIGMENT_DEV_QUERY, query);
      },
      [] {});
}

TEST_F(FaultsOf, vm_create) {
  drm_figment_vm_create create = {};
  sweep_calls([&] { return once(fd_, DRM_IOCTL_FIGMENT_VM_CREATE, create); },
              [&] {
                EXPECT_DONE(raw(fd_, DRM_IOCTL_FIGMENT_VM_DESTROY,
                                drm_figment_vm_destroy{.id = create.id}));
              });
}

TEST_F(FaultsOf, vm_destroy_with_everything_in_it) {
  const Buffer buffer = gpu_->device.buffer({.bytes = kMany});
  const Mapping memory = anonymous_memory(kUser);
  std::optional<Vm> vm;
  std::optional<Queue> queue;
  std::uint32_t id = 0;
  const auto make = [&] {
    queue.reset();
    vm.reset();  // before its number is another's
    vm.emplace(gpu_->device.vm());
    queue.emplace(vm->queue());
    vm->map({.at = kData, .buffer = buffer});
    vm->map_userptr({.at = kData + 1_GiB, .memory = memory.bytes()});
    id = vm->id();
  };
  // In each round: when the answer cannot be copied out (EFAULT), the VM is destroyed all the same.
  sweep(
      [&] {
        drm_figment_vm_destroy destroy = {.id = id};
        return once(fd_, DRM_IOCTL_FIGMENT_VM_DESTROY, destroy);
      },
      [] {},
      [&] {
        ASSERT_DONE(outcome(gpu_->queue.run({.at = GpuVa{}})));
        make();
      });
}

TEST_F(FaultsOf, queue_create) {
  drm_figment_queue_create create = {.vm_id = gpu_->vm.id()};
  sweep_calls([&] { return once(fd_, DRM_IOCTL_FIGMENT_QUEUE_CREATE, create); },
              [&] {
                EXPECT_DONE(raw(fd_, DRM_IOCTL_FIGMENT_QUEUE_DESTROY,
                                drm_figment_queue_destroy{.id = create.id}));
              });
}

TEST_F(FaultsOf, user_queue_create_and_mmap) {
  if (!gpu_->device.offers(Strategy::preempt)) GTEST_SKIP() << "no preemption on offer";
  Vm vm = gpu_->device.vm({.strategy = Strategy::preempt});
  drm_figment_queue_create create = {};
  std::array<void*, 3> pages = {};
  const auto destroy = [&] {
    for (void* page : pages) {
      if (page != MAP_FAILED) ::munmap(page, kPageBytes);
    }
    EXPECT_DONE(
        raw(fd_, DRM_IOCTL_FIGMENT_QUEUE_DESTROY, drm_figment_queue_destroy{.id = create.id}));
  };
  sweep_calls(
      [&] {
        pages.fill(MAP_FAILED);
        create = {.vm_id = vm.id(),
                  .flags = DRM_FIGMENT_QUEUE_USER,
                  .ring_address = kData.value,
                  .ring_size = kPageBytes};
        if (const int error = once(fd_, DRM_IOCTL_FIGMENT_QUEUE_CREATE, create)) return error;
        int error = 0;
        for (std::size_t page = 0; page < pages.size() && error == 0; ++page) {
          pages[page] = ::mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED, fd_,
                               static_cast<off_t>(create.mmap_offset + page * kPageBytes));
          if (pages[page] == MAP_FAILED) error = errno;
        }
        if (error) destroy();
        return error;
      },
      destroy);
}

class FaultsOfBuffers : public FaultsOf, public testing::WithParamInterface<Placement> {};
INSTANTIATE_TEST_SUITE_P(in, FaultsOfBuffers, testing::Values(Placement::system, Placement::vram),
                         [](const auto& info) {
                           return info.param == Placement::vram ? "vram" : "system";
                         });

TEST_P(FaultsOfBuffers, create) {
  const std::uint32_t flags = GetParam() == Placement::vram ? DRM_FIGMENT_BO_VRAM : 0;
  drm_figment_bo_create create = {};
  sweep_calls(
      [&] {
        create = {.size = kMany, .flags = flags};
        return once(fd_, DRM_IOCTL_FIGMENT_BO_CREATE, create);
      },
      [&] { EXPECT_DONE(raw(fd_, DRM_IOCTL_GEM_CLOSE, drm_gem_close{.handle = create.handle})); });
}

TEST_P(FaultsOfBuffers, mmap_offset_and_mmap) {
  void* at = MAP_FAILED;
  // The pages come when they are touched; a fault then is a SIGBUS, and no errno of a call. The
  // kernel fills them at once for MAP_POPULATE, and says nothing.
  const auto map = [&](const Buffer& buffer) {
    drm_figment_bo_mmap_offset offset = {.handle = buffer.handle()};
    if (const int error = once(fd_, DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, offset)) return error;
    at = ::mmap(nullptr, kMany, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_,
                static_cast<off_t>(offset.offset));
    return at == MAP_FAILED ? errno : 0;
  };
  std::optional<Buffer> buffer;
  const auto make = [&] {
    buffer.emplace(gpu_->device.buffer({.bytes = kMany, .placement = GetParam()}));
  };
  make();
  sweep_calls([&] { return map(*buffer); },
              [&] {
                ::munmap(at, kMany);
                make();
              });
}

TEST_P(FaultsOfBuffers, bind) {
  const Buffer buffer = gpu_->device.buffer({.bytes = 4_MiB, .placement = GetParam()});
  // Not whole huge pages, so that there are tables to allocate.
  sweep_bind({map_op(buffer, kData + kPageBytes, 4_MiB - kPageBytes)},
             [&] { unbind(kData, 8_MiB); });
}

/// Of this process; returns how many there were.
unsigned close_dma_bufs() {
  unsigned closed = 0;
  for (int fd = 0; fd < 64; ++fd) {
    std::array<char, 64> target = {};
    const std::string link = std::format("/proc/self/fd/{}", fd);
    if (::readlink(link.c_str(), target.data(), target.size() - 1) < 0) continue;
    if (std::string_view(target.data()).starts_with("/dmabuf:")) closed += ::close(fd) == 0;
  }
  if (closed != 0) std::printf("%u dma-bufs of calls that failed\n", closed);
  return closed;
}

TEST_P(FaultsOfBuffers, export_and_import) {
  const Buffer buffer = gpu_->device.buffer({.bytes = kMany, .placement = GetParam()});
  const Device other = Device::open();
  drm_prime_handle prime = {};
  std::uint32_t imported = 0;
  sweep_calls(
      [&] {
        prime = {.handle = buffer.handle(), .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1};
        if (const int error = once(fd_, DRM_IOCTL_PRIME_HANDLE_TO_FD, prime)) {
          // DRM opens the file before it copies the number out. If that fails there is one that
          // nobody knows, and it holds the module until the process ends.
          if (close_dma_bufs() != 0) {
            EXPECT_ERRNO(error, EFAULT);
          }
          return error;
        }
        drm_prime_handle back = {.fd = prime.fd};
        const int error = once(other.fd(), DRM_IOCTL_PRIME_FD_TO_HANDLE, back);
        imported = back.handle;
        ::close(prime.fd);
        return error;
      },
      [&] {
        EXPECT_DONE(raw(other.fd(), DRM_IOCTL_GEM_CLOSE, drm_gem_close{.handle = imported}));
      });
}

TEST_F(FaultsOf, import_of_foreign_memory) {
  const UniqueFd maker(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
  if (!maker) GTEST_SKIP() << "this kernel has no udmabuf to import from: " << name(errno);
  const UniqueFd memory(::memfd_create("figment", MFD_ALLOW_SEALING | MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(memory.get(), kMany), 0);
  ASSERT_EQ(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  udmabuf_create create = {.memfd = static_cast<std::uint32_t>(memory.get()),
                           .flags = UDMABUF_FLAGS_CLOEXEC,
                           .offset = 0,
                           .size = kMany};
  const UniqueFd dmabuf(::ioctl(maker.get(), UDMABUF_CREATE, &create));
  ASSERT_TRUE(dmabuf) << name(errno);
  std::uint32_t handle = 0;
  sweep_calls(
      [&] {
        drm_prime_handle prime = {.fd = dmabuf.get()};
        if (const int error = once(fd_, DRM_IOCTL_PRIME_FD_TO_HANDLE, prime)) return error;
        handle = prime.handle;
        const drm_figment_bind_op op = {
            .kind = DRM_FIGMENT_BIND_MAP, .handle = handle, .address = kData.value, .size = kMany};
        const int error = bind(&op, 1, nullptr);
        if (error != 0) {
          drm_gem_close close = {.handle = handle};
          // With a fault armed this, too, must not fail.
          EXPECT_DONE(once(fd_, DRM_IOCTL_GEM_CLOSE, close));
        }
        return error;
      },
      [&] {
        unbind(kData, kMany);
        EXPECT_DONE(raw(fd_, DRM_IOCTL_GEM_CLOSE, drm_gem_close{.handle = handle}));
      });
}

TEST_F(FaultsOf, bind_of_user_memory) {
  const Mapping memory = anonymous_memory(kUser);
  sweep_bind(
      {userptr_op(memory, kData)}, [&] { unbind(kData, kUser); },
      [&] { ::madvise(memory.bytes().data(), kUser, MADV_DONTNEED); });
}

TEST_F(FaultsOf, bind_of_three_over_what_is_there) {
  const Mapping memory = anonymous_memory(kUser);
  const Buffer below = gpu_->device.buffer({.bytes = 4_MiB, .placement = Placement::vram});
  const Buffer above = gpu_->device.buffer({.bytes = 16_KiB});
  const auto restore = [&] { gpu_->vm.map({.at = kData, .buffer = below}); };
  restore();
  const GpuVa straddles = kData + (kHugePageBytes - kPageBytes);  // two tables
  sweep_bind(
      {{.kind = DRM_FIGMENT_BIND_UNMAP, .address = (kData + kPageBytes).value, .size = kPageBytes},
       userptr_op(memory, straddles),
       map_op(above, kData + (3_MiB - 8_KiB), 16_KiB)},
      restore);
  unbind(kData, 4_MiB);
}

TEST_F(FaultsOf, unbind_in_the_middle) {
  const Buffer buffer = gpu_->device.buffer({.bytes = 4_MiB, .placement = Placement::vram});
  const auto restore = [&] { gpu_->vm.map({.at = kData, .buffer = buffer}); };
  restore();
  sweep_bind(
      {{.kind = DRM_FIGMENT_BIND_UNMAP, .address = (kData + kPageBytes).value, .size = kPageBytes}},
      restore);
}

TEST_F(FaultsOf, submit) {
  const Syncobj timeline = gpu_->device.syncobj();
  const Syncobj done = gpu_->device.syncobj(true);
  std::array<drm_figment_sync, 3> syncs = {
      {{.handle = done.handle()},
       {.flags = DRM_FIGMENT_SYNC_SIGNAL, .handle = done.handle()},
       {.flags = DRM_FIGMENT_SYNC_SIGNAL | DRM_FIGMENT_SYNC_TIMELINE,
        .handle = timeline.handle()}}};
  sweep_calls(
      [&] {
        ++syncs[2].timeline_value;
        drm_figment_submit submit = {
            .queue_id = gpu_->queue.id(),
            .syncs = {sizeof(syncs[0]), syncs.size(), user_pointer(syncs.data())}};
        return once(fd_, DRM_IOCTL_FIGMENT_SUBMIT, submit);
      },
      [&] { EXPECT_TRUE(done.wait(after(kPatience))); });
}

TEST_F(FaultsOf, submit_that_pins_pages_again) {
  const Mapping memory = anonymous_memory(kUser);
  const Userptr userptr = gpu_->vm.userptr({.at = kData, .memory = memory.bytes()});
  sweep_calls(
      [&] {
        ::madvise(memory.bytes().data(), kUser, MADV_DONTNEED);
        drm_figment_submit submit = {.queue_id = gpu_->queue.id()};
        return once(fd_, DRM_IOCTL_FIGMENT_SUBMIT, submit);
      },
      [&] {
        EXPECT_DONE(gpu_->store(kData, 42));
        EXPECT_EQ(memory.as<std::uint64_t>()[0], 42u);
      });
}

/// What takes pages away from under the GPU cannot be refused by the driver.
TEST_F(FaultsOf, fork_under_user_memory) {
  const Mapping memory = anonymous_memory(kUser);
  const Userptr userptr = gpu_->vm.userptr({.at = kData, .memory = memory.bytes()});
  EXPECT_DONE(gpu_->store(kData, 1));
  pid_t child = 0;
  sweep_calls(
      [&] {
        child = ::fork();
        if (child == 0) ::_exit(0);
        // The kernel says EAGAIN for some that are no lack of processes.
        return child > 0 || errno == EAGAIN ? 0 : errno;
      },
      [&] {
        if (child > 0) ::waitpid(child, nullptr, 0);
        EXPECT_DONE(gpu_->store(kData, 2));
        EXPECT_EQ(memory.as<std::uint64_t>()[0], 2u);
      });
}

TEST_F(FaultsOf, munmap_under_user_memory) {
  std::optional<Mapping> memory;
  const auto make = [&] {
    memory.emplace(anonymous_memory(kUser));
    gpu_->vm.map_userptr({.at = kData, .memory = memory->bytes()});
    EXPECT_DONE(gpu_->store(kData, 1));
  };
  make();
  const std::uint64_t half = kUser / 2;
  sweep_calls([&] { return ::munmap(memory->bytes().data() + half / 2, half) == 0 ? 0 : errno; },
              make);
  unbind(kData, kUser);
}

/// Counts how often a function of the kernel is entered, by a kprobe of tracefs.
class Entries {
 public:
  explicit Entries(const std::string& function) {
    write(kFolder + "kprobe_events", "p:figment_test/entered " + function);
    write(kFolder + "events/figment_test/entered/enable", "1");
  }
  Entries(const Entries&) = delete;
  Entries& operator=(const Entries&) = delete;
  ~Entries() {
    try {
      write(kFolder + "events/figment_test/entered/enable", "0");
      write(kFolder + "kprobe_events", "-:figment_test/entered");
    } catch (const std::system_error&) {
      ADD_FAILURE() << "a kprobe stays";
    }
  }

  [[nodiscard]] static bool are_possible() {
    return std::filesystem::exists(kFolder + "kprobe_events");
  }
  [[nodiscard]] std::uint64_t count() const {
    std::ifstream profile(kFolder + "kprobe_profile");
    std::string event;
    std::uint64_t hits = 0;
    while (profile >> event >> hits) {
      if (event == "entered") return hits;
      profile.ignore(1000, '\n');
    }
    throw std::runtime_error("the kprobe is not there");
  }

 private:
  static inline const std::string kFolder = "/sys/kernel/tracing/";
  static void write(const std::string& path, const std::string& text) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    if (file && ::write(file.get(), text.data(), text.size()) > 0) return;
    const int error = errno;
    std::ifstream log(kFolder + "error_log");
    for (std::string line; std::getline(log, line);) std::printf("%s\n", line.c_str());
    fail(error, "write to " + path);
  }
};

/// From the last fault to the first that the driver has to do with. Not further: the kernel does
/// not survive each fault in drm_dev_init(), where drm_minor_alloc_release() puts a pointer that is
/// an error when the entry of a minor in sysfs could not be made (7.3).
/// A second for each of some hundred faults: on request.
TEST_F(Faults, in_probe) {
  if (std::getenv("FIGMENT_TEST_PROBE") == nullptr) {
    GTEST_SKIP() << "it takes minutes; FIGMENT_TEST_PROBE=1 in the environment runs it";
  }
  if (!Entries::are_possible()) GTEST_SKIP() << "this kernel has no kprobes in tracefs";
  const std::string bus = Device::open().node().bus;
  if (bus.empty()) GTEST_SKIP() << "the device is on no PCI bus that could be told to let it go";
  const std::string driver = "/sys/bus/pci/drivers/figment/";
  const UniqueFd bind(::open((driver + "bind").c_str(), O_WRONLY | O_CLOEXEC));
  const UniqueFd unbind(::open((driver + "unbind").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(bind && unbind);
  const auto write_bus = [&](const UniqueFd& file) {
    return ::pwrite(file.get(), bus.data(), bus.size(), 0) < 0 ? errno : 0;
  };
  const Entries entries("figment_device_init");
  FailNth faults;
  ASSERT_DONE(write_bus(unbind));
  constexpr unsigned kFar = 1'000'000;
  faults.arm(kFar);
  ASSERT_DONE(write_bus(bind));
  const unsigned all = kFar - faults.left();
  ASSERT_DONE(write_bus(unbind));
  unsigned nth = all;
  unsigned failed = 0;
  for (; nth > 0; --nth) {
    const std::uint64_t before = entries.count();
    faults.arm(nth);
    const int error = write_bus(bind);
    std::ignore = faults.disarm();
    if (error == 0) {
      ASSERT_DONE(write_bus(unbind));
    }
    ASSERT_TRUE(is_honest(error)) << "fault " << nth << " of " << all << ": " << name(error);
    failed += error != 0;
    if (entries.count() == before) break;
  }
  ASSERT_DONE(write_bus(bind));
  std::printf("%u faults, %u of them errors\n", all - nth, failed);
  EXPECT_GT(failed, 20u);
  Gpu gpu;
  EXPECT_DONE(outcome(gpu.queue.run({.at = GpuVa{}})));
}

}  // namespace
}  // namespace figment::guest
