// SPDX-License-Identifier: MIT
//
// Recoverable faults of the device: pages that are there only when it asks for them.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>
#include <thread>

#include "module_parameter.h"
#include "userptr.h"

namespace figment::guest {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class PageFault : public UserptrFixture {
 protected:
  PageFault() : UserptrFixture(Strategy::fault) {}
};

std::uint64_t resident_pages(const Mapping& memory) {
  std::vector<unsigned char> pages(memory.bytes().size() / kPageBytes);
  if (::mincore(memory.bytes().data(), memory.bytes().size(), pages.data()) != 0) {
    fail(errno, "mincore");
  }
  return static_cast<std::uint64_t>(
      std::ranges::count_if(pages, [](unsigned char page) { return page & 1; }));
}

TEST_F(PageFault, makes_present_only_what_is_asked_for) {
  const Mapping memory = anonymous_memory(8_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(resident_pages(memory), 0u) << "binding touches nothing";
  EXPECT_DONE(gpu_.store(kData + 1000 * kPageBytes, 1));
  EXPECT_EQ(resident_pages(memory), 1u);
  EXPECT_EQ(memory.as<std::uint64_t>()[1000 * 512], 1u);
}

// As who reads a file does: what is around, that much again, 64 pages, 256, as long as each fault
// comes where the last answer ended.
TEST_F(PageFault, ahead_of_a_queue_that_goes_from_page_to_page) {
  const Mapping memory = anonymous_memory(8_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
  ASSERT_DONE(bind(memory.bytes()));
  std::uint64_t resident = 0;
  const auto read = [&](std::uint64_t page, std::uint64_t come) {
    EXPECT_EQ(gpu_.load(kData + page * kPageBytes), 0u);
    resident += come;
    EXPECT_EQ(resident_pages(memory), resident) << "after page " << page;
  };
  read(0, 16);
  read(15, 0);
  read(16, 16);
  read(32, 64);
  read(96, 256);
  read(1000, 16);
  read(992, 0);
  read(1040, 16);
}

// And they are the zero page: nobody has written to them.
TEST_F(PageFault, for_reading_brings_what_is_around) {
  const Mapping memory = anonymous_memory(8_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
  ASSERT_DONE(bind(memory.bytes()));
  {
    const ScopedModuleParameter around("fault_around_kib", "4");
    EXPECT_EQ(gpu_.load(kData + 500 * kPageBytes), 0u);
    EXPECT_EQ(resident_pages(memory), 1u);
  }
  EXPECT_EQ(gpu_.load(kData + 1000 * kPageBytes), 0u);
  EXPECT_EQ(resident_pages(memory), 1u + 16);
  EXPECT_DONE(gpu_.store(kData + 999 * kPageBytes, 7));
  EXPECT_EQ(memory.as<std::uint64_t>()[999 * 512], 7u);
  EXPECT_EQ(gpu_.load(kData + 998 * kPageBytes), 0u);
}

// What is there stays what it is.
TEST_F(PageFault, for_reading_between_pages_that_are_written) {
  const Mapping memory = anonymous_memory(1_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
  ASSERT_DONE(bind(memory.bytes()));
  for (std::uint64_t page = 0; page < 256; page += 2) memory.as<std::uint64_t>()[page * 512] = page;
  for (std::uint64_t page = 255; page < 256; --page) {
    EXPECT_EQ(gpu_.load(kData + page * kPageBytes), page % 2 ? 0 : page);
  }
  for (std::uint64_t page = 1; page < 256; page += 2) memory.as<std::uint64_t>()[page * 512] = page;
  for (std::uint64_t page = 0; page < 256; ++page) {
    EXPECT_EQ(gpu_.load(kData + page * kPageBytes), page);
  }
}

TEST_F(PageFault, ahead_of_a_queue_that_writes_is_little) {
  const Mapping memory = anonymous_memory(8_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_NOHUGEPAGE);
  ASSERT_DONE(bind(memory.bytes()));
  std::uint64_t page = 0;
  for (const std::uint64_t come : {1, 4, 16, 16, 16}) {
    EXPECT_DONE(gpu_.store(kData + page * kPageBytes, page + 1));
    page += come;
    EXPECT_EQ(resident_pages(memory), page);
  }
}

// Of shared memory there would be more for everybody who has it.
TEST_F(PageFault, ahead_is_nothing_in_shared_memory) {
  void* const at =
      ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  const Mapping memory(std::span(static_cast<std::byte*>(at), kBytes));
  ASSERT_DONE(bind(memory.bytes()));
  for (std::uint64_t page = 0; page < 4; ++page) {
    EXPECT_EQ(gpu_.load(kData + page * kPageBytes), 0u);
    EXPECT_EQ(resident_pages(memory), page + 1);
  }
}

// Each pointer is on another page: a fault for each, until they are all there.
TEST_F(PageFault, resolves_a_chase_through_all_pages) {
  constexpr std::uint64_t kPages = 2048;
  const Mapping memory = anonymous_memory(kPages * kPageBytes);
  const Words words = memory.as<std::uint64_t>();
  std::vector<std::uint64_t> order(kPages);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin() + 1, order.end(), std::mt19937_64(1));
  for (std::uint64_t n = 0; n < kPages; ++n) {
    words[order[n] * 512] = n + 1 < kPages ? kData.value + order[n + 1] * kPageBytes : 4712;
  }
  ASSERT_DONE(bind(memory.bytes()));
  const Buffer buffer = gpu_.device.buffer({});
  const GpuVa result = kData + 1_GiB;
  gpu_.vm.map({.at = result, .buffer = buffer});
  for (int round = 0; round < 3; ++round) {
    // The kernel takes them all away, and the content stays.
    ASSERT_EQ(::mprotect(memory.bytes().data(), memory.bytes().size(), PROT_READ), 0);
    ASSERT_EQ(::mprotect(memory.bytes().data(), memory.bytes().size(), PROT_READ | PROT_WRITE), 0);
    CommandList list;
    EXPECT_DONE(gpu_.run(list.chase({.from = kData, .count = kPages, .result = result})));
    EXPECT_EQ(buffer.map().as<std::uint64_t>()[0], 4712u);
  }
}

TEST_F(PageFault, on_the_same_page_by_many_queues) {
  constexpr unsigned kQueues = 8;
  std::vector<Queue> queues;
  for (unsigned n = 0; n < kQueues; ++n) queues.push_back(gpu_.vm.queue());
  const Mapping memory = anonymous_memory(kBytes);
  const Words words = memory.as<std::uint64_t>();
  ASSERT_DONE(bind(memory.bytes()));
  const Buffer buffer = gpu_.device.buffer({});
  const GpuVa code = kData + 1_GiB;
  gpu_.vm.map({.at = code, .buffer = buffer});
  CommandList list;
  for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
    list.atomic({.kind = AtomicKind::add, .at = kData + page * kPageBytes, .operand = 1});
  }
  list.write_to(buffer.map().bytes());
  for (std::uint64_t round = 1; round <= 50; ++round) {
    // All begin with nothing mapped for the device.
    ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ), 0);
    ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ | PROT_WRITE), 0);
    for (Queue& queue : queues) queue.submit({.at = code, .bytes = list.bytes()});
    for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
      const UserFence all{.word = &words[page * 512], .reference = round * kQueues};
      ASSERT_TRUE(wait(gpu_.device.fd(), all, after(kPatience))) << page;
      ASSERT_EQ(words[page * 512], round * kQueues);
    }
  }
}

TEST_F(PageFault, for_reading_leaves_the_zero_page) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
    EXPECT_EQ(gpu_.load(kData + page * kPageBytes), 0u);
    EXPECT_DONE(gpu_.store(kData + page * kPageBytes, page + 1)) << "the page is there for reading";
    EXPECT_EQ(memory.as<std::uint64_t>()[page * 512], page + 1);
  }
}

// What the CPU writes first gets a page of its own: the device follows.
TEST_F(PageFault, sees_what_the_cpu_writes_after_it_has_read) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(gpu_.load(kData), 0u);
  memory.as<std::uint64_t>()[0] = 5;
  EXPECT_EQ(gpu_.load(kData), 5u);
}

TEST_F(PageFault, in_huge_pages_of_which_a_part_goes) {
  const Mapping memory = anonymous_memory(4_MiB, kHugePageBytes);
  const Words words = memory.as<std::uint64_t>();
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_HUGEPAGE);
  std::memset(memory.bytes().data(), 1, memory.bytes().size());
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 1));
  EXPECT_DONE(gpu_.store(kData + 2_MiB, 2));
  ASSERT_EQ(::madvise(memory.bytes().data() + 5 * kPageBytes, kPageBytes, MADV_DONTNEED), 0);
  EXPECT_EQ(gpu_.load(kData + 5 * kPageBytes), 0u);
  EXPECT_EQ(gpu_.load(kData + 6 * kPageBytes), 0x0101'0101'0101'0101u);
  EXPECT_EQ(gpu_.load(kData), 1u);
  EXPECT_DONE(gpu_.store(kData + 5 * kPageBytes, 6));
  EXPECT_EQ(words[5 * 512], 6u);
  EXPECT_EQ(gpu_.load(kData + 2_MiB), 2u);
}

TEST_F(PageFault, of_a_queue_that_is_destroyed_meanwhile) {
  const Mapping memory = anonymous_memory(32_MiB);
  ASSERT_DONE(bind(memory.bytes()));
  for (int round = 0; round < 20; ++round) {
    Queue queue = gpu_.vm.queue();
    CommandList list;
    list.fill({.at = kData, .bytes = memory.bytes().size(), .value = 1});
    gpu_.begin_on(queue, list);
    std::this_thread::sleep_for(std::chrono::microseconds(300 * round));
  }
  expect_healthy();
}

TEST_F(PageFault, of_memory_that_is_unbound_meanwhile) {
  for (int round = 0; round < 20; ++round) {
    const Mapping memory = anonymous_memory(4_MiB);
    ASSERT_DONE(bind(memory.bytes()));
    CommandList list;
    list.fill({.at = kData, .bytes = memory.bytes().size(), .value = 1});
    gpu_.begin_on(gpu_.queue, list);
    std::this_thread::sleep_for(std::chrono::microseconds(300 * round));
    gpu_.vm.unmap({.at = kData, .bytes = memory.bytes().size()});
    const int end = gpu_.finish_on(gpu_.queue);
    EXPECT_TRUE(end == 0 || end == EFAULT) << name(end);
  }
  expect_healthy();
}

/// Pages of a range that the process provides, when it likes.
class UserPages {
 public:
  explicit UserPages(std::span<std::byte> memory)
      : uffd_(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC))) {
    if (!uffd_) fail(errno, "userfaultfd");
    uffdio_api api = {.api = UFFD_API};
    if (::ioctl(uffd_.get(), UFFDIO_API, &api) != 0) fail(errno, "UFFDIO_API");
    uffdio_register range = {.range = {user_pointer(memory.data()), memory.size()},
                             .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (::ioctl(uffd_.get(), UFFDIO_REGISTER, &range) != 0) fail(errno, "UFFDIO_REGISTER");
  }
  /// Waits until somebody wants a page. Its address; 0: nobody did.
  [[nodiscard]] std::uint64_t wanted() {
    pollfd one = {.fd = uffd_.get(), .events = POLLIN};
    uffd_msg message = {};
    if (::poll(&one, 1, 60'000) != 1 ||
        ::read(uffd_.get(), &message, sizeof(message)) != sizeof(message)) {
      return 0;
    }
    return message.arg.pagefault.address & ~(kPageBytes - 1);
  }
  void provide(std::uint64_t address, std::uint64_t value) {
    std::vector<std::uint64_t> page(kPageBytes / 8, value);
    uffdio_copy copy = {.dst = address, .src = user_pointer(page.data()), .len = kPageBytes};
    EXPECT_EQ(::ioctl(uffd_.get(), UFFDIO_COPY, &copy), 0) << name(errno);
  }
  /// From now on it is ordinary memory.
  void close() { uffd_ = UniqueFd(); }

 private:
  UniqueFd uffd_;
};

class UserFault : public PageFault {
 protected:
  void SetUp() override { ASSERT_DONE(bind(memory_.bytes())); }

  Mapping memory_ = anonymous_memory(kBytes);
  UserPages pages_{memory_.bytes()};
};

TEST_F(UserFault, is_waited_for) {
  CommandList list;
  list.copy({.to = kData + 8, .from = kData + 16, .bytes = 8});
  gpu_.begin_on(gpu_.queue, list);
  const std::uint64_t address = pages_.wanted();
  EXPECT_EQ(address, user_pointer(memory_.bytes().data()));
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue, after(50ms)), ETIME);
  pages_.provide(address, 7);
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
  EXPECT_EQ(memory_.as<std::uint64_t>()[1], 7u);
}

// Who provides them may never provide the next one.
TEST_F(UserFault, is_of_no_page_that_nobody_has_asked_for) {
  const Buffer buffer = gpu_.device.buffer({.bytes = 4 * kPageBytes});
  gpu_.vm.map({.at = kData + 1_GiB, .buffer = buffer});
  CommandList list;
  list.copy({.to = kData + 1_GiB, .from = kData, .bytes = 4 * kPageBytes});
  gpu_.begin_on(gpu_.queue, list);
  for (std::uint64_t page = 0; page < 4; ++page) {
    const std::uint64_t address = pages_.wanted();
    ASSERT_EQ(address, user_pointer(memory_.bytes().data() + page * kPageBytes));
    pages_.provide(address, page);
  }
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
}

// A handler that takes its time holds up its own queue, and nobody else.
TEST_F(UserFault, holds_up_nobody_else) {
  CommandList list;
  list.fill({.at = kData, .bytes = 8, .value = 1});
  gpu_.begin_on(gpu_.queue, list);
  const std::uint64_t address = pages_.wanted();
  ASSERT_NE(address, 0u);
  // Another process, which faults and forks; and another queue of the same VM.
  EXPECT_EQ(in_child([] {
              Gpu gpu(Strategy::fault);
              const Mapping memory = anonymous_memory(1_MiB);
              gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
              CommandList all;
              all.fill({.at = kData, .bytes = 1_MiB, .value = 3});
              return gpu.run(all) || memory.as<std::uint64_t>()[1000] != 3 ||
                     in_child([] { return 0; });
            }),
            0);
  Queue second = gpu_.vm.queue();
  const Mapping memory = anonymous_memory(1_MiB);
  gpu_.vm.map_userptr({.at = kData + 1_GiB, .memory = memory.bytes()});
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData + 2_GiB, .buffer = buffer});
  CommandList other;
  other.fill({.at = kData + 1_GiB, .bytes = 1_MiB, .value = 3});
  other.write_to(buffer.map().bytes());
  second.submit({.at = kData + 2_GiB, .bytes = other.bytes()});
  const UserFence last{.word = &memory.as<std::uint64_t>().back(), .reference = 3};
  EXPECT_TRUE(wait(gpu_.device.fd(), last, after(kPatience)));
  pages_.provide(address, 0);
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
}

TEST_F(UserFault, that_nobody_serves_ends_with_its_descriptor) {
  CommandList list;
  list.fill({.at = kData, .bytes = 8, .value = 1});
  gpu_.begin_on(gpu_.queue, list);
  ASSERT_NE(pages_.wanted(), 0u);
  pages_.close();
  EXPECT_DONE(gpu_.finish_on(gpu_.queue)) << "it is ordinary memory then";
  EXPECT_EQ(memory_.as<std::uint64_t>()[0], 1u);
}

TEST_F(UserFault, that_nobody_serves_ends_with_its_queue) {
  Queue queue = gpu_.vm.queue();
  {
    Queue doomed = std::move(queue);
    CommandList list;
    list.fill({.at = kData, .bytes = 8, .value = 1});
    gpu_.begin_on(doomed, list);
    ASSERT_NE(pages_.wanted(), 0u);
  }
  expect_healthy();
}

// A VM that was put aside comes back when all its pages are there, however long that takes.
class UserPagesOfPreempted : public UserptrFixture {
 protected:
  UserPagesOfPreempted() : UserptrFixture(Strategy::preempt) {}

  /// A job is put aside, and cannot come back before somebody provides a page: its address.
  [[nodiscard]] static std::uint64_t suspend(Gpu& gpu, std::span<std::byte> memory,
                                             UserPages& pages) {
    gpu.begin_on(gpu.queue, gpu.gate());
    EXPECT_EQ(::madvise(memory.data(), memory.size(), MADV_DONTNEED), 0);
    return pages.wanted();
  }
};

TEST_F(UserPagesOfPreempted, are_waited_for) {
  const Mapping memory = anonymous_memory(kPageBytes);
  ASSERT_DONE(bind(memory.bytes()));
  UserPages pages(memory.bytes());
  const std::uint64_t address = suspend(gpu_, memory.bytes(), pages);
  ASSERT_NE(address, 0u);
  gpu_.open_gate();
  EXPECT_ERRNO(gpu_.finish_on(gpu_.queue, after(100ms)), ETIME) << "it has no page";
  pages.provide(address, 7);
  EXPECT_DONE(gpu_.finish_on(gpu_.queue));
  EXPECT_EQ(gpu_.load(kData), 7u);
}

// Who closes the device may be the one who would have provided the page.
TEST_F(UserPagesOfPreempted, do_not_keep_the_device_from_being_closed) {
  const Mapping memory = anonymous_memory(kPageBytes);
  std::optional<UserPages> pages;
  {
    Gpu gpu(Strategy::preempt);
    gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
    pages.emplace(memory.bytes());
    ASSERT_NE(suspend(gpu, memory.bytes(), *pages), 0u);
  }
  expect_healthy();
}

TEST_F(UserPagesOfPreempted, do_not_keep_a_process_from_ending) {
  EXPECT_EQ(in_child([] {
              Gpu gpu(Strategy::preempt);
              const Mapping memory = anonymous_memory(kPageBytes);
              gpu.vm.map_userptr({.at = kData, .memory = memory.bytes()});
              UserPages pages(memory.bytes());
              return suspend(gpu, memory.bytes(), pages) ? 0 : 1;
            }),
            0);
  expect_healthy();
}

}  // namespace
}  // namespace figment::guest
