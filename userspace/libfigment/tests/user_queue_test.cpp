// SPDX-License-Identifier: MIT
//
// UserQueue, with this program in the place of kernel and device: what it writes to ring, index and
// doorbell, and that it waits for room.
#include "figment/user_queue.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "fake_driver.h"
#include "figment/vm.h"
#include "figment_drm.h"

namespace figment {
namespace {

using namespace std::chrono_literals;

constexpr GpuVa kRing{0x100000};
constexpr std::uint64_t kRingBytes = 4_KiB;
constexpr std::uint64_t kRingWords = kRingBytes / 8;
// RELEASE of the number.
constexpr std::uint64_t kEndBytes = 24;

class UserQueueTest : public testing::Test {
 protected:
  UserQueueTest() {
    EXPECT_EQ(::ftruncate(pages_.get(), 3 * kPageBytes), 0);
    // The device file that is mapped; FakeDriver::file() closes it.
    EXPECT_EQ(::dup2(pages_.get(), FakeDriver::kFile), FakeDriver::kFile);
    queue_.emplace(UserQueue::create(
        FakeDriver::file(), 3, {.at = kRing, .ring_bytes = kRingBytes, .memory = memory_.bytes()},
        std::nullopt));
    view_ = view_of_pages();
  }

  int answer(unsigned long request, void* arguments) {
    switch (request) {
      case DRM_IOCTL_FIGMENT_QUEUE_CREATE:
        asked_ = *static_cast<drm_figment_queue_create*>(arguments);
        static_cast<drm_figment_queue_create*>(arguments)->id = 7;
        return 0;
      case DRM_IOCTL_FIGMENT_QUEUE_QUERY:
        static_cast<drm_figment_queue_query*>(arguments)->errors = errors_;
        static_cast<drm_figment_queue_query*>(arguments)->last_error = -EFAULT;
        return 0;
      case DRM_IOCTL_FIGMENT_QUEUE_DESTROY:
        return 0;
    }
    return ENOTTY;
  }
  std::uint64_t* view_of_pages() const {
    void* at = ::mmap(nullptr, 3 * kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, pages_.get(), 0);
    EXPECT_NE(at, MAP_FAILED);
    return static_cast<std::uint64_t*>(at);
  }
  std::uint64_t doorbell() const { return __atomic_load_n(&view_[0], __ATOMIC_ACQUIRE); }
  std::uint64_t index() const {
    return view_[DRM_FIGMENT_USER_QUEUE_INDEX / sizeof(std::uint64_t)];
  }
  void set_read(std::uint64_t read) {
    auto* status = reinterpret_cast<drm_figment_user_queue_status*>(
        view_ + DRM_FIGMENT_USER_QUEUE_STATUS / sizeof(std::uint64_t));
    __atomic_store_n(&status->read, read, __ATOMIC_RELEASE);
  }
  std::span<const std::uint64_t> words() const { return memory_.as<std::uint64_t>(); }
  static CommandList nops(unsigned qwords) {
    CommandList list;
    list.nop(static_cast<std::uint16_t>(qwords));
    return list;
  }

  const FakeDriver driver_{[this](auto... asked) { return answer(asked...); }};
  drm_figment_queue_create asked_ = {};
  std::uint64_t errors_ = 0;
  const UniqueFd pages_{::memfd_create("user-queue", MFD_CLOEXEC)};
  const Mapping memory_ = anonymous_memory(kRingBytes + kPageBytes);
  std::optional<UserQueue> queue_;
  std::uint64_t* view_ = nullptr;
};

TEST_F(UserQueueTest, says_where_its_ring_is) {
  EXPECT_EQ(asked_.vm_id, 3u);
  EXPECT_EQ(asked_.flags, unsigned{DRM_FIGMENT_QUEUE_USER});
  EXPECT_EQ(asked_.ring_address, kRing.value);
  EXPECT_EQ(asked_.ring_size, kRingBytes);
}

TEST_F(UserQueueTest, writes_packets_and_their_number_and_rings) {
  EXPECT_EQ(queue_->submit(nops(3)), 1u);
  EXPECT_EQ(index(), 3 * 8 + kEndBytes);
  EXPECT_EQ(doorbell(), index());
  CommandList expected = nops(3);
  expected.release({.at = kRing + kRingBytes, .value = 1, .event = true});
  for (std::size_t n = 0; n < expected.words().size(); ++n) {
    EXPECT_EQ(words()[n], expected.words()[n]) << n;
  }
  EXPECT_EQ(queue_->submit({}, UserQueue::Tell::by_the_way), 2u);
  EXPECT_EQ(doorbell(), 3 * 8 + 2 * kEndBytes);
  EXPECT_FALSE(queue_->is_done(1));
  memory_.as<std::uint64_t>()[kRingWords] = 1;
  EXPECT_TRUE(queue_->is_done(1));
  EXPECT_FALSE(queue_->is_done(2));
}

TEST_F(UserQueueTest, goes_round_the_end_of_the_ring) {
  // What is left is a word: the RELEASE is cut in two.
  queue_->submit(nops(kRingWords - 4));
  set_read(queue_->written());
  queue_->submit({});
  CommandList end;
  end.release({.at = kRing + kRingBytes, .value = 2, .event = true});
  EXPECT_EQ(words()[kRingWords - 1], end.words()[0]);
  EXPECT_EQ(words()[0], end.words()[1]);
  EXPECT_EQ(words()[1], end.words()[2]);
  EXPECT_EQ(doorbell(), kRingBytes + 16);
}

TEST_F(UserQueueTest, fills_the_ring_and_then_waits_for_room) {
  queue_->submit(nops(kRingWords - 6));
  queue_->submit({});
  EXPECT_EQ(doorbell(), kRingBytes) << "full, and nobody has waited";
  std::jthread device([&] {
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(doorbell(), kRingBytes);
    set_read(kEndBytes);
  });
  queue_->submit({});
  EXPECT_EQ(doorbell(), kRingBytes + kEndBytes);
}

TEST_F(UserQueueTest, does_not_wait_for_a_queue_that_has_ended) {
  queue_->submit(nops(kRingWords - 3));
  errors_ = 1;
  try {
    queue_->submit({});
    ADD_FAILURE() << "there is no room";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EFAULT);
  }
}

TEST_F(UserQueueTest, takes_nothing_that_is_longer_than_its_ring) {
  EXPECT_THROW(queue_->submit(nops(kRingWords - 2)), std::length_error);
  EXPECT_EQ(doorbell(), 0u);
  queue_->submit(nops(kRingWords - 3));
}

TEST_F(UserQueueTest, needs_a_page_more_than_its_ring) {
  EXPECT_THROW(
      UserQueue::create(
          FakeDriver::file(), 3,
          {.at = kRing, .ring_bytes = kRingBytes, .memory = memory_.bytes().first(kRingBytes)},
          std::nullopt),
      std::length_error);
}

}  // namespace
}  // namespace figment
