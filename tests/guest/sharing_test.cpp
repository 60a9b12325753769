// SPDX-License-Identifier: MIT
//
// Two GPUs, and others that have buffers: fences that go from one to the other, memory that both
// reach, and what happens to it when one of them goes. And cycles of fences, which nobody can make.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sync_file.h>
#include <linux/udmabuf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "chain_row.h"
#include "guest.h"
#include "module_parameter.h"
#include "process.h"
#include "unbound_device.h"

namespace figment::guest {
namespace {

using testing::IsEmpty;

using Words = std::span<std::uint64_t>;

constexpr std::uint64_t kSharedBytes = 64_KiB;

/// Two GPUs. Every test here needs them.
class Sharing : public testing::Test {
 protected:
  void SetUp() override {
    if (Device::nodes().size() < 2) GTEST_SKIP() << "one GPU only: run with --gpus 2";
    a_.emplace(VmConfig{}, 0);
    b_.emplace(VmConfig{}, 1);
  }

  std::optional<Gpu> a_;
  std::optional<Gpu> b_;
};

/// Until `fence` has ended well, with the gate of `holder` opened meanwhile: not before that.
void expect_waits_for_gate(const Fence& fence, Gpu& holder) {
  EXPECT_FALSE(fence.wait(after(std::chrono::milliseconds(20))));
  holder.open_gate();
  EXPECT_DONE(outcome(fence));
}

UniqueFd merge(const UniqueFd& one, const UniqueFd& other) {
  sync_merge_data request = {.name = "both", .fd2 = other.get(), .fence = -1, .flags = 0, .pad = 0};
  if (const int error = ioctl_errno(one.get(), SYNC_IOC_MERGE, &request)) {
    fail(error, "SYNC_IOC_MERGE");
  }
  return UniqueFd(request.fence);
}

/// `file`, as something that `gpu` can wait for.
Syncobj imported(const Gpu& gpu, const UniqueFd& file) {
  Syncobj syncobj = gpu.device.syncobj();
  syncobj.import_sync_file(file);
  return syncobj;
}

// --- fences ---------------------------------------------------------------

enum class Kind { binary, timeline };

class SharingFences : public Sharing, public testing::WithParamInterface<Kind> {
 protected:
  SyncPoint point(const Syncobj& syncobj, std::uint64_t n) const {
    return GetParam() == Kind::timeline ? syncobj.at(n) : syncobj.binary();
  }
};

INSTANTIATE_TEST_SUITE_P(kinds, SharingFences, testing::Values(Kind::binary, Kind::timeline),
                         [](const auto& info) {
                           return info.param == Kind::binary ? "binary" : "timeline";
                         });

TEST_P(SharingFences, make_a_gpu_wait_for_the_other_on_the_same_memory) {
  const Mapping memory = anonymous_memory(kPageBytes);
  a_->vm.map_userptr({.at = kData, .memory = memory.bytes()});
  b_->vm.map_userptr({.at = kData, .memory = memory.bytes()});
  const Syncobj end = a_->device.syncobj();
  const Fence gate = a_->close_gate(a_->queue);
  CommandList first;
  first.fill({.at = kData, .bytes = 8, .value = 1});
  const Fence stored = a_->start(first);
  a_->queue.submit({.at = GpuVa{}, .signal = {point(end, 4)}});

  const Syncobj before = imported(
      *b_, GetParam() == Kind::timeline ? end.export_sync_file(4) : end.export_sync_file());
  // Adds one if the word is what the other GPU writes.
  CommandList second;
  second.atomic({.kind = AtomicKind::cas, .at = kData, .operand = 2, .compare = 1});
  const Fence last = b_->start(second, {before.binary()});
  expect_waits_for_gate(last, *a_);
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 2u);
  EXPECT_DONE(outcome(stored));
  EXPECT_DONE(outcome(gate));
}

TEST_P(SharingFences, are_in_a_syncobj_that_both_have) {
  const Syncobj here = a_->device.syncobj();
  const Syncobj there = Syncobj::import_file(b_->device.file(), here.export_file());
  const Fence gate = a_->close_gate(a_->queue);
  a_->queue.submit({.at = GpuVa{}, .signal = {point(here, 1)}});
  expect_waits_for_gate(b_->queue.run({.at = GpuVa{}, .wait = {point(there, 1)}}), *a_);
  EXPECT_DONE(outcome(gate));
}

TEST_F(Sharing, merged_sync_file_is_for_the_jobs_of_both) {
  const Fence gate_a = a_->close_gate(a_->queue);
  const Fence gate_b = b_->close_gate(b_->queue);
  const UniqueFd both = merge(gate_a.sync_file(), gate_b.sync_file());
  const Syncobj before = imported(*b_, both);
  Queue other = b_->vm.queue();
  const Fence last = b_->start_on(other, CommandList{}.nop(), {before.binary()});
  a_->open_gate();
  EXPECT_DONE(outcome(gate_a));
  EXPECT_EQ(sync_file_result(both), std::nullopt);
  expect_waits_for_gate(last, *b_);
  EXPECT_EQ(sync_file_result(both), 0);
  EXPECT_DONE(outcome(gate_b));
}

TEST_F(Sharing, error_of_a_job_goes_to_the_other_gpu_and_its_job_still_runs) {
  const Fence gate = a_->close_gate(a_->queue);
  CommandList bad;
  bad.fill({.at = kHole, .bytes = 8});
  const UniqueFd end = a_->start(bad).sync_file();
  const Syncobj before = imported(*b_, end);
  const Fence good = b_->start(CommandList{}.nop(), {before.binary()});
  a_->open_gate();
  EXPECT_DONE(outcome(good));
  EXPECT_EQ(sync_file_result(end), EFAULT);
  EXPECT_DONE(outcome(gate));
}

// --- memory ---------------------------------------------------------------

int ioctl_fd(int fd, unsigned long number, void* request) {
  const int result = ::ioctl(fd, number, request);
  if (result < 0) fail(errno, std::format("ioctl {:#x}", number));
  return result;
}

/// Who has a buffer that a GPU is to reach.
struct Exporter {
  const char* name;
  /// Its dma-buf, and nothing else of it. Nothing: it is not there.
  std::function<std::optional<UniqueFd>()> make;
};
void PrintTo(const Exporter& exporter, std::ostream* out) {
  *out << exporter.name;
}

std::optional<UniqueFd> of_figment() {
  return Device::open(0).buffer({.bytes = kSharedBytes}).export_dma_buf();
}

/// The device of vgem, if this kernel has one.
std::optional<UniqueFd> vgem_card() {
  std::ignore = std::system("modprobe -q vgem");
  for (int minor = 0; minor < 16; ++minor) {
    UniqueFd card(::open(std::format("/dev/dri/card{}", minor).c_str(), O_RDWR | O_CLOEXEC));
    if (!card) continue;
    const std::unique_ptr<drmVersion, decltype(&::drmFreeVersion)> version(
        ::drmGetVersion(card.get()), &::drmFreeVersion);
    if (version && std::string_view(version->name) == "vgem") return card;
  }
  return std::nullopt;
}

std::optional<UniqueFd> of_vgem() {
  const std::optional<UniqueFd> card = vgem_card();
  if (!card) return std::nullopt;
  drm_mode_create_dumb create = {};
  create.width = kSharedBytes / 4;
  create.height = 1;
  create.bpp = 32;
  ioctl_fd(card->get(), DRM_IOCTL_MODE_CREATE_DUMB, &create);
  drm_prime_handle request = {.handle = create.handle, .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1};
  ioctl_fd(card->get(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &request);
  return UniqueFd(request.fd);
}

std::optional<UniqueFd> of_udmabuf() {
  const UniqueFd device(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
  if (!device) return std::nullopt;
  const UniqueFd file(::memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (::ftruncate(file.get(), kSharedBytes) != 0) fail(errno, "ftruncate");
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) fail(errno, "F_ADD_SEALS");
  udmabuf_create create = {.memfd = static_cast<std::uint32_t>(file.get()),
                           .flags = UDMABUF_FLAGS_CLOEXEC,
                           .offset = 0,
                           .size = kSharedBytes};
  return UniqueFd(ioctl_fd(device.get(), UDMABUF_CREATE, &create));
}

std::optional<UniqueFd> of_heap() {
  const UniqueFd heap(::open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC));
  if (!heap) return std::nullopt;
  dma_heap_allocation_data data = {
      .len = kSharedBytes, .fd = 0, .fd_flags = O_RDWR | O_CLOEXEC, .heap_flags = 0};
  ioctl_fd(heap.get(), DMA_HEAP_IOCTL_ALLOC, &data);
  return UniqueFd(static_cast<int>(data.fd));
}

/// What the second GPU does with memory that it imports.
class SharingWith : public Sharing, public testing::WithParamInterface<Exporter> {
 protected:
  void SetUp() override {
    Sharing::SetUp();
    if (IsSkipped()) return;
    dma_buf_ = GetParam().make();
    if (!dma_buf_) GTEST_SKIP() << "this kernel has no " << GetParam().name;
    buffer_.emplace(Buffer::import_dma_buf(b_->device.file(), *dma_buf_));
    b_->vm.map({.at = kData, .buffer = *buffer_});
  }
  /// Both see what the other has written, in each page.
  void expect_shared(Words words) {
    for (std::uint64_t n = 0; n < words.size(); n += 511) {
      words[n] = n + 1;
      EXPECT_EQ(b_->load(kData + n * 8), n + 1);
      EXPECT_DONE(b_->store(kData + n * 8, ~n));
      EXPECT_EQ(words[n], ~n);
    }
  }

  std::optional<UniqueFd> dma_buf_;
  std::optional<Buffer> buffer_;
};

INSTANTIATE_TEST_SUITE_P(exporters, SharingWith,
                         testing::Values(Exporter{"figment", of_figment}, Exporter{"vgem", of_vgem},
                                         Exporter{"udmabuf", of_udmabuf},
                                         Exporter{"heap", of_heap}),
                         [](const auto& info) { return info.param.name; });

TEST_P(SharingWith, is_one_memory) {
  EXPECT_EQ(buffer_->bytes(), kSharedBytes);
  expect_shared(map_file(*dma_buf_).as<std::uint64_t>());
}

TEST_P(SharingWith, is_not_ended_by_who_has_exported) {
  const Mapping view = map_file(*dma_buf_);
  dma_buf_.reset();
  buffer_.reset();
  // What is left is the mapping of the GPU, and that of the process.
  expect_shared(view.as<std::uint64_t>());
  b_->vm.unmap({.at = kData, .bytes = kSharedBytes});
  EXPECT_ERRNO(b_->store(kData, 1), EFAULT);
}

TEST_P(SharingWith, is_mapped_by_its_exporter_only) {
  drm_figment_bo_mmap_offset request = {.handle = buffer_->handle()};
  EXPECT_ERRNO(raw(b_->device.fd(), DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, request), EINVAL);
}

TEST_P(SharingWith, carries_fences_in_the_buffer) {
  const Fence gate = a_->close_gate(a_->queue);
  const UniqueFd writing = gate.sync_file();
  dma_buf_import_sync_file put = {.flags = DMA_BUF_SYNC_WRITE, .fd = writing.get()};
  ioctl_fd(dma_buf_->get(), DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &put);
  pollfd readable = {.fd = dma_buf_->get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&readable, 1, 0), 0) << "a job writes";

  dma_buf_export_sync_file get = {.flags = DMA_BUF_SYNC_READ, .fd = -1};
  ioctl_fd(dma_buf_->get(), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &get);
  const UniqueFd written(get.fd);
  const Syncobj before = imported(*b_, written);
  expect_waits_for_gate(b_->start(CommandList{}.nop(), {before.binary()}), *a_);
  EXPECT_EQ(::poll(&readable, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())),
            1);
  EXPECT_DONE(outcome(gate));
}

TEST_F(Sharing, imported_again_a_buffer_is_the_same) {
  const Buffer buffer = a_->device.buffer({.bytes = kSharedBytes});
  const UniqueFd dma_buf = buffer.export_dma_buf();
  // By who has made it, too: no attachment, no second object.
  drm_prime_handle own = {.handle = 0, .flags = 0, .fd = dma_buf.get()};
  ASSERT_DONE(raw(a_->device.fd(), DRM_IOCTL_PRIME_FD_TO_HANDLE, own));
  EXPECT_EQ(own.handle, buffer.handle());
  drm_prime_handle first = {.handle = 0, .flags = 0, .fd = dma_buf.get()};
  drm_prime_handle again = first;
  ASSERT_DONE(raw(b_->device.fd(), DRM_IOCTL_PRIME_FD_TO_HANDLE, first));
  ASSERT_DONE(raw(b_->device.fd(), DRM_IOCTL_PRIME_FD_TO_HANDLE, again));
  EXPECT_EQ(first.handle, again.handle);
}

// What is in VRAM moves, and vgem does not want to be told.
TEST_F(Sharing, vram_is_not_for_who_cannot_be_told_of_moves) {
  const std::optional<UniqueFd> card = vgem_card();
  if (!card) GTEST_SKIP() << "this kernel has no vgem";
  const Buffer buffer = a_->device.buffer({.bytes = kSharedBytes, .placement = Placement::vram});
  const UniqueFd dma_buf = buffer.export_dma_buf();
  drm_prime_handle there = {.handle = 0, .flags = 0, .fd = dma_buf.get()};
  EXPECT_ERRNO(raw(card->get(), DRM_IOCTL_PRIME_FD_TO_HANDLE, there), EOPNOTSUPP);
  const Gpu again(VmConfig{}, 0);
  const Buffer same = Buffer::import_dma_buf(again.device.file(), dma_buf);
  const Mapping view = map_file(dma_buf);
  view.as<std::uint64_t>()[5] = 7;
  EXPECT_EQ(same.map().as<std::uint64_t>()[5], 7u);
}

// --- one of them goes -----------------------------------------------------

class SharingUnbind : public Sharing {
 protected:
  void SetUp() override {
    Sharing::SetUp();
    if (IsSkipped()) return;
    dma_buf_ = of_figment();
    here_.emplace(Buffer::import_dma_buf(a_->device.file(), *dma_buf_));
    there_.emplace(Buffer::import_dma_buf(b_->device.file(), *dma_buf_));
    a_->vm.map({.at = kData, .buffer = *here_});
    b_->vm.map({.at = kData, .buffer = *there_});
    EXPECT_DONE(a_->store(kData, 1));
    EXPECT_EQ(b_->load(kData), 1u);
  }
  /// Order of destruction: what is left of files of a GPU that has gone.
  void TearDown() override {
    here_.reset();
    there_.reset();
    a_.reset();
    b_.reset();
  }

  std::optional<UniqueFd> dma_buf_;
  std::optional<Buffer> here_;   // of the GPU whose memory it is
  std::optional<Buffer> there_;  // of the one that has imported it
};

TEST_F(SharingUnbind, of_the_exporter_leaves_the_memory_to_the_importer) {
  {
    const UnboundDevice gone(a_->device);
    EXPECT_EQ(b_->load(kData), 1u);
    EXPECT_DONE(b_->store(kData + 8, 2));
    EXPECT_ERRNO(raw(a_->device.fd(), DRM_IOCTL_FIGMENT_VM_CREATE, drm_figment_vm_create{}),
                 ENODEV);
    // The dma-buf is still good for one who comes now.
    Gpu late(VmConfig{}, 0);
    const Buffer buffer = Buffer::import_dma_buf(late.device.file(), *dma_buf_);
    late.vm.map({.at = kData, .buffer = buffer});
    EXPECT_EQ(late.load(kData + 8), 2u);
  }
  EXPECT_EQ(b_->load(kData + 8), 2u);
}

TEST_F(SharingUnbind, of_the_importer_leaves_the_memory_to_the_exporter) {
  const UniqueFd held = b_->close_gate(b_->queue).sync_file();
  {
    const UnboundDevice gone(b_->device);
    EXPECT_EQ(a_->load(kData), 1u);
    EXPECT_DONE(a_->store(kData + 8, 2));
    EXPECT_TRUE(
        stress::poll_until([&] { return sync_file_result(held).has_value(); }, after(kPatience)));
    drm_prime_handle late = {.handle = 0, .flags = 0, .fd = dma_buf_->get()};
    EXPECT_ERRNO(raw(b_->device.fd(), DRM_IOCTL_PRIME_FD_TO_HANDLE, late), ENODEV);
  }
  EXPECT_EQ(a_->load(kData + 8), 2u);
}

TEST_F(SharingUnbind, ends_the_jobs_that_others_wait_for) {
  const Fence gate = a_->close_gate(a_->queue);
  const UniqueFd end = gate.sync_file();
  const Syncobj before = imported(*b_, end);
  const Fence last = b_->start(CommandList{}.nop(), {before.binary()});
  const UnboundDevice gone(a_->device);
  EXPECT_DONE(outcome(last));
  EXPECT_NE(sync_file_result(end).value_or(0), 0) << "a job that never ended has ended well";
}

// --- cycles ---------------------------------------------------------------

// A fence is made when its job is submitted, and waits only for fences that are there by then. So
// the graph of fences grows at its end. Whatever would close it is refused, or waits for what was
// there before.
class Cycles : public Sharing {
 protected:
  static drm_figment_sync wait_for(const Syncobj& syncobj, std::uint64_t point = 0) {
    return {.flags = point ? DRM_FIGMENT_SYNC_TIMELINE : 0u,
            .handle = syncobj.handle(),
            .timeline_value = point};
  }
  static drm_figment_sync signal(const Syncobj& syncobj, std::uint64_t point = 0) {
    drm_figment_sync sync = wait_for(syncobj, point);
    sync.flags |= DRM_FIGMENT_SYNC_SIGNAL;
    return sync;
  }
  static int submit(Gpu& gpu, const Queue& queue, const std::vector<drm_figment_sync>& syncs) {
    drm_figment_submit request = {
        .queue_id = queue.id(),
        .syncs = {sizeof(drm_figment_sync), static_cast<std::uint32_t>(syncs.size()),
                  user_pointer(syncs.data())}};
    return raw(gpu.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT, request);
  }
  int submit(const std::vector<drm_figment_sync>& syncs) { return submit(*a_, a_->queue, syncs); }
  /// Both still work.
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_DONE(outcome(a_->queue.run({.at = GpuVa{}})));
    EXPECT_DONE(outcome(b_->queue.run({.at = GpuVa{}})));
  }
};

TEST_F(Cycles, of_a_job_and_its_own_end_are_refused) {
  const Syncobj binary = a_->device.syncobj();
  const Syncobj timeline = a_->device.syncobj();
  EXPECT_ERRNO(submit({wait_for(binary), signal(binary)}), EINVAL);
  EXPECT_ERRNO(submit({signal(binary), wait_for(binary)}), EINVAL);
  EXPECT_ERRNO(submit({wait_for(timeline, 5), signal(timeline, 5)}), EINVAL);
  EXPECT_ERRNO(submit({signal(timeline, 5), wait_for(timeline, 5)}), EINVAL);
  EXPECT_ERRNO(submit({signal(timeline, 5), wait_for(timeline, 4)}), EINVAL);
  EXPECT_FALSE(binary.wait(Deadline{}));
  EXPECT_EQ(timeline.query(), 0u);
}

// With a fence in it, a syncobj is waited for as it was, and holds the new one then.
TEST_F(Cycles, of_a_job_and_the_syncobj_that_it_replaces_are_none) {
  const Syncobj binary = a_->device.syncobj();
  const Syncobj timeline = a_->device.syncobj();
  const Fence gate = a_->close_gate(a_->queue);
  ASSERT_DONE(submit({signal(binary), signal(timeline, 1)}));
  Queue other = a_->vm.queue();
  for (std::uint64_t point = 2; point <= 20; ++point) {
    Queue& queue = point % 2 ? a_->queue : other;
    ASSERT_DONE(submit(*a_, queue,
                       {wait_for(binary), wait_for(timeline, point - 1), signal(binary),
                        signal(timeline, point)}));
  }
  EXPECT_FALSE(binary.wait(Deadline{}));
  a_->open_gate();
  EXPECT_TRUE(timeline.wait(20, after(kPatience)));
  EXPECT_TRUE(binary.wait(after(kPatience)));
  EXPECT_DONE(outcome(gate));
}

TEST_F(Cycles, of_two_queues_and_their_future_points_are_refused) {
  const Syncobj one = a_->device.syncobj();
  const Syncobj two = a_->device.syncobj();
  Queue other = a_->vm.queue();
  EXPECT_ERRNO(submit({wait_for(two, 1), signal(one, 1)}), EINVAL);
  EXPECT_ERRNO(submit(*a_, other, {wait_for(one, 1), signal(two, 1)}), EINVAL);
  EXPECT_EQ(one.query() + two.query(), 0u);
}

TEST_F(Cycles, of_two_gpus_and_a_timeline_of_both_are_refused) {
  const Syncobj here = a_->device.syncobj();
  const Syncobj there = Syncobj::import_file(b_->device.file(), here.export_file());
  EXPECT_ERRNO(submit({wait_for(here, 2), signal(here, 1)}), EINVAL);
  EXPECT_ERRNO(submit(*b_, b_->queue, {wait_for(there, 1), signal(there, 2)}), EINVAL);
  // One of the two has to come first, and waits for nothing.
  ASSERT_DONE(submit({signal(here, 1)}));
  ASSERT_DONE(submit(*b_, b_->queue, {wait_for(there, 1), signal(there, 2)}));
  EXPECT_TRUE(here.wait(2, after(kPatience)));
}

TEST_F(Cycles, with_points_out_of_their_order_end) {
  const Syncobj timeline = a_->device.syncobj();
  const Fence gate = a_->close_gate(a_->queue);
  ASSERT_DONE(submit({signal(timeline, 5)}));
  ASSERT_DONE(submit(*b_, b_->queue,
                     {signal(Syncobj::import_file(b_->device.file(), timeline.export_file()), 3)}));
  ASSERT_DONE(submit({wait_for(timeline, 5), wait_for(timeline, 3), signal(timeline, 4)}));
  a_->open_gate();
  EXPECT_TRUE(timeline.wait(5, after(kPatience)));
  EXPECT_DONE(outcome(gate));
}

TEST_F(Cycles, with_a_wait_for_what_comes_later_are_refused_whatever_flag_asks) {
  const Syncobj timeline = a_->device.syncobj();
  for (unsigned bit = 2; bit < 32; ++bit) {
    drm_figment_sync wait = wait_for(timeline, 1);
    wait.flags |= 1u << bit;
    EXPECT_ERRNO(submit({wait, signal(timeline, 1)}), EINVAL) << "bit " << bit;
  }
}

TEST_F(Cycles, through_a_bind_are_refused) {
  const Syncobj bound = a_->device.syncobj();
  const Syncobj ended = a_->device.syncobj();
  const auto bind = [&] {
    try {
      a_->vm.bind({.ops = {Unmap{.at = kData, .bytes = kPageBytes}},
                   .wait = {ended.at(1)},
                   .signal = {bound.at(1)}});
      return 0;
    } catch (const std::system_error& error) {
      return error.code().value();
    }
  };
  EXPECT_ERRNO(bind(), EINVAL);
  EXPECT_ERRNO(submit({wait_for(bound, 1), signal(ended, 1)}), EINVAL);
  ASSERT_DONE(submit({signal(ended, 1)}));
  EXPECT_DONE(bind());
  EXPECT_TRUE(bound.wait(1, after(kPatience)));
}

TEST_F(Cycles, through_sync_files_have_no_beginning) {
  const Syncobj syncobj = a_->device.syncobj();
  drm_syncobj_handle request = {.handle = syncobj.handle(),
                                .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE};
  request.fd = -1;
  EXPECT_ERRNO(raw(a_->device.fd(), DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, request), EINVAL);

  // A file that is merged with one that is for it in turn, again and again: all of it is past.
  const Fence gate = a_->close_gate(a_->queue);
  Queue queues[] = {a_->vm.queue(), b_->vm.queue()};
  UniqueFd both = gate.sync_file();
  for (unsigned round = 0; round < 8; ++round) {
    Gpu& gpu = round % 2 ? *b_ : *a_;
    const Syncobj before = imported(gpu, both);
    const Fence end = gpu.start_on(queues[round % 2], CommandList{}.nop(), {before.binary()});
    both = merge(both, end.sync_file());
  }
  EXPECT_EQ(sync_file_result(both), std::nullopt);
  a_->open_gate();
  EXPECT_TRUE(
      stress::poll_until([&] { return sync_file_result(both).has_value(); }, after(kPatience)));
  EXPECT_EQ(sync_file_result(both), 0);
}

TEST_F(Cycles, through_a_transfer_wait_in_the_call_and_not_in_a_fence) {
  const Syncobj timeline = a_->device.syncobj();
  const Syncobj binary = a_->device.syncobj();
  drm_syncobj_transfer transfer = {
      .src_handle = timeline.handle(), .dst_handle = binary.handle(), .src_point = 3};
  EXPECT_ERRNO(raw(a_->device.fd(), DRM_IOCTL_SYNCOBJ_TRANSFER, transfer), EINVAL);
  // To itself, from the future to the past.
  drm_syncobj_transfer self = {.src_handle = timeline.handle(),
                               .dst_handle = timeline.handle(),
                               .src_point = 3,
                               .dst_point = 2};
  EXPECT_ERRNO(raw(a_->device.fd(), DRM_IOCTL_SYNCOBJ_TRANSFER, self), EINVAL);

  transfer.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
  std::atomic<int> error = -1;
  std::thread caller([&] { error = raw(a_->device.fd(), DRM_IOCTL_SYNCOBJ_TRANSFER, transfer); });
  // Until there is a fence, there is nothing that a job could wait for.
  EXPECT_ERRNO(submit({wait_for(binary), signal(timeline, 3)}), EINVAL);
  EXPECT_DONE(submit({signal(timeline, 3)}));
  caller.join();
  EXPECT_DONE(error.load());
  EXPECT_DONE(submit({wait_for(binary)}));
}

TEST_F(Cycles, through_the_fences_of_a_buffer_end) {
  const UniqueFd dma_buf = *of_figment();
  const Fence gate = a_->close_gate(a_->queue);
  Queue queues[] = {a_->vm.queue(), b_->vm.queue()};
  UniqueFd last = gate.sync_file();
  // Each job waits for what the buffer has, and is what it has then.
  for (unsigned round = 0; round < 8; ++round) {
    dma_buf_import_sync_file put = {.flags = DMA_BUF_SYNC_RW, .fd = last.get()};
    ioctl_fd(dma_buf.get(), DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &put);
    dma_buf_export_sync_file get = {.flags = DMA_BUF_SYNC_RW, .fd = -1};
    ioctl_fd(dma_buf.get(), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &get);
    const UniqueFd all(get.fd);
    Gpu& gpu = round % 2 ? *b_ : *a_;
    const Syncobj before = imported(gpu, all);
    last = gpu.start_on(queues[round % 2], CommandList{}.nop(), {before.binary()}).sync_file();
  }
  a_->open_gate();
  EXPECT_TRUE(
      stress::poll_until([&] { return sync_file_result(last).has_value(); }, after(kPatience)));
  EXPECT_EQ(sync_file_result(last), 0);
}

// A user fence may never come, and so is nothing that a DMA fence could wait for.
TEST_F(Cycles, through_user_fences_are_refused) {
  for (const Strategy strategy : {Strategy::preempt, Strategy::fault}) {
    if (!a_->device.offers(strategy)) continue;
    Gpu gpu(strategy);
    const Syncobj there = gpu.device.syncobj(true);
    EXPECT_ERRNO(submit(gpu, gpu.queue, {wait_for(there)}), EOPNOTSUPP);
    EXPECT_ERRNO(submit(gpu, gpu.queue, {signal(there)}), EOPNOTSUPP);
    EXPECT_ERRNO(submit(gpu, gpu.queue, {signal(there, 1)}), EOPNOTSUPP);
  }
}

// What the kernel cannot see: a job waits in memory for a word of a job that waits for its fence.
// The time limit of jobs is for that.
TEST_F(Cycles, through_memory_are_ended_by_the_time_limit) {
  const ScopedModuleParameter limit("job_timeout_ms", "100");
  const Mapping memory = anonymous_memory(kPageBytes);
  const Userptr here = a_->vm.userptr({.at = kData, .memory = memory.bytes()});
  const Userptr there = b_->vm.userptr({.at = kData, .memory = memory.bytes()});
  Queue waits = a_->vm.queue();
  CommandList for_word;
  for_word.wait({.at = kData, .compare = Compare::eq, .reference = 1});
  const Fence first = a_->start_on(waits, for_word);
  const Syncobj before = imported(*b_, first.sync_file());
  CommandList word;
  word.release({.at = kData, .value = 1});
  const Fence second = b_->start(word, {before.binary()});
  EXPECT_ERRNO(outcome(first), ETIME);
  EXPECT_DONE(outcome(second));
  EXPECT_EQ(memory.as<std::uint64_t>()[0], 1u);
}

// --- chains ---------------------------------------------------------------

/// What figment-stress chain does, without that part which is about time.
class Chains : public testing::TestWithParam<stress::ChainKind> {};

INSTANTIATE_TEST_SUITE_P(rows, Chains,
                         testing::Values(stress::ChainKind::pressure, stress::ChainKind::kswapd,
                                         stress::ChainKind::control, stress::ChainKind::hang),
                         [](const auto& info) {
                           return std::string(stress::info(info.param).name);
                         });

TEST_P(Chains, are_as_they_must_be) {
  if (Device::nodes().size() < 2) GTEST_SKIP() << "one GPU only: run with --gpus 2";
  // As long as a fork() that waits for nothing takes on a kernel that checks itself.
  const auto job = std::chrono::milliseconds(GetParam() == stress::ChainKind::hang ? 2 : 40);
  const auto row = stress::run_chain_row(
      {.kind = GetParam(), .gpus = 2, .rounds = 2, .job = job, .bytes = 128_KiB});
  if (!row.skipped.empty()) GTEST_SKIP() << row.skipped;
  EXPECT_THAT(stress::complaints(row), IsEmpty());
  EXPECT_GT(row.gpu_words, 0u);
}

}  // namespace
}  // namespace figment::guest
