// SPDX-License-Identifier: MIT
//
// The trace-event format of Perfetto and chrome://tracing, as far as a timeline needs it: threads
// with slices that nest, slices that overlap others, and arrows. Times are nanoseconds; what is
// written is the same for the same calls.
#ifndef FIGMENT_PROGRAM_TRACE_JSON_H
#define FIGMENT_PROGRAM_TRACE_JSON_H

#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace figment::host {

// The inside of a JSON object: what is known about a slice.
class Details {
 public:
  Details& number(std::string_view name, std::int64_t value);
  Details& number(std::string_view name, std::uint64_t value);
  Details& hex(std::string_view name, std::uint64_t value);
  Details& text(std::string_view name, std::string_view value);
  // What the name has as text already: an array or an object.
  Details& json(std::string_view name, std::string_view value);
  const std::string& string() const { return text_; }

 private:
  void begin(std::string_view name);
  std::string text_;
};

// As a JSON string, with its quotes. What is not ASCII stands for the character of its number: a
// guest's names may be no text at all.
std::string quoted_json(std::string_view text);

class TraceJson {
 public:
  using Lane = std::size_t;
  // Where an arrow may begin or end: a slice.
  struct Spot {
    Lane lane = 0;
    std::uint64_t ns = 0;
  };

  // Lowest `order` first.
  void process(std::uint64_t pid, std::string_view name, std::int64_t order);
  // The thread of that number; made when it is asked for first, and then named.
  Lane lane(std::uint64_t pid, std::uint64_t tid, std::string_view name);
  void rename(Lane lane, std::string_view name);

  // Slices of a lane are opened and closed like brackets, and times of a lane do not go back.
  Spot open(Lane lane, std::uint64_t ns, std::string name, const Details& details = {});
  // The innermost one; nothing is open: nothing happens.
  void close(Lane lane, std::uint64_t ns, const Details& details = {});
  std::size_t depth(Lane lane) const { return lanes_[lane].open.size(); }
  // Something without a duration: a slice that is as short as can be seen.
  Spot mark(Lane lane, std::uint64_t ns, std::string name, const Details& details = {});

  // May overlap any other. `id` is its own.
  void overlapping(std::uint64_t pid, std::string_view category, std::string_view id,
                   std::string_view name, std::uint64_t begin, std::uint64_t end,
                   const Details& details);
  // Through all spots, in their order of time.
  void arrow(std::string_view name, std::vector<Spot> spots);

  // What is open ends there, and says so.
  void finish(std::uint64_t ns);
  // After finish(). `about`: of the trace as a whole.
  void write(std::ostream& out, const Details& about) const;
  std::size_t events() const { return events_.size() + slices_.size(); }

 private:
  struct Slice {
    Lane lane = 0;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::string name;
    std::string details;
  };
  struct LaneState {
    std::uint64_t pid = 0;
    std::uint64_t tid = 0;
    std::string name;
    std::vector<std::size_t> open;  // slices, the innermost one last
    std::size_t mark = kNone;       // the last mark, when its end is not known yet
  };
  struct Event {
    std::uint64_t ns = 0;
    std::string text;
  };
  static constexpr std::size_t kNone = ~std::size_t{0};

  void end_mark(LaneState& state, std::uint64_t ns);
  std::size_t add(Lane lane, std::uint64_t ns, std::string name, const Details& details);

  std::map<std::uint64_t, std::pair<std::string, std::int64_t>> processes_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Lane> numbers_;
  std::vector<LaneState> lanes_;
  std::vector<Slice> slices_;  // in the order of their beginnings, lane by lane
  std::vector<Event> events_;
  std::uint64_t arrows_ = 0;
};

}  // namespace figment::host

#endif
