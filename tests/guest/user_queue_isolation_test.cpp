// SPDX-License-Identifier: MIT
//
// User queues of processes that do not play by the rules, and of those whose device is reset, or
// goes: it costs nobody but themselves.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "debugfs_counts.h"
#include "figment_hw.h"
#include "inject_file.h"
#include "module_parameter.h"
#include "process.h"
#include "unbound_device.h"
#include "user_queue.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;

class UserQueueIsolation : public UserQueueFixture {};

INSTANTIATE_TEST_SUITE_P(strategies, UserQueueIsolation,
                         testing::Values(Strategy::preempt, Strategy::fault), strategy_name);

/// A page of a user queue, as mmap() has it; or the errno.
class Page {
 public:
  Page(int fd, std::uint64_t offset, int protection = PROT_READ | PROT_WRITE,
       int flags = MAP_SHARED, std::uint64_t bytes = kPageBytes)
      : bytes_(bytes),
        at_(::mmap(nullptr, bytes, protection, flags, fd, static_cast<off_t>(offset))),
        error_(at_ == MAP_FAILED ? errno : 0) {}
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() {
    if (!error_) ::munmap(at_, bytes_);
  }
  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] void* at() const { return at_; }
  [[nodiscard]] volatile std::uint64_t& word() const {
    return *static_cast<volatile std::uint64_t*>(at_);
  }

 private:
  std::uint64_t bytes_;
  void* at_;
  int error_;
};

/// Whether the kernel could read there on behalf of this process.
bool is_mapped(const volatile void* at) {
  std::array<int, 2> pipe;
  if (::pipe2(pipe.data(), O_CLOEXEC)) fail(errno, "pipe");
  const UniqueFd in(pipe[0]), out(pipe[1]);
  return ::write(out.get(), const_cast<const void*>(at), 8) == 8;
}

// --- QUEUE_CREATE and SUBMIT ------------------------------------------------------------------

TEST_P(UserQueueIsolation, ring_has_to_be_one) {
  struct Bad {
    std::uint64_t address, size;
  };
  const drm_figment_device_info& info = gpu_.device.info();
  for (const auto& [address, size] :
       {Bad{kRing.value, 0}, Bad{kRing.value, 2048}, Bad{kRing.value, 3 * kPageBytes},
        Bad{kRing.value, 8_MiB}, Bad{kRing.value, ~0ull}, Bad{kRing.value + 8, kPageBytes},
        Bad{0, kPageBytes}, Bad{info.va_start - kPageBytes, kPageBytes},
        Bad{info.va_end, kPageBytes}, Bad{info.va_end - kPageBytes, 2 * kPageBytes},
        Bad{~0ull << 12, kPageBytes}, Bad{1ull << 63, kPageBytes}}) {
    drm_figment_queue_create bad = request();
    bad.ring_address = address;
    bad.ring_size = size;
    EXPECT_ERRNO(create(bad), EINVAL) << std::format("{:#x} at {:#x}", size, address);
  }
  drm_figment_queue_create bad = request();
  bad.flags = 0;
  EXPECT_ERRNO(create(bad), EINVAL) << "a ring for a queue that has one";
  bad = request();
  bad.flags |= 1u << 31;
  EXPECT_ERRNO(create(bad), EINVAL);
  for (const std::uint64_t size : {4_KiB, 4_MiB}) {
    drm_figment_queue_create good = request();
    good.ring_size = size;
    EXPECT_DONE(create(good));
    destroy(good.id);
  }
}

TEST_P(UserQueueIsolation, submit_is_refused) {
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  EXPECT_ERRNO(
      raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT, drm_figment_submit{.queue_id = queue.id()}),
      EINVAL);
  expect_works(queue);
  expect_healthy();
}

TEST(UserQueueStrategies, with_dma_fences_are_refused) {
  for (const Strategy strategy : {Strategy::fence, Strategy::pin}) {
    Gpu gpu(strategy);
    drm_figment_queue_create request = {.vm_id = gpu.vm.id(),
                                        .flags = DRM_FIGMENT_QUEUE_USER,
                                        .ring_address = kRing.value,
                                        .ring_size = kPageBytes};
    EXPECT_ERRNO(raw(gpu.device.fd(), DRM_IOCTL_FIGMENT_QUEUE_CREATE, request), EOPNOTSUPP);
  }
}

// --- mappings ---------------------------------------------------------------------------------

TEST_P(UserQueueIsolation, pages_are_mapped_one_by_one_and_by_their_file_only) {
  drm_figment_queue_create queue = request();
  ASSERT_DONE(create(queue));
  const int fd = gpu_.device.fd();
  const std::uint64_t at = queue.mmap_offset;
  constexpr int kBoth = PROT_READ | PROT_WRITE;
  EXPECT_ERRNO(Page(fd, at, kBoth, MAP_SHARED, 2 * kPageBytes).error(), EINVAL);
  EXPECT_ERRNO(Page(fd, at, kBoth, MAP_SHARED, 3 * kPageBytes).error(), EINVAL);
  EXPECT_ERRNO(Page(fd, at, kBoth, MAP_PRIVATE).error(), EINVAL);
  EXPECT_ERRNO(Page(fd, at + 3 * kPageBytes).error(), EINVAL) << "there is no such page";
  EXPECT_ERRNO(Page(fd, at + 4 * kPageBytes).error(), EINVAL) << "of another queue, of nobody";
  EXPECT_ERRNO(Page(fd, at + (1ull << 40)).error(), EINVAL);
  EXPECT_ERRNO(Page(fd, at + DRM_FIGMENT_USER_QUEUE_STATUS).error(), EACCES);
  const Page status(fd, at + DRM_FIGMENT_USER_QUEUE_STATUS, PROT_READ);
  ASSERT_DONE(status.error());
  EXPECT_EQ(::mprotect(status.at(), kPageBytes, kBoth), -1);
  EXPECT_ERRNO(errno, EACCES);
  // Another file of the same process is another client.
  const Gpu other(GetParam());
  for (const std::uint64_t page : {0, 1, 2}) {
    EXPECT_ERRNO(Page(other.device.fd(), at + page * kPageBytes, PROT_READ).error(), EINVAL);
  }
  const Page doorbell(fd, at + DRM_FIGMENT_USER_QUEUE_DOORBELL);
  ASSERT_DONE(doorbell.error());
  EXPECT_EQ(::madvise(doorbell.at(), kPageBytes, MADV_DOFORK), -1);
  // None of it is memory that could be bound, or pinned.
  EXPECT_ERRNO(bind_raw(reinterpret_cast<std::uint64_t>(doorbell.at()), kPageBytes), EOPNOTSUPP);
  EXPECT_ERRNO(bind_raw(reinterpret_cast<std::uint64_t>(status.at()), kPageBytes), EOPNOTSUPP);
  destroy(queue.id);
}

TEST_P(UserQueueIsolation, queue_of_the_kernel_has_no_pages) {
  drm_figment_queue_create queue = request();
  ASSERT_DONE(create(queue));
  destroy(queue.id);
  const std::uint64_t first = queue.mmap_offset & ~((1ull << 20) - 1);
  for (std::uint64_t n = 0; n < gpu_.device.info().queues; ++n) {
    for (const std::uint64_t page : {0, 1, 2}) {
      EXPECT_ERRNO(Page(gpu_.device.fd(), first + (4 * n + page) * kPageBytes, PROT_READ).error(),
                   EINVAL);
    }
  }
}

TEST_P(UserQueueIsolation, child_has_none_of_the_pages) {
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  ASSERT_TRUE(is_mapped(&queue.index()));
  EXPECT_EQ(in_child([&] { return is_mapped(&queue.index()) + 2 * is_mapped(&queue.doorbell()); }),
            0);
  expect_works(queue);
}

// --- what a process may write -----------------------------------------------------------------

// The device says what is wrong with a doorbell, and whoever rang has the damage.
TEST_P(UserQueueIsolation, wrong_doorbell_ends_the_queue) {
  UserQueue innocent = gpu_.vm.user_queue({.at = kRing});
  for (const std::uint64_t value : {4ull, 4104ull, ~0ull, ~7ull, 1ull << 40}) {
    UserQueue queue = gpu_.vm.user_queue({.at = kRing + 1_MiB, .ring_bytes = 4_KiB});
    expect_works(queue);
    const std::uint64_t rung = queue.written() + value;
    queue.doorbell() = rung;
    expect_error(queue, EINVAL, FIGMENT_CODE_DOORBELL);
    EXPECT_EQ(queue.query().last_address, rung);
    // What follows goes nowhere, whatever it is.
    queue.doorbell() = queue.written() + 8;
    EXPECT_THROW(
        {
          for (;;) queue.submit({});
        },
        std::system_error);
    gpu_.vm.unmap({.at = kRing + 1_MiB, .bytes = 2 * kPageBytes});
  }
  expect_works(innocent);
  expect_healthy();
}

TEST_P(UserQueueIsolation, wrong_accesses_to_the_doorbell_page_do_nothing) {
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  volatile std::uint64_t* page = &queue.doorbell();
  for (int n = 0; n < 512; n += 13) {
    std::ignore = page[n];
    if (n) page[n] = ~0ull;
    reinterpret_cast<volatile std::uint32_t*>(page)[2 * n] = 1;
    reinterpret_cast<volatile std::uint8_t*>(page)[8 * n + 3] = 1;
  }
  expect_works(queue);
}

// What the driver reads when it lets the queue on the device: it ends with an error, and the log
// stays clean.
class HostileUserQueueIndex : public UserQueueFixture {};

INSTANTIATE_TEST_SUITE_P(strategies, HostileUserQueueIndex, testing::Values(Strategy::preempt),
                         strategy_name);

TEST_P(HostileUserQueueIndex, ends_the_queue_when_it_comes_back) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserQueue innocent = gpu_.vm.user_queue({.at = kRing});
  for (const std::uint64_t value : {4ull, 4104ull, ~0ull, ~7ull, 1ull << 40}) {
    UserQueue queue = gpu_.vm.user_queue({.at = kRing + 1_MiB, .ring_bytes = 4_KiB});
    expect_works(queue);
    memory.as<std::uint64_t>()[0] = 1;
    EXPECT_DONE(gpu_.store(kData, 1));
    const std::uint64_t wrong = queue.written() + value;
    queue.index().write = wrong;
    disturb(memory.bytes());
    expect_error(queue, EINVAL, FIGMENT_CODE_DOORBELL);
    EXPECT_EQ(queue.query().last_address, wrong);
    expect_works(innocent);
    gpu_.vm.unmap({.at = kRing + 1_MiB, .bytes = 2 * kPageBytes});
  }
  expect_healthy();
}

// It changes all the time, and nothing that is seen twice is the same.
TEST_P(HostileUserQueueIndex, that_never_rests_harms_nobody) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserQueue innocent = gpu_.vm.user_queue({.at = kRing});
  for (int round = 0; round < 30; ++round) {
    UserQueue queue = gpu_.vm.user_queue({.at = kRing + 1_MiB, .ring_bytes = 4_KiB});
    std::atomic<bool> stop = false;
    std::thread writer([&] {
      for (std::uint64_t n = 0; !stop; n += 8) {
        __atomic_store_n(&queue.index().write, round % 3 ? n % 4104 : n * n, __ATOMIC_RELAXED);
        if (round % 2) queue.doorbell() = n;
      }
    });
    for (int n = 0; n < 5; ++n) {
      disturb(memory.bytes());
      std::this_thread::sleep_for(1ms);
    }
    expect_works(innocent);
    stop = true;
    writer.join();
    gpu_.vm.unmap({.at = kRing + 1_MiB, .bytes = 2 * kPageBytes});
  }
  expect_healthy();
}

TEST_P(UserQueueIsolation, ring_that_is_not_mapped_is_an_error) {
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  gpu_.vm.unmap({.at = kRing, .bytes = 64_KiB});
  queue.submit({});
  EXPECT_EQ(wait_for_end(queue), WaitEnd::job_failed);
  EXPECT_ERRNO(queue.query().last_error, EFAULT);
  EXPECT_EQ(queue.query().last_address, kRing.value);
  expect_healthy();
}

TEST_P(UserQueueIsolation, bad_packet_ends_the_queue_and_no_other) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserQueue other = gpu_.vm.user_queue({.at = kRing});
  UserQueue queue = gpu_.vm.user_queue({.at = kRing + 1_MiB});
  CommandList list;
  const std::uint64_t header = FIGMENT_PACKET(0x77, 1, 0);
  list.nop(3).raw({&header, 1});
  const std::uint64_t number = queue.submit(list);
  expect_error(queue, EINVAL, FIGMENT_CODE_OPCODE);
  EXPECT_EQ(queue.query().last_address, kRing.value + 1_MiB + 24);
  EXPECT_FALSE(queue.is_done(number));
  // It does not come back with the others.
  for (int round = 0; round < 3; ++round) {
    disturb(memory.bytes());
    expect_works(other);
  }
  EXPECT_EQ(queue.query().errors, 1u);
  expect_healthy();
}

// Neither do packets of the ring reach what is the driver's, nor may they say that they could.
TEST_P(UserQueueIsolation, packets_have_no_privilege) {
  const GpuVa rings{gpu_.device.info().va_end};
  for (std::uint64_t page = 0; page < 8; ++page) {
    UserQueue queue = gpu_.vm.user_queue({.at = kRing});
    CommandList list;
    queue.submit(list.fill({.at = rings + page * kPageBytes, .bytes = 8, .value = 1}));
    EXPECT_EQ(wait_for_end(queue), WaitEnd::job_failed);
    EXPECT_ERRNO(queue.query().last_error, EFAULT);
  }
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  CommandList list;
  queue.submit(list.indirect({.at = kRing, .bytes = 0, .flags = FIGMENT_INDIRECT_PRIVILEGED}));
  expect_error(queue, EINVAL, FIGMENT_CODE_FIELD);
  expect_healthy();
}

// --- numbers ----------------------------------------------------------------------------------

TEST_P(UserQueueIsolation, numbers_come_back) {
  // At most as many as there are live at a time, and each is free when it is asked for.
  for (unsigned n = 0; n < 2 * gpu_.device.info().queues; ++n) {
    drm_figment_queue_create queue = request();
    ASSERT_DONE(create(queue)) << n;
    const Page doorbell(gpu_.device.fd(), queue.mmap_offset);
    doorbell.word() = 0;
    destroy(queue.id);
  }
}

// Whoever keeps the page of a queue that is gone rings for nobody, and does not die of it.
TEST_P(UserQueueIsolation, doorbell_of_a_destroyed_queue_is_not_heard_by_the_next_one) {
  drm_figment_queue_create old = request();
  ASSERT_DONE(create(old));
  const Page doorbell(gpu_.device.fd(), old.mmap_offset);
  const Page index(gpu_.device.fd(), old.mmap_offset + DRM_FIGMENT_USER_QUEUE_INDEX);
  const Page status(gpu_.device.fd(), old.mmap_offset + DRM_FIGMENT_USER_QUEUE_STATUS, PROT_READ);
  doorbell.word() = 0;
  index.word() = 0;
  destroy(old.id);
  // From the first moment on.
  doorbell.word() = 4711;
  std::vector<UserQueue> queues;
  const Buffer ring = gpu_.device.buffer({.bytes = 2 * kPageBytes});
  const Mapping view = ring.map();
  gpu_.vm.map({.at = kRing, .buffer = ring});
  drm_figment_queue_create next = request();
  // The same number, sooner or later.
  std::vector<std::uint32_t> others;
  const Deadline deadline = after(kPatience);
  for (;;) {
    ASSERT_DONE(create(next));
    if (next.mmap_offset == old.mmap_offset || Clock::now() > deadline) break;
    others.push_back(next.id);
    if (others.size() < 8) continue;
    for (const std::uint32_t id : others) destroy(id);
    others.clear();
  }
  ASSERT_EQ(next.mmap_offset, old.mmap_offset);
  for (const std::uint64_t value : {8ull, 4711ull, ~0ull}) {
    doorbell.word() = value;
    index.word() = value;
  }
  std::ignore = status.word();  // still there, as it was
  const Page own(gpu_.device.fd(), next.mmap_offset);
  const Page own_index(gpu_.device.fd(), next.mmap_offset + DRM_FIGMENT_USER_QUEUE_INDEX);
  const Page own_status(gpu_.device.fd(), next.mmap_offset + DRM_FIGMENT_USER_QUEUE_STATUS,
                        PROT_READ);
  EXPECT_EQ(own_index.word(), 0u);
  CommandList list;
  list.release({.at = kRing + kPageBytes, .value = 5, .event = true}).write_to(view.bytes());
  own_index.word() = list.bytes();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  own.word() = list.bytes();
  EXPECT_EQ(
      wait(gpu_.device.fd(), UserFence{.word = &view.as<std::uint64_t>()[512], .reference = 5},
           QueueErrors{.queue = next.id}, after(kPatience)),
      WaitEnd::holds);
  for (const std::uint32_t id : others) destroy(id);
  destroy(next.id);
}

// One thread rings, and another destroys: at any moment.
TEST_P(UserQueueIsolation, queue_is_destroyed_under_a_thread_that_rings) {
  UserQueue innocent = gpu_.vm.user_queue({.at = kRing});
  for (int round = 0; round < 30; ++round) {
    drm_figment_queue_create queue = request();
    queue.ring_address += 1_MiB;
    ASSERT_DONE(create(queue));
    const Page doorbell(gpu_.device.fd(), queue.mmap_offset);
    std::atomic<bool> stop = false;
    std::thread ringer([&] {
      while (!stop) doorbell.word() = 8;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    destroy(queue.id);
    expect_works(innocent);
    stop = true;
    ringer.join();
  }
}

// --- the device goes, or is reset -------------------------------------------------------------

TEST_P(UserQueueIsolation, unbound_device_leaves_the_pages) {
  if (!can_be_unbound(gpu_.device)) GTEST_SKIP() << "can not be bound again";
  const Buffer ring = gpu_.device.buffer({.bytes = 17 * kPageBytes});
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  expect_works(queue);
  UserQueue busy = gpu_.vm.user_queue({.at = kRing + 1_MiB});
  const std::uint64_t number = busy.submit(gpu_.gate());
  UserQueue untouched = gpu_.vm.user_queue({.at = kRing + 2_MiB});
  {
    UnboundDevice unbound(gpu_.device);
    queue.doorbell() = queue.written() + 8;
    untouched.doorbell() = 8;
    queue.index().write = 0;
    EXPECT_EQ(queue.read(), queue.written());
    EXPECT_THROW(std::ignore = busy.wait(number, after(kPatience)), std::system_error);
    drm_figment_queue_create late = request();
    EXPECT_ERRNO(create(late), ENODEV);
  }
  // The number is that of another driver's queue by now.
  Gpu gpu(GetParam());
  UserQueue next = gpu.vm.user_queue({.at = kRing});
  queue.doorbell() = 4711;
  busy.doorbell() = 4711;
  untouched.doorbell() = 4711;
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(next.wait(next.submit({}), after(kPatience)), WaitEnd::holds);
  }
  EXPECT_EQ(next.query().errors, 0u);
}

TEST_P(UserQueueIsolation, function_reset_is_not_noticed) {
  const std::string file = std::format("/sys/bus/pci/devices/{}/reset", gpu_.device.node().bus);
  if (::access(file.c_str(), W_OK)) GTEST_SKIP() << "no " << file;
  const Buffer sum = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData + 1_MiB, .buffer = sum});
  UserQueue queue = gpu_.vm.user_queue({.at = kRing, .ring_bytes = 4_KiB});
  UserQueue idle = gpu_.vm.user_queue({.at = kRing + 1_MiB});
  expect_works(idle);
  CommandList list;
  list.spin(20us).atomic({.kind = AtomicKind::add, .at = kData + 1_MiB, .operand = 1});
  std::atomic<bool> stop = false;
  std::uint64_t last = 0;
  std::thread submitter([&] {
    // Its doorbells wait as long as nobody would hear them.
    while (!stop) last = queue.submit(list, UserQueue::Tell::by_the_way);
  });
  for (int round = 0; round < 3; ++round) {
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::write(fd.get(), "1", 1), 1) << name(errno);
    std::this_thread::sleep_for(20ms);
  }
  stop = true;
  submitter.join();
  ASSERT_EQ(queue.wait(last, after(kPatience)), WaitEnd::holds) << name(queue.query().last_error);
  EXPECT_EQ(sum.map().as<std::uint64_t>()[0], last);
  expect_works(idle);
}

// A reset that nobody has announced: it costs those that were at work, as nobody knows where their
// next job begins.
TEST_P(UserQueueIsolation, device_reset_costs_what_was_at_work) {
  if (!gpu_.device.has(Feature::injection)) GTEST_SKIP() << "needs --gpu inject=on";
  if (!gpu_.device.offers(Strategy::preempt)) GTEST_SKIP() << "no long-running VM on offer";
  UserQueue idle = gpu_.vm.user_queue({.at = kRing});
  expect_works(idle);
  UserQueue busy = gpu_.vm.user_queue({.at = kRing + 1_MiB});
  const std::uint64_t number = busy.submit(gpu_.gate());
  make_driver_reset(gpu_.device);
  expect_error(busy, ECANCELED, FIGMENT_CODE_NONE);
  EXPECT_FALSE(busy.is_done(number));
  EXPECT_EQ(idle.query().errors, 0u);
  expect_works(idle);
  UserQueue next = gpu_.vm.user_queue({.at = kRing + 2_MiB});
  expect_works(next);
  expect_healthy();
}

// Given up: calls say so, and doorbells are rung for nobody until the device is bound again.
TEST_P(UserQueueIsolation, device_that_is_given_up_is_told_by_calls) {
  if (!gpu_.device.has(Feature::injection)) GTEST_SKIP() << "needs --gpu inject=on";
  if (!gpu_.device.offers(Strategy::preempt)) GTEST_SKIP() << "no long-running VM on offer";
  if (!can_be_unbound(gpu_.device)) GTEST_SKIP() << "can not be bound again";
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  expect_works(queue);
  UserQueue busy = gpu_.vm.user_queue({.at = kRing + 1_MiB});
  const std::uint64_t number = busy.submit(gpu_.gate());
  {
    const ScopedModuleParameter none("device_resets", "0");
    make_driver_reset(gpu_.device);
  }
  EXPECT_EQ(recoveries(gpu_.device, "wedged"), 1u);
  try {
    std::ignore = busy.wait(number, after(kPatience));
    ADD_FAILURE() << "it has not ended";
  } catch (const std::system_error& error) {
    EXPECT_ERRNO(error.code().value(), ENODEV);
  }
  queue.doorbell() = queue.written() + 8;
  queue.index().write = queue.written() + 8;
  drm_figment_queue_create late = request();
  EXPECT_ERRNO(create(late), ENODEV);
  UnboundDevice(gpu_.device).bind();
  queue.doorbell() = 4711;
  ASSERT_DONE(InjectFile(Device::open()).write("clear"));
  Gpu gpu(GetParam());
  UserQueue next = gpu.vm.user_queue({.at = kRing});
  EXPECT_EQ(next.wait(next.submit({}), after(kPatience)), WaitEnd::holds);
}

TEST_P(UserQueueIsolation, lost_interrupt_of_a_fault_is_noticed) {
  if (!gpu_.device.has(Feature::injection)) GTEST_SKIP() << "needs --gpu inject=on";
  if (GetParam() != Strategy::fault) GTEST_SKIP() << "no faults";
  const ScopedModuleParameter period("watchdog_ms", "10");
  const InjectFile inject(gpu_.device);
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserQueue queue = gpu_.vm.user_queue({.at = kRing});
  expect_works(queue);
  ASSERT_DONE(inject.write("interrupt-lost,every=1,event=fault"));
  CommandList list;
  const std::uint64_t number = queue.submit(list.fill({.at = kData, .bytes = 8, .value = 3}));
  // Without a call: nobody looks at the event ring but the watchdog.
  EXPECT_TRUE(stress::poll_until([&] { return queue.is_done(number); }, after(kPatience)));
  EXPECT_DONE(inject.write("clear"));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 3u);
}

TEST_P(UserQueueIsolation, file_is_closed_with_work_under_way) {
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(in_child([&] {
                Gpu gpu(GetParam());
                UserQueue queue = gpu.vm.user_queue({.at = kRing});
                queue.submit(gpu.gate());
                return 0;
              }),
              0);
  }
  expect_healthy();
}

}  // namespace
}  // namespace figment::guest
