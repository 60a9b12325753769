// SPDX-License-Identifier: MIT
//
// The strategy pin: pages that stay, who pays for them, and what the device does not see.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "process.h"
#include "userptr.h"

namespace figment::guest {
namespace {

/// Bytes that this process has pinned: VmPin of /proc/self/status.
std::uint64_t pinned_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == "VmPin:" && status >> kib) return kib << 10;
  }
  ADD_FAILURE() << "no VmPin in /proc/self/status";
  return 0;
}

/// From now on RLIMIT_MEMLOCK counts: root is above it.
void become_nobody_with(std::uint64_t limit) {
  const rlimit memlock = {.rlim_cur = limit, .rlim_max = limit};
  constexpr uid_t kNobody = 65534;
  if (::setrlimit(RLIMIT_MEMLOCK, &memlock) != 0) fail(errno, "setrlimit");
  if (::setresuid(kNobody, kNobody, kNobody) != 0) fail(errno, "setresuid");
}

class Pin : public UserptrFixture {
 protected:
  Pin() : UserptrFixture(Strategy::pin) {}

  // What the test before had pinned goes with its VM, a moment after its file.
  void SetUp() override {
    ASSERT_TRUE(stress::poll_until([] { return pinned_bytes() == 0; }, after(kPatience)));
  }

  Words words(const Mapping& memory) { return memory.as<std::uint64_t>(); }
};

// Kinds of memory

TEST_F(Pin, shares_private_and_shared_memory) {
  const UniqueFd fd(::memfd_create("figment", MFD_CLOEXEC));
  ASSERT_TRUE(fd);
  ASSERT_EQ(::ftruncate(fd.get(), kBytes), 0);
  const Mapping kinds[] = {
      anonymous_memory(kBytes),
      map_file(-1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS),
      map_file(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED),
      map_file(fd.get(), PROT_READ | PROT_WRITE, MAP_PRIVATE),
  };
  for (const Mapping& memory : kinds) {
    SCOPED_TRACE(&memory - kinds);
    ASSERT_DONE(bind(memory.bytes()));
    expect_shared(memory.bytes());
  }
}

TEST_F(Pin, shares_huge_pages) {
  const Mapping memory = anonymous_memory(4_MiB, kHugePageBytes);
  ::madvise(memory.bytes().data(), memory.bytes().size(), MADV_HUGEPAGE);
  std::memset(memory.bytes().data(), 0, memory.bytes().size());
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
}

TEST_F(Pin, of_read_only_memory_needs_the_flag) {
  const Mapping memory = anonymous_memory(kBytes);
  words(memory)[7] = 70;
  ASSERT_EQ(::mprotect(memory.bytes().data(), kBytes, PROT_READ), 0);
  EXPECT_ERRNO(bind(memory.bytes()), EFAULT);
  ASSERT_DONE(bind(memory.bytes(), Access::read_only));
  EXPECT_EQ(gpu_.load(kData + 7 * 8), 70u);
  EXPECT_ERRNO(gpu_.store(kData + 7 * 8, 1), EFAULT);
  EXPECT_EQ(words(memory)[7], 70u);
}

TEST_F(Pin, refuses_what_every_strategy_refuses) {
  const Buffer buffer = gpu_.device.buffer({.bytes = kBytes});
  const Mapping view = buffer.map();
  EXPECT_ERRNO(bind(view.bytes()), EOPNOTSUPP);
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_EQ(::munmap(memory.bytes().data() + 7 * kPageBytes, kPageBytes), 0);
  EXPECT_ERRNO(bind(memory.bytes()), EFAULT);
  EXPECT_EQ(pinned_bytes(), 0u);
  expect_healthy();
}

// Who pays

TEST_F(Pin, is_in_the_account_of_the_process) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(pinned_bytes(), kBytes);
  // Bound over itself: for a moment there are two, and then one again.
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(pinned_bytes(), kBytes);
  // A mapping that loses its middle keeps its pages until the last part goes.
  gpu_.vm.unmap({.at = kData + 4 * kPageBytes, .bytes = kPageBytes});
  EXPECT_EQ(pinned_bytes(), kBytes);
  gpu_.vm.unmap({.at = kData, .bytes = kBytes});
  EXPECT_EQ(pinned_bytes(), 0u);
}

TEST_F(Pin, ends_at_the_limit) {
  EXPECT_EQ(in_child([&] {
              const Mapping memory = anonymous_memory(4 * kBytes);
              const auto part = [&](int n) {
                return memory.bytes().subspan(static_cast<std::size_t>(n) * kBytes, kBytes);
              };
              // A child has a VM of its own: what is bound counts for who binds.
              become_nobody_with(2 * kBytes);
              EXPECT_EQ(pinned_bytes(), 0u);
              Vm vm = gpu_.device.vm({.strategy = Strategy::pin});
              const auto bind_at = [&](int n) {
                try {
                  vm.map_userptr({.at = kData + static_cast<std::uint64_t>(n) * kBytes,
                                  .memory = part(n)});
                  return 0;
                } catch (const std::system_error& error) {
                  return error.code().value();
                }
              };
              EXPECT_DONE(bind_at(0));
              EXPECT_DONE(bind_at(1));
              EXPECT_ERRNO(bind_at(2), ENOMEM);
              EXPECT_EQ(pinned_bytes(), 2 * kBytes);
              vm.unmap({.at = kData, .bytes = kBytes});
              EXPECT_DONE(bind_at(2));
              EXPECT_ERRNO(bind_at(3), ENOMEM);
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
  expect_healthy();
}

TEST_F(Pin, is_not_inherited_by_a_child) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(in_child([&] {
              // Nor does a child that takes the mapping away take it from this account.
              if (pinned_bytes() != 0) return 1;
              gpu_.vm.unmap({.at = kData, .bytes = kBytes});
              return pinned_bytes() == 0 ? 0 : 2;
            }),
            0);
  EXPECT_EQ(pinned_bytes(), 0u);
}

TEST_F(Pin, stays_behind_at_an_exec) {
  const Mapping memory = anonymous_memory(kBytes);
  EXPECT_EQ(in_child([&] {
              Vm vm = gpu_.device.vm({.strategy = Strategy::pin});
              vm.map_userptr({.at = kData, .memory = memory.bytes()});
              if (pinned_bytes() != kBytes) return 1;
              // The device goes on with the pages of the process that it was.
              ::fcntl(gpu_.device.fd(), F_SETFD, 0);
              ::execl("/bin/sh", "sh", "-c", "grep -q 'VmPin:[[:space:]]*0 kB' /proc/self/status",
                      nullptr);
              return 3;
            }),
            0);
  expect_healthy();
}

TEST_F(Pin, is_given_back_when_the_file_is_closed) {
  const Mapping memory = anonymous_memory(kBytes);
  {
    Gpu other(Strategy::pin);
    const Userptr held = other.vm.userptr({.at = kData, .memory = memory.bytes()});
    EXPECT_EQ(pinned_bytes(), kBytes);
  }
  EXPECT_TRUE(stress::poll_until([&] { return pinned_bytes() == 0; }, after(kPatience)));
}

// What it is for, and what it is not

// Without any notifier: whoever writes first after the fork, the device has the parent's page.
TEST_F(Pin, keeps_the_pages_of_the_parent_across_fork) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  for (const bool parent_first : {false, true}) {
    words(memory)[0] = 10;
    words(memory)[1] = 20;
    int go[2], seen[2];
    ASSERT_EQ(::pipe2(go, O_CLOEXEC) | ::pipe2(seen, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      stress::die_with_parent();
      char byte = 0;
      if (!parent_first) words(memory)[1] = 21;
      std::ignore = ::write(seen[1], &byte, 1);
      std::ignore = ::read(go[0], &byte, 1);
      if (parent_first) words(memory)[1] = 21;
      ::_exit(words(memory)[0] == 10 && words(memory)[1] == 21 ? 0 : 1);
    }
    char byte = 0;
    ASSERT_EQ(::read(seen[0], &byte, 1), 1);
    if (parent_first) words(memory)[1] = 22;
    EXPECT_DONE(gpu_.store(kData, 11));
    EXPECT_EQ(words(memory)[0], 11u) << "the device has lost the process";
    EXPECT_EQ(words(memory)[1], parent_first ? 22u : 20u);
    ASSERT_EQ(::write(go[1], &byte, 1), 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "the child has seen what the device wrote";
    for (const int fd : {go[0], go[1], seen[0], seen[1]}) ::close(fd);
  }
}

TEST_F(Pin, does_not_follow_the_mapping) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 1));
  ASSERT_EQ(::madvise(memory.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_EQ(words(memory)[0], 0u);
  EXPECT_DONE(gpu_.store(kData, 2));
  EXPECT_EQ(words(memory)[0], 0u) << "what the process has now is another page";
  EXPECT_EQ(gpu_.load(kData), 2u);
  ASSERT_EQ(::munmap(memory.bytes().data(), kBytes), 0);
  EXPECT_DONE(gpu_.store(kData, 3));
  EXPECT_EQ(gpu_.load(kData), 3u);
}

// Unlike under `fence`: there is nobody to tell the driver, so nobody has to wait.
TEST_F(Pin, lets_the_process_unmap_in_the_middle_of_a_job) {
  const Mapping memory = anonymous_memory(kBytes);
  ASSERT_DONE(bind(memory.bytes()));
  const Fence fence = gpu_.close_gate(gpu_.queue);
  ASSERT_EQ(::munmap(memory.bytes().data(), kBytes), 0);
  EXPECT_FALSE(fence.result()) << "munmap() waited for the job";
  gpu_.open_gate();
  EXPECT_DONE(outcome(fence));
}

}  // namespace
}  // namespace figment::guest
