// SPDX-License-Identifier: MIT
//
// What a GPU word may hold. docs/oracle.md derives the rules; this is their
// arithmetic, without a device and without memory.
#pragma once

#include <cstdint>

#include "layout.h"
#include "stamp.h"

namespace figment::oracle {

/// Where a queue stands: jobs 1 .. submitted have been handed over or are about to
/// be, 1 .. completed were seen to have ended. Words were last zeroed after job
/// `epoch`.
struct QueueBounds {
  Sequence epoch = 0;
  Sequence completed = 0;
  Sequence submitted = 0;
};

/// The stamps that one word may hold, both ends inclusive; 0 is "not written yet".
struct Window {
  Sequence oldest = 0;
  Sequence newest = 0;

  friend constexpr bool operator==(const Window&, const Window&) = default;
};

/// The last job up to `upto`, after `epoch`, that writes `slice`; 0 when there is none.
constexpr Sequence last_writer(const Layout& layout, std::uint32_t slice, Sequence epoch,
                               Sequence upto) {
  const std::uint32_t back = (upto % layout.slices + layout.slices - slice) % layout.slices;
  return upto > epoch && upto - epoch > back ? upto - back : 0;
}

constexpr Window window(const Layout& layout, std::uint32_t page, const QueueBounds& bounds) {
  const std::uint32_t slice = layout.slice_of_page(page);
  return {.oldest = last_writer(layout, slice, bounds.epoch, bounds.completed),
          .newest = last_writer(layout, slice, bounds.epoch, bounds.submitted)};
}

enum class Verdict {
  right,
  lost,     // an older stamp than that of a job that has ended: its write went elsewhere
  future,   // a stamp that this viewer can never see
  foreign,  // no stamp of this word at all
};

constexpr Verdict judge(const Layout& layout, std::uint32_t queue, std::uint32_t page, Word word,
                        const Window& allowed) {
  const auto n = gpu_sequence(queue, page, word);
  if (!n) return Verdict::foreign;
  if (*n != 0 && layout.slice_of_job(*n) != layout.slice_of_page(page)) return Verdict::foreign;
  if (*n < allowed.oldest) return Verdict::lost;
  if (*n > allowed.newest) return Verdict::future;
  return Verdict::right;
}

}  // namespace figment::oracle
