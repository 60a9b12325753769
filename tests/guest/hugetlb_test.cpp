// SPDX-License-Identifier: MIT
//
// Memory of hugetlbfs as GPU memory: pages of 2 MiB from a pool that must be whole again in the
// end, private and shared, and what the process does to them under the driver.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string>

#include "process.h"
#include "userptr.h"

namespace figment::guest {
namespace {

constexpr std::uint64_t kPoolPages = 8;
constexpr std::uint64_t kHugeBytes = 2 * kHugePageBytes;

/// A number of /proc/meminfo.
std::uint64_t memory_info(const std::string& name) {
  std::ifstream info("/proc/meminfo");
  for (std::string word; info >> word;) {
    std::uint64_t value = 0;
    if (word == name && info >> value) return value;
  }
  ADD_FAILURE() << "no " << name << " in /proc/meminfo";
  return 0;
}

/// The pool of huge pages of 2 MiB, for a test as large as it wants it.
class Pool {
 public:
  explicit Pool(std::uint64_t pages) : before_(total()) { resize(pages); }
  Pool(const Pool&) = delete;
  ~Pool() { set(before_); }

  void resize(std::uint64_t pages) {
    set(pages);
    if (total() != pages) fail(ENOMEM, "nr_hugepages");
  }
  [[nodiscard]] static std::uint64_t total() { return memory_info("HugePages_Total:"); }
  [[nodiscard]] static std::uint64_t free() { return memory_info("HugePages_Free:"); }
  [[nodiscard]] static std::uint64_t reserved() { return memory_info("HugePages_Rsvd:"); }

 private:
  static void set(std::uint64_t pages) { std::ofstream("/proc/sys/vm/nr_hugepages") << pages; }

  std::uint64_t before_;
};

UniqueFd huge_memfd(std::uint64_t bytes = kHugeBytes) {
  UniqueFd fd(::memfd_create("figment", MFD_CLOEXEC | MFD_HUGETLB));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) fail(errno, "memfd_create");
  return fd;
}

Mapping huge_memory(int sharing, std::uint64_t bytes = kHugeBytes) {
  return map_file(-1, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_HUGETLB, bytes);
}

/// A child that does `life` when told to, and not before.
class WaitingChild {
 public:
  explicit WaitingChild(const std::function<int()>& life) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(errno, "pipe2");
    UniqueFd wait(ends[0]);
    go_ = UniqueFd(ends[1]);
    process_ = ::fork();
    error_ = process_ < 0 ? errno : 0;
    if (process_ != 0) return;
    stress::die_with_parent();
    go_ = UniqueFd();
    char nothing = 0;
    std::ignore = ::read(wait.get(), &nothing, 1);
    ::_exit(life());
  }
  /// Why there is no child, or 0.
  [[nodiscard]] int error() const { return error_; }
  /// Its exit status, -1 if it was killed or there is none.
  [[nodiscard]] int finish() {
    go_ = UniqueFd();
    if (process_ < 0) return -1;
    return stress::exit_status(process_, after(kPatience)).value_or(-1);
  }

 private:
  UniqueFd go_;
  pid_t process_ = -1;
  int error_ = 0;
};

class HugetlbFixture : public UserptrFixture {
 protected:
  explicit HugetlbFixture(const VmConfig& config) : UserptrFixture(config) {}

  void TearDown() override {
    gpu_.vm.unmap({.at = kData, .bytes = 1_GiB});
    const auto whole = [] { return Pool::free() == Pool::total() && Pool::reserved() == 0; };
    EXPECT_TRUE(stress::poll_until(whole, after(kPatience)))
        << Pool::free() << " pages are free, " << Pool::reserved() << " are reserved";
  }

  /// The GPU and the CPU agree about pages at both ends of huge pages, and in between.
  void expect_shared_at(GpuVa at, std::span<std::byte> memory) {
    const Words words(reinterpret_cast<std::uint64_t*>(memory.data()), memory.size() / 8);
    for (const std::uint64_t page : {0u, 1u, 300u, 511u, 512u, 1023u}) {
      const std::uint64_t n = page * 512 + page % 512;
      if (n >= words.size()) break;
      words[n] = ~page;
      EXPECT_EQ(gpu_.load(at + n * 8), ~page);
      EXPECT_DONE(gpu_.store(at + n * 8, page + 1)) << "page " << page;
      EXPECT_EQ(words[n], page + 1);
    }
  }
  void expect_huge_shared(std::span<std::byte> memory) { expect_shared_at(kData, memory); }

  Pool pool_{kPoolPages};
};

/// With every strategy that is safe.
class Hugetlb : public HugetlbFixture, public testing::WithParamInterface<Strategy> {
 protected:
  Hugetlb() : HugetlbFixture({.strategy = GetParam()}) {}
};
/// With those that follow what the process does.
class HugetlbFollowed : public Hugetlb {};

constexpr auto kFollowing = {Strategy::fence, Strategy::preempt, Strategy::fault};
INSTANTIATE_TEST_SUITE_P(strategies, Hugetlb,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault,
                                         Strategy::pin),
                         strategy_name);
INSTANTIATE_TEST_SUITE_P(strategies, HugetlbFollowed, testing::ValuesIn(kFollowing), strategy_name);

TEST_P(Hugetlb, private_memory_is_shared_with_the_gpu) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  ASSERT_DONE(bind(memory.bytes()));
  expect_huge_shared(memory.bytes());
}

TEST_P(Hugetlb, shared_memory_is_shared_with_the_gpu) {
  const Mapping memory = huge_memory(MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes()));
  expect_huge_shared(memory.bytes());
}

TEST_P(Hugetlb, memfd_is_shared_with_the_gpu_privately_and_not) {
  const UniqueFd fd = huge_memfd();
  const Mapping shared = map_file(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED, kHugeBytes);
  const Mapping copy = map_file(fd.get(), PROT_READ | PROT_WRITE, MAP_PRIVATE, kHugeBytes);
  shared.as<std::uint64_t>()[1] = 11;
  ASSERT_DONE(bind(copy.bytes()));
  EXPECT_EQ(gpu_.load(kData + 8), 11u);
  EXPECT_DONE(gpu_.store(kData + 8, 12));
  EXPECT_EQ(shared.as<std::uint64_t>()[1], 11u) << "the file was written through a private mapping";
  EXPECT_EQ(copy.as<std::uint64_t>()[1], 12u);
  ASSERT_DONE(bind(shared.bytes()));
  expect_huge_shared(shared.bytes());
}

TEST_P(Hugetlb, a_part_of_huge_pages_is_enough) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  const auto part = memory.bytes().subspan(5 * kPageBytes, 700 * kPageBytes);
  ASSERT_DONE(bind(part));
  expect_huge_shared(part);
  EXPECT_ERRNO(gpu_.try_load(kData + 700 * kPageBytes), EFAULT);
}

TEST_P(Hugetlb, pages_that_were_never_touched_begin_as_zero) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  EXPECT_EQ(Pool::free(), kPoolPages);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(gpu_.load(kData + 300 * kPageBytes), 0u);
  EXPECT_DONE(gpu_.store(kData + 900 * kPageBytes, 5));
  EXPECT_EQ(memory.as<std::uint64_t>()[900 * 512], 5u);
  EXPECT_EQ(Pool::free(), kPoolPages - 2);
}

TEST_P(Hugetlb, read_only_binding_is_not_written) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  memory.as<std::uint64_t>()[7] = 70;
  ASSERT_DONE(bind(memory.bytes(), Access::read_only));
  EXPECT_EQ(gpu_.load(kData + 7 * 8), 70u);
  EXPECT_ERRNO(gpu_.store(kData + 7 * 8, 1), EFAULT);
  EXPECT_EQ(memory.as<std::uint64_t>()[7], 70u);
}

TEST_P(Hugetlb, child_has_a_copy_of_private_memory) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  const Words words = memory.as<std::uint64_t>();
  words[0] = words[512] = 1;
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData + 8, 1));
  WaitingChild child([&] { return words[0] == 1 && words[1] == 1 && words[512] == 1 ? 0 : 1; });
  ASSERT_DONE(child.error());
  EXPECT_DONE(gpu_.store(kData, 2));
  words[512] = 3;
  EXPECT_EQ(gpu_.load(kData + 512 * 8), 3u);
  EXPECT_DONE(gpu_.store(kData + 8, 4));
  EXPECT_EQ(words[0], 2u);
  EXPECT_EQ(words[1], 4u);
  EXPECT_EQ(child.finish(), 0) << "the GPU has written to the child's copy";
}

TEST_P(Hugetlb, child_that_writes_first_has_the_copy) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  const Words words = memory.as<std::uint64_t>();
  words[0] = 1;
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData + 8, 1));
  EXPECT_EQ(in_child([&]() -> int {
              words[0] = words[1] = 2;
              return words[0] == 2 && words[1] == 2 ? 0 : 1;
            }),
            0);
  EXPECT_EQ(gpu_.load(kData), 1u);
  EXPECT_EQ(gpu_.load(kData + 8), 1u);
  EXPECT_DONE(gpu_.store(kData, 3));
  EXPECT_EQ(words[0], 3u);
}

TEST_P(Hugetlb, child_sees_what_is_shared) {
  const Mapping memory = huge_memory(MAP_SHARED);
  const Words words = memory.as<std::uint64_t>();
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 1));
  WaitingChild child([&] {
    if (words[0] != 2) return 1;
    words[1] = 3;
    return 0;
  });
  ASSERT_DONE(child.error());
  EXPECT_DONE(gpu_.store(kData, 2));
  EXPECT_EQ(child.finish(), 0);
  EXPECT_EQ(gpu_.load(kData + 8), 3u);
}

// The pages of a process are reserved for it: when the pool has none for a copy, it is the child
// that loses its page, and the GPU goes on as the process would.
TEST_P(HugetlbFollowed, fork_without_a_page_to_spare_is_at_the_expense_of_the_child) {
  pool_.resize(2);
  const Mapping memory = huge_memory(MAP_PRIVATE);
  const Words words = memory.as<std::uint64_t>();
  words[0] = words[kHugePageBytes / 8] = 1;
  ASSERT_EQ(Pool::free(), 0u);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 2));
  WaitingChild child([&] { return words[0] == 2 ? 0 : 1; });
  ASSERT_DONE(child.error());
  EXPECT_DONE(gpu_.store(kData, 3));
  EXPECT_EQ(words[0], 3u);
  EXPECT_EQ(child.finish(), -1) << "where did the child have a page from?";
  EXPECT_DONE(gpu_.store(kData + kHugePageBytes, 4));
  EXPECT_EQ(words[kHugePageBytes / 8], 4u);
}

class HugetlbPinned : public HugetlbFixture {
 protected:
  HugetlbPinned() : HugetlbFixture({.strategy = Strategy::pin}) {}
};

// A pinned page is copied at once, so it is fork() that finds no page.
TEST_F(HugetlbPinned, pages_need_others_to_spare_for_a_fork) {
  pool_.resize(2);
  const Mapping memory = huge_memory(MAP_PRIVATE);
  ASSERT_DONE(bind(memory.bytes()));
  WaitingChild child([] { return 0; });
  EXPECT_NE(child.error(), 0);
  EXPECT_EQ(child.finish(), -1);
  expect_huge_shared(memory.bytes());
}

// The process changes the memory while it is mapped.

TEST_P(HugetlbFollowed, memory_that_is_unmapped_goes_back_to_the_pool) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  ASSERT_DONE(bind(memory.bytes()));
  expect_huge_shared(memory.bytes());
  ASSERT_EQ(::munmap(memory.bytes().data(), kHugeBytes), 0);
  EXPECT_EQ(Pool::free(), kPoolPages) << "somebody still has the pages";
  EXPECT_ERRNO(gpu_.store(kData, 1), EFAULT);
}

TEST_P(HugetlbFollowed, a_part_that_is_unmapped_is_no_longer_reached) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  ASSERT_DONE(bind(memory.bytes()));
  expect_huge_shared(memory.bytes());
  ASSERT_EQ(::munmap(memory.bytes().data(), kHugePageBytes), 0);
  EXPECT_ERRNO(gpu_.store(kData, 1), EFAULT);
  gpu_.vm.unmap({.at = kData, .bytes = kHugeBytes});
  ASSERT_DONE(bind(memory.bytes().subspan(kHugePageBytes)));
  expect_huge_shared(memory.bytes().subspan(kHugePageBytes));
}

TEST_P(HugetlbFollowed, memory_that_is_given_back_with_madvise_is_fresh_for_both) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  ASSERT_DONE(bind(memory.bytes()));
  for (int round = 0; round < 3; ++round) {
    expect_huge_shared(memory.bytes());
    ASSERT_EQ(::madvise(memory.bytes().data(), kHugeBytes, MADV_DONTNEED), 0);
    EXPECT_EQ(gpu_.load(kData), 0u);
  }
}

TEST_P(HugetlbFollowed, punched_hole_is_zero) {
  const UniqueFd fd = huge_memfd();
  const Mapping memory = map_file(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED, kHugeBytes);
  ASSERT_DONE(bind(memory.bytes()));
  expect_huge_shared(memory.bytes());
  EXPECT_DONE(gpu_.store(kData + kHugePageBytes, 7));
  ASSERT_EQ(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kHugePageBytes),
            0);
  EXPECT_EQ(gpu_.load(kData), 0u);
  EXPECT_EQ(gpu_.load(kData + kHugePageBytes), 7u);
  expect_huge_shared(memory.bytes());
}

TEST_P(HugetlbFollowed, truncated_file_is_no_longer_reached) {
  const UniqueFd fd = huge_memfd();
  const Mapping memory = map_file(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED, kHugeBytes);
  ASSERT_DONE(bind(memory.bytes()));
  expect_huge_shared(memory.bytes());
  ASSERT_EQ(::ftruncate(fd.get(), kHugePageBytes), 0);
  EXPECT_ERRNO(gpu_.store(kData + kHugePageBytes, 1), EFAULT);
  ASSERT_EQ(::ftruncate(fd.get(), kHugeBytes), 0);
  EXPECT_EQ(gpu_.load(kData + kHugePageBytes), 0u);
  expect_huge_shared(memory.bytes());
}

TEST_P(HugetlbFollowed, memory_that_becomes_read_only_is_no_longer_written) {
  const Mapping memory = huge_memory(MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 1));
  ASSERT_EQ(::mprotect(memory.bytes().data(), kHugeBytes, PROT_READ), 0);
  EXPECT_ERRNO(gpu_.store(kData, 2), EFAULT);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 1u);
  ASSERT_EQ(::mprotect(memory.bytes().data(), kHugeBytes, PROT_READ | PROT_WRITE), 0);
  EXPECT_DONE(gpu_.store(kData, 3));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 3u);
}

TEST_P(HugetlbFollowed, memory_that_is_moved_is_reached_where_it_is) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  memory.as<std::uint64_t>()[0] = 1;
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData + 8, 2));
  const Mapping elsewhere = anonymous_memory(kHugeBytes, kHugePageBytes);
  ASSERT_NE(::mremap(memory.bytes().data(), kHugeBytes, kHugeBytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                     elsewhere.bytes().data()),
            MAP_FAILED);
  EXPECT_ERRNO(gpu_.store(kData, 3), EFAULT);
  EXPECT_EQ(elsewhere.as<std::uint64_t>()[0], 1u);
  ASSERT_DONE(bind(elsewhere.bytes()));
  EXPECT_EQ(gpu_.load(kData + 8), 2u);
  expect_huge_shared(elsewhere.bytes());
}

class HugetlbSvm : public HugetlbFixture {
 protected:
  HugetlbSvm() : HugetlbFixture({.strategy = Strategy::fault, .svm = true}) {}
};

TEST_F(HugetlbSvm, is_reached_as_long_as_it_is_there) {
  for (const int sharing : {MAP_PRIVATE, MAP_SHARED}) {
    const Mapping memory = huge_memory(sharing);
    const GpuVa at = shared_address(memory.bytes().data());
    EXPECT_EQ(gpu_.load(at + kHugePageBytes), 0u) << "never touched by the process";
    expect_shared_at(at, memory.bytes());
    std::memset(memory.bytes().data(), 1, kHugeBytes);
    expect_shared_at(at, memory.bytes());
    ASSERT_EQ(::madvise(memory.bytes().data(), kHugeBytes, MADV_DONTNEED), 0);
    expect_shared_at(at, memory.bytes());
    ASSERT_EQ(::munmap(memory.bytes().data() + kHugePageBytes, kHugePageBytes), 0);
    EXPECT_ERRNO(gpu_.store(at + kHugePageBytes, 1), EFAULT);
    expect_shared_at(at, memory.bytes().first(kHugePageBytes));
  }
}

TEST_F(HugetlbSvm, stays_with_the_parent_across_fork) {
  const Mapping memory = huge_memory(MAP_PRIVATE);
  const Words words = memory.as<std::uint64_t>();
  const GpuVa at = shared_address(words.data());
  words[1] = 1;
  EXPECT_DONE(gpu_.store(at, 1));
  WaitingChild child([&] { return words[0] == 1 && words[1] == 1 ? 0 : 1; });
  ASSERT_DONE(child.error());
  EXPECT_DONE(gpu_.store(at, 2));
  words[1] = 3;
  EXPECT_EQ(gpu_.load(at + 8), 3u);
  EXPECT_EQ(words[0], 2u);
  EXPECT_EQ(child.finish(), 0) << "the GPU has written to the child's copy";
}

}  // namespace
}  // namespace figment::guest
