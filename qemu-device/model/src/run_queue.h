// SPDX-License-Identifier: MIT
// The queues that could run but have no engine: one line per priority.
//
// Strict priority, first come first served inside one. Each queue is in at most
// one line and at most once. No memory is allocated after construction, and no
// operation depends on the number of queues.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "archive.h"
#include "units.h"

namespace figment {

class RunQueue {
 public:
  explicit RunQueue(uint32_t queues) : links_(queues) {}

  bool contains(uint16_t queue) const { return links_[queue].queued; }
  bool empty() const { return !highest(); }
  // The highest priority that waits.
  std::optional<uint32_t> highest() const {
    for (uint32_t priority = FIGMENT_PRIORITIES; priority-- > 0;) {
      if (lines_[priority].first != kNone) return priority;
    }
    return std::nullopt;
  }

  void push(uint16_t queue, uint32_t priority) {
    FIGMENT_ASSERT(!links_[queue].queued && priority < FIGMENT_PRIORITIES);
    Line& line = lines_[priority];
    links_[queue] = {.next = kNone, .previous = line.last, .priority = priority, .queued = true};
    (line.last == kNone ? line.first : links_[line.last].next) = queue;
    line.last = queue;
  }

  std::optional<uint16_t> pop() {
    const auto priority = highest();
    if (!priority) return std::nullopt;
    const auto queue = static_cast<uint16_t>(lines_[*priority].first);
    remove(queue);
    return queue;
  }

  // Does nothing when it is not there.
  void remove(uint16_t queue) {
    const Link link = links_[queue];
    if (!link.queued) return;
    Line& line = lines_[link.priority];
    (link.previous == kNone ? line.first : links_[link.previous].next) = link.next;
    (link.next == kNone ? line.last : links_[link.next].previous) = link.previous;
    links_[queue] = {};
  }

  // State, archive.h: the ids of each line in order.
  void describe(Archive& archive) {
    for (uint32_t priority = 0; priority < FIGMENT_PRIORITIES; ++priority) {
      std::vector<uint16_t> line;
      for (int32_t at = lines_[priority].first; at != kNone; at = links_[at].next) {
        line.push_back(static_cast<uint16_t>(at));
      }
      archive.sequence("line", line, links_.size());
      if (!archive.loading()) continue;
      for (const uint16_t queue : line) {
        require(queue < links_.size() && !contains(queue), "queue %u cannot wait in line", queue);
        push(queue, priority);
      }
    }
  }
  // Whether it waits in the line of that priority.
  bool contains(uint16_t queue, uint32_t priority) const {
    return contains(queue) && links_[queue].priority == priority;
  }

  void clear() {
    links_.assign(links_.size(), {});
    lines_ = {};
  }

 private:
  static constexpr int32_t kNone = -1;
  struct Link {
    int32_t next = kNone;
    int32_t previous = kNone;
    uint32_t priority = 0;
    bool queued = false;
  };
  struct Line {
    int32_t first = kNone;
    int32_t last = kNone;
  };

  std::vector<Link> links_;
  std::array<Line, FIGMENT_PRIORITIES> lines_{};
};

}  // namespace figment
