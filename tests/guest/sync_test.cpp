// SPDX-License-Identifier: MIT
//
// Who waits for whom: jobs and asynchronous binds, over binary and timeline syncobjs
// and sync files.
#include <optional>
#include <vector>

#include "guest.h"

namespace figment::guest {
namespace {

enum class Kind { binary, timeline };

/// One syncobj used either way.
class Sync {
 public:
  Sync(const Device& device, Kind kind) : syncobj_(device.syncobj()), kind_(kind) {}

  [[nodiscard]] SyncPoint point(std::uint64_t n) const {
    return kind_ == Kind::timeline ? syncobj_.at(n) : syncobj_.binary();
  }
  [[nodiscard]] bool wait(std::uint64_t n) const {
    return kind_ == Kind::timeline ? syncobj_.wait(n, after(kPatience))
                                   : syncobj_.wait(after(kPatience));
  }
  [[nodiscard]] bool signalled(std::uint64_t n) const {
    return kind_ == Kind::timeline ? syncobj_.wait(n, Deadline{}) : syncobj_.wait(Deadline{});
  }

 private:
  Syncobj syncobj_;
  Kind kind_;
};

class SyncOf : public GpuTest, public testing::WithParamInterface<Kind> {
 protected:
  Sync sync() { return Sync(gpu_.device, GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(kinds, SyncOf, testing::Values(Kind::binary, Kind::timeline),
                         [](const auto& info) {
                           return info.param == Kind::binary ? "binary" : "timeline";
                         });

TEST_P(SyncOf, job_signals_its_end) {
  const Sync end = sync();
  gpu_.queue.submit({.at = GpuVa{}, .signal = {end.point(1)}});
  EXPECT_TRUE(end.wait(1));
}

TEST_P(SyncOf, job_waits_for_a_job_of_another_queue) {
  Queue other = gpu_.vm.queue();
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData, .buffer = buffer});
  const Mapping view = buffer.map();
  const Fence gate = gpu_.close_gate(other);

  const Sync opened = sync();
  other.submit({.at = GpuVa{}, .signal = {opened.point(5)}});
  CommandList list;
  list.fill({.at = kData, .bytes = 8, .value = 1});
  const Fence second = gpu_.start(list, {opened.point(5)});
  EXPECT_FALSE(second.wait(after(std::chrono::milliseconds(50))));
  EXPECT_EQ(view.as<std::uint64_t>()[0], 0u);
  EXPECT_FALSE(opened.signalled(5));
  gpu_.open_gate();
  EXPECT_DONE(outcome(second));
  EXPECT_EQ(view.as<std::uint64_t>()[0], 1u);
  EXPECT_DONE(outcome(gate));
}

TEST_P(SyncOf, bind_signals_its_end) {
  const Buffer buffer = gpu_.device.buffer({});
  const Sync bound = sync();
  gpu_.vm.bind({.ops = {Map{.at = kData, .buffer = buffer}}, .signal = {bound.point(1)}});
  CommandList list;
  list.fill({.at = kData, .bytes = 8, .value = 1});
  EXPECT_DONE(outcome(gpu_.start(list, {bound.point(1)})));
}

TEST_P(SyncOf, bind_waits_for_a_job) {
  const Buffer buffer = gpu_.device.buffer({});
  Queue other = gpu_.vm.queue();
  const Fence gate = gpu_.close_gate(other);
  const Sync opened = sync();
  const Sync bound = sync();
  other.submit({.at = GpuVa{}, .signal = {opened.point(3)}});
  gpu_.vm.bind({.ops = {Map{.at = kData, .buffer = buffer}},
                .wait = {opened.point(3)},
                .signal = {bound.point(4)}});
  EXPECT_FALSE(bound.signalled(4));
  EXPECT_ERRNO(gpu_.store(kData, 1), EFAULT);
  gpu_.open_gate();
  EXPECT_TRUE(bound.wait(4));
  EXPECT_DONE(gpu_.store(kData, 2));
  EXPECT_DONE(outcome(gate));
}

TEST_P(SyncOf, binds_are_done_in_the_order_of_the_calls) {
  const Buffer first = gpu_.device.buffer({});
  const Buffer second = gpu_.device.buffer({});
  const Mapping view = second.map();
  Queue other = gpu_.vm.queue();
  const Fence gate = gpu_.close_gate(other);
  const Sync opened = sync();
  const Sync bound = sync();
  other.submit({.at = GpuVa{}, .signal = {opened.point(1)}});
  gpu_.vm.bind({.ops = {Map{.at = kData, .buffer = first}}, .wait = {opened.point(1)}});
  gpu_.vm.bind({.ops = {Unmap{.at = kData, .bytes = kPageBytes}}, .async = true});
  gpu_.vm.bind({.ops = {Map{.at = kData, .buffer = second}}, .signal = {bound.point(1)}});
  EXPECT_FALSE(bound.signalled(1));
  gpu_.open_gate();
  EXPECT_TRUE(bound.wait(1));
  EXPECT_DONE(gpu_.store(kData, 7));
  EXPECT_EQ(view.as<std::uint64_t>()[0], 7u);
  EXPECT_DONE(outcome(gate));
}

TEST_P(SyncOf, vm_with_a_bind_that_waits_can_be_destroyed) {
  Gpu doomed;
  const Buffer buffer = doomed.device.buffer({});
  Gpu gate_keeper;
  const Fence gate = gate_keeper.close_gate(gate_keeper.queue);
  Syncobj there = Syncobj::create(doomed.device.file());
  there.import_sync_file(gate.sync_file());
  const Sync bound(doomed.device, GetParam());
  doomed.vm.bind({.ops = {Map{.at = kData, .buffer = buffer}},
                  .wait = {there.binary()},
                  .signal = {bound.point(1)}});
  drm_figment_vm_destroy destroy = {.id = doomed.vm.id()};
  EXPECT_DONE(raw(doomed.device.fd(), DRM_IOCTL_FIGMENT_VM_DESTROY, destroy));
  gate_keeper.open_gate();
  EXPECT_DONE(outcome(gate));
  EXPECT_TRUE(bound.wait(1));
}

TEST_P(SyncOf, one_job_may_wait_for_many_and_signal_many) {
  std::vector<Sync> before;
  std::vector<SyncPoint> wait;
  for (unsigned n = 1; n <= 20; ++n) {
    before.push_back(sync());
    gpu_.queue.submit({.at = GpuVa{}, .signal = {before.back().point(n)}});
    wait.push_back(before.back().point(n));
  }
  std::vector<Sync> ends;
  std::vector<SyncPoint> signal;
  for (unsigned n = 1; n <= 20; ++n) {
    ends.push_back(sync());
    signal.push_back(ends.back().point(n));
  }
  gpu_.queue.submit({.at = GpuVa{}, .wait = wait, .signal = signal});
  for (unsigned n = 1; n <= 20; ++n) EXPECT_TRUE(ends[n - 1].wait(n));
}

TEST_F(GpuTest, jobs_of_a_queue_end_in_order) {
  const Buffer buffer = gpu_.device.buffer({});
  gpu_.vm.map({.at = kData, .buffer = buffer});
  const Mapping view = buffer.map();
  constexpr std::uint64_t kJobs = 300;
  std::vector<Fence> fences;
  for (std::uint64_t n = 1; n <= kJobs; ++n) {
    // Adds one if the word is n - 1: a job that overtakes another leaves it behind.
    CommandList list;
    list.atomic({.kind = AtomicKind::cas, .at = kData, .operand = n, .compare = n - 1});
    fences.push_back(gpu_.start(list));
  }
  for (const auto& fence : fences) EXPECT_DONE(outcome(fence));
  EXPECT_EQ(view.as<std::uint64_t>()[0], kJobs);
}

TEST_F(GpuTest, timeline_points_signal_one_after_the_other) {
  const Syncobj timeline = gpu_.device.syncobj();
  for (std::uint64_t n = 1; n <= 10; ++n) {
    gpu_.queue.submit({.at = GpuVa{}, .signal = {timeline.at(n * 10)}});
  }
  EXPECT_TRUE(timeline.wait(100, after(kPatience)));
  EXPECT_EQ(timeline.query(), 100u);
}

TEST_F(GpuTest, sync_file_carries_a_fence_to_another_file) {
  Gpu other;
  const Fence gate = gpu_.close_gate(gpu_.queue);
  Syncobj there = other.device.syncobj();
  there.import_sync_file(gate.sync_file());
  const Fence second = other.queue.run({.at = GpuVa{}, .wait = {there.binary()}});
  EXPECT_FALSE(second.wait(after(std::chrono::milliseconds(50))));
  gpu_.open_gate();
  EXPECT_DONE(outcome(second));
  EXPECT_DONE(outcome(gate));
}

TEST_F(GpuTest, sync_file_of_a_timeline_point_carries_the_error) {
  const Syncobj timeline = gpu_.device.syncobj();
  const Fence gate = gpu_.close_gate(gpu_.queue);
  gpu_.queue.submit({.at = kHole, .bytes = 8, .signal = {timeline.at(1)}});
  const UniqueFd file = timeline.export_sync_file(1);
  EXPECT_EQ(sync_file_result(file), std::nullopt);
  gpu_.open_gate();
  EXPECT_DONE(outcome(gate));
  EXPECT_TRUE(timeline.wait(1, after(kPatience)));
  EXPECT_EQ(sync_file_result(file), EFAULT);
}

TEST_F(GpuTest, job_that_waits_for_a_failed_job_still_runs) {
  CommandList bad;
  bad.fill({.at = kHole, .bytes = 8});
  const Fence failed = gpu_.start(bad);
  Queue other = gpu_.vm.queue();
  CommandList good;
  EXPECT_DONE(outcome(gpu_.start_on(other, good.nop(), {failed.point()})));
  EXPECT_ERRNO(outcome(failed), EFAULT);
}

// What is refused, by SUBMIT and by VM_BIND alike.
struct BadSync {
  const char* what;
  int error;
  drm_figment_sync sync;
};
void PrintTo(const BadSync& param, std::ostream* out) {
  *out << param.what;
}

class BadSyncOf : public GpuTest, public testing::WithParamInterface<BadSync> {
 protected:
  /// Without a handle in the parameter, that of a syncobj without a fence.
  drm_figment_sync sync() const {
    auto sync = GetParam().sync;
    if (!sync.handle) sync.handle = empty_.handle();
    return sync;
  }

  const Syncobj empty_ = gpu_.device.syncobj();
};

constexpr std::uint32_t kUnknownHandle = 54321;

INSTANTIATE_TEST_SUITE_P(
    syncs, BadSyncOf,
    testing::Values(BadSync{"unknown_flag", EINVAL, {.flags = 1u << 31}},
                    BadSync{"unknown_handle_to_wait_for", ENOENT, {.handle = kUnknownHandle}},
                    BadSync{"unknown_handle_to_signal",
                            ENOENT,
                            {.flags = DRM_FIGMENT_SYNC_SIGNAL, .handle = kUnknownHandle}},
                    BadSync{"value_of_a_binary_one", EINVAL, {.timeline_value = 1}},
                    BadSync{"wait_without_a_fence", EINVAL, {}},
                    BadSync{"point_that_nobody_has_submitted",
                            EINVAL,
                            {.flags = DRM_FIGMENT_SYNC_TIMELINE, .timeline_value = 9}}),
    [](const auto& info) { return info.param.what; });

TEST_P(BadSyncOf, is_refused_by_submit) {
  const auto sync = this->sync();
  drm_figment_submit request = {.queue_id = gpu_.queue.id(), .syncs = array_of(sync)};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT, request), GetParam().error);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_P(BadSyncOf, is_refused_by_bind) {
  const auto sync = this->sync();
  const drm_figment_bind_op op = {
      .kind = DRM_FIGMENT_BIND_UNMAP, .address = kData.value, .size = kPageBytes};
  drm_figment_vm_bind request = {.vm_id = gpu_.vm.id(),
                                 .flags = DRM_FIGMENT_VM_BIND_ASYNC,
                                 .ops = array_of(op),
                                 .syncs = array_of(sync)};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request), GetParam().error);
  EXPECT_DONE(outcome(gpu_.queue.run({.at = GpuVa{}})));
}

TEST_F(GpuTest, synchronous_bind_with_a_sync_is_refused) {
  const Syncobj syncobj = gpu_.device.syncobj();
  const drm_figment_sync sync = {.flags = DRM_FIGMENT_SYNC_SIGNAL, .handle = syncobj.handle()};
  const drm_figment_bind_op op = {
      .kind = DRM_FIGMENT_BIND_UNMAP, .address = kData.value, .size = kPageBytes};
  drm_figment_vm_bind request = {
      .vm_id = gpu_.vm.id(), .ops = array_of(op), .syncs = array_of(sync)};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request), EINVAL);
}

TEST_F(GpuTest, refused_submit_signals_nothing) {
  const Syncobj good = gpu_.device.syncobj();
  const std::vector<drm_figment_sync> syncs = {
      {.flags = DRM_FIGMENT_SYNC_SIGNAL, .handle = good.handle()},
      {.flags = DRM_FIGMENT_SYNC_SIGNAL, .handle = kUnknownHandle}};
  drm_figment_submit request = {.queue_id = gpu_.queue.id(),
                                .syncs = {sizeof(syncs[0]), 2, user_pointer(syncs.data())}};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_SUBMIT, request), ENOENT);
  EXPECT_FALSE(good.wait(Deadline{}));
}

}  // namespace
}  // namespace figment::guest
