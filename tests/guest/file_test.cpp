// SPDX-License-Identifier: MIT
//
// Mappings of files as GPU memory. A private one is read from the page cache and written as a copy
// of the process. Through a shared one the GPU writes to the file: what it has written has to be
// on the medium after msync(), and what it writes later has to get there, too. The medium is a
// zram disk, which every kernel here has, and the file its block device; what needs a regular file
// that is not on tmpfs has one on ramfs.
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "module_parameter.h"
#include "page_kind.h"
#include "userptr.h"

namespace figment::guest {
namespace {

constexpr auto kBoth = PROT_READ | PROT_WRITE;
constexpr std::uint64_t kWordsPerPage = kPageBytes / sizeof(std::uint64_t);

/// A disk of its own, with a page cache that is written back, and a look behind the cache.
class Disk {
 public:
  /// Nothing: this kernel has no zram.
  static std::optional<Disk> create() {
    std::ignore = std::system("modprobe -q zram");
    int number = -1;
    if (!(std::ifstream("/sys/class/zram-control/hot_add") >> number)) return std::nullopt;
    return Disk(number);
  }
  Disk(Disk&& other) noexcept = default;
  ~Disk() {
    if (!file_) return;
    file_ = UniqueFd();
    direct_ = UniqueFd();
    std::ofstream("/sys/class/zram-control/hot_remove") << number_;
  }

  [[nodiscard]] int fd() const { return file_.get(); }
  /// A word of the medium, whatever the page cache thinks of it.
  [[nodiscard]] std::uint64_t on_medium(std::uint64_t word) const {
    const auto page = std::unique_ptr<std::uint64_t, decltype(&std::free)>(
        static_cast<std::uint64_t*>(std::aligned_alloc(kPageBytes, kPageBytes)), &std::free);
    const auto at = static_cast<off_t>(word / kWordsPerPage * kPageBytes);
    if (::pread(direct_.get(), page.get(), kPageBytes, at) != kPageBytes) fail(errno, "pread");
    return page.get()[word % kWordsPerPage];
  }

 private:
  explicit Disk(int number) : number_(number) {
    std::ofstream("/sys/block/zram" + std::to_string(number) + "/disksize") << 4_MiB;
    const std::string path = "/dev/zram" + std::to_string(number);
    file_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    direct_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (!file_ || !direct_) fail(errno, path);
  }

  int number_;
  UniqueFd file_;
  UniqueFd direct_;
};

/// A file on ramfs of which each page begins with its number.
UniqueFd numbered_file() {
  UniqueFd fd = stress::plain_file();
  for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
    const auto at = static_cast<off_t>(page * kPageBytes);
    if (::pwrite(fd.get(), &page, sizeof(page), at) != sizeof(page)) fail(errno, "pwrite");
  }
  if (::ftruncate(fd.get(), kBytes) != 0) fail(errno, "ftruncate");
  return fd;
}

std::uint64_t in_file(int fd, std::uint64_t word) {
  std::uint64_t value = 0;
  if (::pread(fd, &value, sizeof(value), static_cast<off_t>(word * 8)) != sizeof(value)) {
    fail(errno, "pread");
  }
  return value;
}

void sync(const Mapping& memory) {
  if (::msync(memory.bytes().data(), memory.bytes().size(), MS_SYNC) != 0) fail(errno, "msync");
}

/// With every strategy that is safe.
class File : public UserptrFixture, public testing::WithParamInterface<Strategy> {
 protected:
  File() : UserptrFixture(GetParam()) {}
};
/// With those that follow what the process does.
class FileFollowed : public File {
 protected:
  void fill(std::uint64_t value) {
    CommandList list;
    ASSERT_DONE(
        gpu_.run(list.fill({.at = kData, .bytes = kBytes, .value = value, .increment = true})));
  }
};

INSTANTIATE_TEST_SUITE_P(strategies, File,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault,
                                         Strategy::pin),
                         strategy_name);
INSTANTIATE_TEST_SUITE_P(strategies, FileFollowed,
                         testing::Values(Strategy::fence, Strategy::preempt, Strategy::fault),
                         strategy_name);

// Private mappings

TEST_P(File, private_mapping_is_read_and_a_copy_of_it_written) {
  const UniqueFd fd = numbered_file();
  const Mapping memory = map_file(fd.get(), kBoth, MAP_PRIVATE);
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_EQ(gpu_.load(kData + 3 * kPageBytes), 3u);
  expect_shared(memory.bytes());
  EXPECT_DONE(gpu_.store(kData + 3 * kPageBytes, 33));
  EXPECT_EQ(memory.as<std::uint64_t>()[3 * kWordsPerPage], 33u);
  for (std::uint64_t page = 0; page < kBytes / kPageBytes; ++page) {
    EXPECT_EQ(in_file(fd.get(), page * kWordsPerPage), page) << "the file was written";
  }
}

TEST_P(File, program_is_read_and_not_written) {
  const UniqueFd fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fd);
  for (const int sharing : {MAP_SHARED, MAP_PRIVATE}) {
    const Mapping text = map_file(fd.get(), PROT_READ, sharing);
    const std::uint64_t first = text.as<std::uint64_t>()[0];
    EXPECT_ERRNO(bind(text.bytes()), EFAULT) << "it cannot be written";
    ASSERT_DONE(bind(text.bytes(), Access::read_only));
    EXPECT_EQ(gpu_.load(kData), first);
    EXPECT_ERRNO(gpu_.store(kData, ~first), EFAULT);
    EXPECT_EQ(text.as<std::uint64_t>()[0], first);
    gpu_.vm.unmap({.at = kData, .bytes = kBytes});
  }
  expect_healthy();
}

TEST_P(FileFollowed, private_mapping_that_is_only_read_changes_with_the_file_and_the_process) {
  const UniqueFd fd = numbered_file();
  const Mapping memory = map_file(fd.get(), kBoth, MAP_PRIVATE);
  ASSERT_DONE(bind(memory.bytes(), Access::read_only));
  EXPECT_EQ(gpu_.load(kData + kPageBytes), 1u);
  EXPECT_ERRNO(gpu_.store(kData + kPageBytes, 2), EFAULT);
  const std::uint64_t value = 11;
  ASSERT_EQ(::pwrite(fd.get(), &value, sizeof(value), kPageBytes), 8);
  EXPECT_EQ(gpu_.load(kData + kPageBytes), 11u) << "still the page of the file";
  memory.as<std::uint64_t>()[kWordsPerPage] = 12;
  EXPECT_EQ(gpu_.load(kData + kPageBytes), 12u) << "now a page of the process";
  EXPECT_EQ(in_file(fd.get(), kWordsPerPage), 11u);
}

TEST_P(File, child_has_a_copy_of_a_private_mapping) {
  const UniqueFd fd = numbered_file();
  const Mapping memory = map_file(fd.get(), kBoth, MAP_PRIVATE);
  const Words words = memory.as<std::uint64_t>();
  ASSERT_DONE(bind(memory.bytes()));
  EXPECT_DONE(gpu_.store(kData, 1));
  EXPECT_EQ(in_child([&]() -> int {
              const bool inherited = words[0] == 1 && words[kWordsPerPage] == 1;
              words[0] = words[kWordsPerPage] = 2;
              return inherited && words[0] == 2 ? 0 : 1;
            }),
            0);
  EXPECT_EQ(gpu_.load(kData), 1u);
  EXPECT_DONE(gpu_.store(kData, 3));
  EXPECT_EQ(words[0], 3u);
  EXPECT_EQ(words[kWordsPerPage], 1u);
  expect_shared(memory.bytes());
}

TEST_P(FileFollowed, what_is_past_the_end_of_the_file_is_not_there) {
  for (const int sharing : {MAP_PRIVATE, MAP_SHARED}) {
    SCOPED_TRACE(sharing);
    const UniqueFd fd = numbered_file();
    const Mapping memory = map_file(fd.get(), kBoth, sharing);
    ASSERT_DONE(bind(memory.bytes()));
    expect_shared(memory.bytes());
    ASSERT_EQ(::ftruncate(fd.get(), kBytes / 2), 0);
    EXPECT_ERRNO(gpu_.store(kData + kBytes / 2, 1), EFAULT);
    ASSERT_EQ(::ftruncate(fd.get(), kBytes), 0);
    EXPECT_EQ(gpu_.load(kData + kBytes / 2), 0u);
    expect_shared(memory.bytes());
  }
}

// Shared mappings

TEST_P(File, shared_mapping_is_read_and_changes_with_the_file) {
  const UniqueFd fd = numbered_file();
  const Mapping memory = map_file(fd.get(), kBoth, MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes(), Access::read_only));
  EXPECT_EQ(gpu_.load(kData + kPageBytes), 1u);
  EXPECT_ERRNO(gpu_.store(kData + kPageBytes, 2), EFAULT);
  const std::uint64_t value = 11;
  ASSERT_EQ(::pwrite(fd.get(), &value, sizeof(value), kPageBytes), 8);
  EXPECT_EQ(gpu_.load(kData + kPageBytes), 11u);
  memory.as<std::uint64_t>()[kWordsPerPage] = 12;
  EXPECT_EQ(gpu_.load(kData + kPageBytes), 12u);
}

TEST(FileHeld, shared_mapping_is_not_written) {
  const ScopedModuleParameter allow_unsafe("allow_unsafe", "1");
  const UniqueFd fd = numbered_file();
  const Mapping memory = map_file(fd.get(), kBoth, MAP_SHARED);
  for (const Strategy strategy : {Strategy::pin, Strategy::unsafe}) {
    Gpu gpu(strategy);
    const drm_figment_bind_op op = {.kind = DRM_FIGMENT_BIND_MAP_USERPTR,
                                    .address = kData.value,
                                    .size = kBytes,
                                    .offset = user_pointer(memory.bytes().data())};
    drm_figment_vm_bind request = {.vm_id = gpu.vm.id(), .ops = array_of(op)};
    EXPECT_ERRNO(raw(gpu.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request), EOPNOTSUPP);
    gpu.vm.map_userptr({.at = kData, .memory = memory.bytes(), .access = Access::read_only});
    EXPECT_EQ(gpu.load(kData + kPageBytes), 1u);
  }
}

TEST_P(FileFollowed, shared_mapping_is_shared_with_the_gpu) {
  const UniqueFd fd = numbered_file();
  const Mapping memory = map_file(fd.get(), kBoth, MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes()));
  expect_shared(memory.bytes());
  EXPECT_DONE(gpu_.store(kData + 8, 5));
  EXPECT_EQ(in_file(fd.get(), 1), 5u);
}

TEST_P(FileFollowed, what_the_gpu_writes_is_on_the_medium_after_msync) {
  const auto disk = Disk::create();
  if (!disk) GTEST_SKIP() << "this kernel has no zram";
  const Mapping memory = map_file(disk->fd(), kBoth, MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes()));
  for (std::uint64_t round = 1; round <= 4; ++round) {
    // A page that the GPU could go on writing would be clean, and not be written back again.
    fill(round << 32);
    EXPECT_EQ(disk->on_medium(1), (round << 32) + 1) << "a direct read comes after a writeback";
    fill(round << 32 | 1 << 20);
    sync(memory);
    for (const std::uint64_t word : {0ul, 513ul, kBytes / 8 - 1}) {
      EXPECT_EQ(disk->on_medium(word), (round << 32 | 1 << 20) + word) << "round " << round;
    }
  }
}

TEST_P(FileFollowed, nothing_is_lost_that_the_gpu_writes_while_pages_are_written_back) {
  const auto disk = Disk::create();
  if (!disk) GTEST_SKIP() << "this kernel has no zram";
  const Mapping memory = map_file(disk->fd(), kBoth, MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes()));
  std::atomic<bool> stop = false;
  std::atomic<int> syncs = 0;
  // Of some pages: each that is cleaned takes all of the range from the GPU, under `fence`, which
  // on a kernel that checks itself took minutes for all of them.
  std::thread writeback([&] {
    for (; !stop; ++syncs) ::msync(memory.bytes().data(), kBytes / 32, MS_SYNC);
  });
  std::uint64_t round = 0;
  const auto end = after(kPatience);
  while (round < 20 || (syncs < 2 && Clock::now() < end)) fill(++round << 32);
  stop = true;
  writeback.join();
  EXPECT_GT(syncs, 1);
  sync(memory);
  for (std::uint64_t word = 0; word < kBytes / 8; word += 511) {
    EXPECT_EQ(disk->on_medium(word), (round << 32) + word);
    EXPECT_EQ(memory.as<std::uint64_t>()[word], (round << 32) + word);
  }
}

TEST_P(FileFollowed, punched_hole_is_zero) {
  const auto disk = Disk::create();
  if (!disk) GTEST_SKIP() << "this kernel has no zram";
  const Mapping memory = map_file(disk->fd(), kBoth, MAP_SHARED);
  ASSERT_DONE(bind(memory.bytes()));
  fill(1ull << 32);
  ASSERT_EQ(
      ::fallocate(disk->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPageBytes, kPageBytes),
      0)
      << name(errno);
  EXPECT_EQ(gpu_.load(kData + kPageBytes), 0u);
  EXPECT_EQ(gpu_.load(kData + 2 * kPageBytes), (1ull << 32) + 1024);
  expect_shared(memory.bytes());
}

// What the file has when the mapping is gone: the page cache knows that the pages are dirty.
TEST_P(FileFollowed, what_the_gpu_has_written_survives_the_mapping) {
  const auto disk = Disk::create();
  if (!disk) GTEST_SKIP() << "this kernel has no zram";
  {
    const Mapping memory = map_file(disk->fd(), kBoth, MAP_SHARED);
    ASSERT_DONE(bind(memory.bytes()));
    fill(1ull << 32);
    sync(memory);
    fill(2ull << 32);
    gpu_.vm.unmap({.at = kData, .bytes = kBytes});
  }
  ASSERT_EQ(::fsync(disk->fd()), 0);
  EXPECT_EQ(disk->on_medium(513), (2ull << 32) + 513);
}

// What is refused

TEST_P(File, secret_memory_is_refused) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_memfd_secret, O_CLOEXEC)));
  if (!fd) GTEST_SKIP() << "this kernel has no memfd_secret: " << name(errno);
  ASSERT_EQ(::ftruncate(fd.get(), kBytes), 0);
  const Mapping memory = map_file(fd.get(), kBoth, MAP_SHARED);
  EXPECT_ERRNO(bind(memory.bytes()), EOPNOTSUPP);
  EXPECT_ERRNO(bind(memory.bytes(), Access::read_only), EOPNOTSUPP);
  expect_healthy();
}

TEST_P(File, pages_of_the_kernel_are_refused) {
  const std::uint64_t vdso = ::getauxval(AT_SYSINFO_EHDR);
  ASSERT_NE(vdso, 0u);
  EXPECT_ERRNO(bind(span_of(reinterpret_cast<void*>(vdso), kPageBytes), Access::read_only),
               EOPNOTSUPP);
  expect_healthy();
}

// Shared virtual memory

std::uint64_t initialised = 0x1234'5678;
std::uint64_t not_initialised;
constexpr std::uint64_t kConstant[] = {0xc057'a4f7, 2};

class FileSvm : public GpuTest {
 protected:
  FileSvm() : GpuTest(VmConfig{.strategy = Strategy::fault, .svm = true}) {}
};

TEST_F(FileSvm, variables_of_the_program_are_reached) {
  EXPECT_EQ(gpu_.load(shared_address(&initialised)), 0x1234'5678u);
  EXPECT_EQ(gpu_.load(shared_address(&not_initialised)), 0u);
  EXPECT_DONE(gpu_.store(shared_address(&initialised), 7));
  EXPECT_DONE(gpu_.store(shared_address(&not_initialised), 8));
  EXPECT_EQ(std::atomic_ref(initialised).load(), 7u);
  EXPECT_EQ(std::atomic_ref(not_initialised).load(), 8u);
  std::atomic_ref(initialised).store(0x1234'5678);
  EXPECT_EQ(gpu_.load(shared_address(&initialised)), 0x1234'5678u);
}

TEST_F(FileSvm, constants_and_code_are_read_and_not_written) {
  EXPECT_EQ(gpu_.load(shared_address(&kConstant[0])), 0xc057'a4f7u);
  EXPECT_ERRNO(gpu_.store(shared_address(&kConstant[0]), 1), EFAULT);
  EXPECT_EQ(std::atomic_ref(const_cast<std::uint64_t&>(kConstant[0])).load(), 0xc057'a4f7u);
  const auto* code = reinterpret_cast<const std::uint64_t*>(
      reinterpret_cast<std::uintptr_t>(&numbered_file) & ~7ull);
  EXPECT_EQ(gpu_.load(shared_address(code)), *code);
  EXPECT_ERRNO(gpu_.store(shared_address(code), 0), EFAULT);
}

TEST_F(FileSvm, what_is_left_of_a_truncated_file_is_reached) {
  const UniqueFd fd = numbered_file();
  const Mapping place = anonymous_memory(kBytes, 64_KiB);
  void* at = ::mmap(place.bytes().data(), kBytes, kBoth, MAP_SHARED | MAP_FIXED, fd.get(), 0);
  ASSERT_NE(at, MAP_FAILED);
  const Words words = place.as<std::uint64_t>();
  for (std::uint64_t n = 0; n < words.size(); n += kWordsPerPage) words[n] = n;
  EXPECT_DONE(gpu_.store(shared_address(&words[0]), 1));
  ASSERT_EQ(::ftruncate(fd.get(), kBytes / 2), 0);
  EXPECT_EQ(gpu_.load(shared_address(&words[0])), 1u);
  EXPECT_DONE(gpu_.store(shared_address(&words[kWordsPerPage]), 2));
  EXPECT_EQ(in_file(fd.get(), kWordsPerPage), 2u);
  EXPECT_ERRNO(gpu_.try_load(shared_address(&words[words.size() / 2])), EFAULT);
}

TEST_F(FileSvm, what_the_gpu_writes_to_a_file_gets_to_the_medium) {
  const auto disk = Disk::create();
  if (!disk) GTEST_SKIP() << "this kernel has no zram";
  const Mapping memory = map_file(disk->fd(), kBoth, MAP_SHARED);
  const Words words = memory.as<std::uint64_t>();
  for (std::uint64_t round = 1; round <= 4; ++round) {
    EXPECT_DONE(gpu_.store(shared_address(&words[513]), round));
    sync(memory);
    EXPECT_EQ(disk->on_medium(513), round);
    EXPECT_EQ(gpu_.load(shared_address(&words[513])), round);
  }
}

}  // namespace
}  // namespace figment::guest
