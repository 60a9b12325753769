// SPDX-License-Identifier: MIT
//
// Who waits for whom: Vulkan for the sync file of a job, and a job for what Vulkan gives back. Each
// with a control that is not told to wait, and so does too much too early.
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <xf86drm.h>

#include <tuple>

#include "mesa_test.h"
#include "module_parameter.h"

namespace figment::guest {
namespace {

TEST_F(MesaTest, driver_is_mesas_own_and_knows_sync_files) {
  EXPECT_EQ(vulkan().driver_id(), VK_DRIVER_ID_MESA_LLVMPIPE) << vulkan().driver();
  EXPECT_EQ(vulkan().sync_file_features(), VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT |
                                               VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT);
  EXPECT_TRUE(vulkan().dma_buf_features() & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT);
}

enum class Kind { binary, timeline };

/// For a job that waits for what a semaphore of Vulkan's is exported as, in either way. `syncobj`
/// has to live as long.
SyncPoint point_of(const Device& device, Kind kind, Syncobj& syncobj,
                   const std::optional<UniqueFd>& file) {
  constexpr std::uint64_t kPoint = 7;
  const bool timeline = kind == Kind::timeline;
  if (!file) {
    // Vulkan says that it is over.
    timeline ? syncobj.signal(kPoint) : syncobj.signal();
  } else if (timeline) {
    Syncobj binary = device.syncobj();
    binary.import_sync_file(*file);
    EXPECT_EQ(::drmSyncobjTransfer(device.fd(), syncobj.handle(), kPoint, binary.handle(), 0, 0),
              0);
  } else {
    syncobj.import_sync_file(*file);
  }
  return timeline ? syncobj.at(kPoint) : syncobj.binary();
}

std::string name_of(Placement placement) {
  return placement == Placement::vram ? "vram" : "system";
}

/// Where both buffers are, and how a job waits.
class MesaOrder : public MesaTest,
                  public testing::WithParamInterface<std::tuple<Placement, Placement, Kind>> {
 protected:
  [[nodiscard]] SharedBuffer source() { return shared(std::get<0>(GetParam())); }
  [[nodiscard]] SharedBuffer target() { return shared(std::get<1>(GetParam())); }

  [[nodiscard]] SyncPoint point(Syncobj& syncobj, const std::optional<UniqueFd>& file) const {
    return point_of(gpu_.device, std::get<2>(GetParam()), syncobj, file);
  }
};

INSTANTIATE_TEST_SUITE_P(
    buffers, MesaOrder,
    testing::Values(std::tuple{Placement::system, Placement::system, Kind::binary},
                    std::tuple{Placement::system, Placement::vram, Kind::timeline},
                    std::tuple{Placement::vram, Placement::system, Kind::binary},
                    std::tuple{Placement::vram, Placement::vram, Kind::timeline}),
    [](const auto& info) {
      return name_of(std::get<0>(info.param)) + "_to_" + name_of(std::get<1>(info.param));
    });

TEST_P(MesaOrder, vulkan_waits_for_a_job_and_a_job_for_vulkan) {
  const SharedBuffer from = source();
  const SharedBuffer to = target();
  const SharedBuffer last = source();
  write_words(from.words(), kOld);
  const Fence written = write_behind_gate(from);
  vulkan::Semaphore before = imported(written);
  vulkan::Semaphore end = vulkan().semaphore();
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before, .signal = &end});
  EXPECT_FALSE(copy.wait(after(kHeld)));
  expect_zero(to.words());

  // The driver may wait in this call.
  auto exported = std::async(std::launch::async, [&] { return end.export_sync_file(); });
  EXPECT_FALSE(written.wait(after(kHeld)));
  expect_zero(to.words());
  gpu_.open_gate();
  Syncobj copied = gpu_.device.syncobj();
  EXPECT_DONE(outcome(copy_by_job(gpu_.queue, last, to, {point(copied, exported.get())})));
  expect_words(last.words(), kNew);
  expect_words(to.words(), kNew);
  EXPECT_DONE(outcome(written));
  EXPECT_TRUE(copy.wait(after(kPatience)));
}

// The controls: the same without the one wait, or without the other.
TEST_P(MesaOrder, vulkan_that_does_not_wait_reads_old_words) {
  const SharedBuffer from = source();
  const SharedBuffer to = target();
  write_words(from.words(), kOld);
  const Fence written = write_behind_gate(from);
  const vulkan::Submission copy = vulkan().copy({.to = to.there, .from = from.there});
  EXPECT_TRUE(copy.wait(after(kPatience)));
  EXPECT_FALSE(written.wait(Deadline{}));
  expect_words(to.words(), kOld);
  gpu_.open_gate();
  EXPECT_DONE(outcome(written));
  expect_words(from.words(), kNew);
  expect_words(to.words(), kOld);
}

TEST_P(MesaOrder, job_that_does_not_wait_reads_old_words) {
  const SharedBuffer from = source();
  const SharedBuffer to = target();
  const SharedBuffer last = source();
  write_words(to.words(), kOld);
  const Fence written = write_behind_gate(from);
  vulkan::Semaphore before = imported(written);
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before});
  Queue other = gpu_.vm.queue();
  EXPECT_DONE(outcome(copy_by_job(other, last, to)));
  expect_words(last.words(), kOld);
  gpu_.open_gate();
  EXPECT_TRUE(copy.wait(after(kPatience)));
  expect_words(to.words(), kNew);
  EXPECT_DONE(outcome(written));
}

class MesaSync : public MesaTest, public testing::WithParamInterface<Kind> {};

INSTANTIATE_TEST_SUITE_P(kinds, MesaSync, testing::Values(Kind::binary, Kind::timeline),
                         [](const auto& info) {
                           return info.param == Kind::binary ? "binary" : "timeline";
                         });

// What a job waits for is the end of another job, and comes from Vulkan.
TEST_P(MesaSync, file_that_vulkan_passes_on_is_still_pending) {
  const SharedBuffer from = shared();
  const SharedBuffer to = shared();
  write_words(from.words(), kOld);
  const Fence written = write_behind_gate(from);
  vulkan::Semaphore passes = imported(written);
  auto exported = std::async(std::launch::async, [&] { return passes.export_sync_file(); });
  ASSERT_EQ(exported.wait_for(kPatience), std::future_status::ready);
  const std::optional<UniqueFd> file = exported.get();
  ASSERT_TRUE(file);
  EXPECT_EQ(sync_file_result(*file), std::nullopt);
  Queue other = gpu_.vm.queue();
  Syncobj syncobj = gpu_.device.syncobj();
  const Fence read =
      copy_by_job(other, to, from, {point_of(gpu_.device, GetParam(), syncobj, file)});
  EXPECT_FALSE(read.wait(after(kHeld)));
  expect_zero(to.words());
  gpu_.open_gate();
  EXPECT_DONE(outcome(read));
  expect_words(to.words(), kNew);
  EXPECT_EQ(sync_file_result(*file), 0);
  EXPECT_DONE(outcome(written));
}

TEST_P(MesaSync, no_file_is_one_that_has_signalled) {
  const SharedBuffer from = shared();
  const SharedBuffer to = shared();
  write_words(from.words(), kOld);
  vulkan::Semaphore before = vulkan().semaphore();
  before.import_sync_file(UniqueFd());
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before});
  EXPECT_TRUE(copy.wait(after(kPatience)));
  expect_words(to.words(), kOld);
  // And a job that gets none from Vulkan.
  Syncobj syncobj = gpu_.device.syncobj();
  const SyncPoint point = point_of(gpu_.device, GetParam(), syncobj, std::nullopt);
  EXPECT_DONE(outcome(copy_by_job(gpu_.queue, from, to, {point})));
}

// Both are in flight: the job is on the GPU, and looks at a word that Vulkan writes last.
TEST_F(MesaTest, job_on_the_gpu_waits_for_a_word_of_vulkan) {
  const SharedBuffer from = shared();
  const SharedBuffer to = shared();
  const SharedBuffer flag = shared();
  const SharedBuffer last = shared();
  write_words(from.words(), kOld);
  const Fence written = write_behind_gate(from);
  vulkan::Semaphore before = imported(written);
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before});
  const vulkan::Submission fill = vulkan().fill({.to = flag.there, .value = 1});

  Queue other = gpu_.vm.queue();
  CommandList list;
  list.wait({.at = flag.at, .compare = Compare::ne, .reference = 0});
  list.copy({.to = last.at, .from = to.at, .bytes = kSharedBytes});
  const Fence read = gpu_.start_on(other, list);
  EXPECT_FALSE(read.wait(after(kHeld)));
  expect_zero(last.words());
  gpu_.open_gate();
  EXPECT_DONE(outcome(read));
  expect_words(last.words(), kNew);
  EXPECT_DONE(outcome(written));
  EXPECT_TRUE(fill.wait(after(kPatience)));
}

// As between a client and a compositor that do not know of sync files: the buffer has the fence.
TEST_F(MesaTest, fence_in_a_buffer_goes_to_vulkan) {
  const SharedBuffer from = shared();
  const SharedBuffer to = shared();
  write_words(from.words(), kOld);
  const Fence written = write_behind_gate(from);
  const UniqueFd dma_buf = from.buffer.export_dma_buf();
  const UniqueFd writing = written.sync_file();
  dma_buf_import_sync_file put = {.flags = DMA_BUF_SYNC_WRITE, .fd = writing.get()};
  ASSERT_EQ(::ioctl(dma_buf.get(), DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &put), 0);
  dma_buf_export_sync_file get = {.flags = DMA_BUF_SYNC_READ, .fd = -1};
  ASSERT_EQ(::ioctl(dma_buf.get(), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &get), 0);
  vulkan::Semaphore before = vulkan().semaphore();
  before.import_sync_file(UniqueFd(get.fd));
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before});
  EXPECT_FALSE(copy.wait(after(kHeld)));
  expect_zero(to.words());
  gpu_.open_gate();
  EXPECT_TRUE(copy.wait(after(kPatience)));
  expect_words(to.words(), kNew);
  EXPECT_DONE(outcome(written));
}

// A chain that goes through both, again and again.
TEST_F(MesaTest, jobs_and_copies_take_turns) {
  constexpr std::uint64_t kRounds = 8;
  const SharedBuffer one = shared();
  const SharedBuffer other = shared();
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    CommandList list;
    list.fill({.at = one.at, .bytes = kSharedBytes, .value = kNew + round, .increment = true});
    const Fence written = gpu_.start(list);
    vulkan::Semaphore before = imported(written);
    vulkan::Semaphore end = vulkan().semaphore();
    const vulkan::Submission copy =
        vulkan().copy({.to = other.there, .from = one.there, .wait = &before, .signal = &end});
    const std::optional<UniqueFd> sync_file = end.export_sync_file();
    Syncobj copied = gpu_.device.syncobj(!sync_file);
    if (sync_file) copied.import_sync_file(*sync_file);
    // Only if it is what this round has written.
    CommandList mark;
    mark.atomic({.kind = AtomicKind::cas,
                 .at = other.at,
                 .operand = kOld + round,
                 .compare = kNew + round});
    EXPECT_DONE(outcome(gpu_.start(mark, {copied.binary()})));
    EXPECT_EQ(other.words()[0], kOld + round);
    expect_words(other.words().subspan(1), kNew + round + 1);
  }
}

// --- jobs that do not end well --------------------------------------------

TEST_F(MesaTest, failed_job_does_not_hold_up_vulkan) {
  const SharedBuffer from = shared();
  const SharedBuffer to = shared();
  write_words(from.words(), kOld);
  CommandList list = gpu_.gate();
  list.fill({.at = kHole, .bytes = 8});
  const Fence failed = gpu_.start(list);
  vulkan::Semaphore before = imported(failed);
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before});
  EXPECT_FALSE(copy.wait(after(kHeld)));
  gpu_.open_gate();
  EXPECT_TRUE(copy.wait(after(kPatience)));
  EXPECT_ERRNO(outcome(failed), EFAULT);
  expect_words(to.words(), kOld);
}

TEST_F(MesaTest, job_that_hangs_holds_up_vulkan_until_its_time_is_over) {
  const ScopedModuleParameter limit("job_timeout_ms", "300");
  const SharedBuffer from = shared();
  const SharedBuffer to = shared();
  write_words(from.words(), kOld);
  // A queue has the limit that there is when it is made.
  Queue queue = gpu_.vm.queue();
  const Fence hangs = write_behind_gate(queue, from);
  vulkan::Semaphore before = imported(hangs);
  const vulkan::Submission copy =
      vulkan().copy({.to = to.there, .from = from.there, .wait = &before});
  EXPECT_FALSE(copy.wait(after(kHeld)));
  EXPECT_TRUE(copy.wait(after(kPatience)));
  EXPECT_ERRNO(outcome(hangs), ETIME);
  expect_words(to.words(), kOld);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

}  // namespace
}  // namespace figment::guest
