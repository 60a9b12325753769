// SPDX-License-Identifier: MIT
#include "completion.h"

#include <algorithm>
#include <utility>

namespace figment::stress {
namespace {

/// A wait for a user fence looks at the errors of one queue. So often another one has its turn.
constexpr auto kTurn = std::chrono::milliseconds(100);

}  // namespace

Timelines::Timelines(const Device& device, unsigned lanes) : fd_(device.fd()) {
  for (unsigned n = 0; n < lanes; ++n) lanes_.push_back(device.syncobj());
}

std::vector<SyncPoint> Timelines::signals(unsigned lane, Sequence n) const {
  return {lanes_[lane].at(n)};
}

Sequence Timelines::ended(unsigned lane) const {
  return static_cast<Sequence>(lanes_[lane].query());
}

WaitEnd Timelines::wait(std::span<const QueueProgress> lanes, Deadline deadline) {
  std::vector<SyncPoint> next;
  for (unsigned lane = 0; lane < lanes.size(); ++lane) {
    const Sequence completed = lanes[lane].completed.load();
    if (completed != lanes[lane].submitted.load()) next.push_back(lanes_[lane].at(completed + 1));
  }
  return figment::wait(fd_, next, deadline, WaitFor::any) ? WaitEnd::holds : WaitEnd::deadline;
}

UserFences::UserFences(int fd, GpuVa at, std::span<const std::uint64_t> memory,
                       std::vector<QueueErrors> lanes)
    : fd_(fd), at_(at), memory_(memory), lanes_(std::move(lanes)) {}

void UserFences::add_end(CommandList& list, unsigned lane, Sequence n) const {
  // The count comes after the word of the lane: who finds one job more in the count finds it in
  // a lane, too. The event comes last: whom it wakes sees both.
  list.release({.at = at_ + (1 + lane) * sizeof(std::uint64_t), .value = n});
  list.atomic({.kind = AtomicKind::add, .at = at_, .operand = 1});
  list.release({.event = true});
}

Sequence UserFences::ended(unsigned lane) const {
  return static_cast<Sequence>(__atomic_load_n(&memory_[1 + lane], __ATOMIC_ACQUIRE));
}

WaitEnd UserFences::wait(std::span<const QueueProgress> lanes, Deadline deadline) {
  std::uint64_t completed = 0;
  for (const auto& lane : lanes) completed += lane.completed.load();
  const UserFence next{.word = memory_.data(), .reference = completed + 1};
  for (;;) {
    const QueueErrors& before = lanes_[turn_++ % lanes_.size()];
    const WaitEnd end = figment::wait(fd_, next, before, std::min(deadline, after(kTurn)));
    if (end != WaitEnd::deadline || Clock::now() >= deadline) return end;
  }
}

}  // namespace figment::stress
