// SPDX-License-Identifier: MIT
#include "trace_json.h"

#include <algorithm>
#include <format>

namespace figment::host {

namespace {

// Long enough to be found, and no longer than what follows lets it.
constexpr std::uint64_t kMarkNs = 1000;

// The format has microseconds.
std::string micros(std::uint64_t ns) {
  return std::format("{}.{:03}", ns / 1000, ns % 1000);
}

void append_details(std::string& to, const std::string& details) {
  if (details.empty()) return;
  if (!to.empty()) to += ",";
  to += details;
}

}  // namespace

std::string quoted_json(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += std::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void Details::begin(std::string_view name) {
  if (!text_.empty()) text_ += ",";
  text_ += quoted_json(name) + ":";
}

Details& Details::number(std::string_view name, std::int64_t value) {
  begin(name);
  text_ += std::to_string(value);
  return *this;
}

Details& Details::number(std::string_view name, std::uint64_t value) {
  begin(name);
  text_ += std::to_string(value);
  return *this;
}

Details& Details::hex(std::string_view name, std::uint64_t value) {
  return text(name, std::format("{:#x}", value));
}

Details& Details::text(std::string_view name, std::string_view value) {
  begin(name);
  text_ += quoted_json(value);
  return *this;
}

Details& Details::json(std::string_view name, std::string_view value) {
  begin(name);
  text_ += value;
  return *this;
}

void TraceJson::process(std::uint64_t pid, std::string_view name, std::int64_t order) {
  processes_[pid] = {std::string{name}, order};
}

TraceJson::Lane TraceJson::lane(std::uint64_t pid, std::uint64_t tid, std::string_view name) {
  const auto [at, fresh] = numbers_.try_emplace({pid, tid}, lanes_.size());
  if (fresh) lanes_.push_back({.pid = pid, .tid = tid, .name = std::string{name}});
  return at->second;
}

void TraceJson::rename(Lane lane, std::string_view name) {
  lanes_[lane].name = name;
}

void TraceJson::end_mark(LaneState& state, std::uint64_t ns) {
  if (state.mark == kNone) return;
  Slice& slice = slices_[state.mark];
  slice.end = std::max(slice.begin, std::min(slice.begin + kMarkNs, ns));
  state.mark = kNone;
}

std::size_t TraceJson::add(Lane lane, std::uint64_t ns, std::string name, const Details& details) {
  end_mark(lanes_[lane], ns);
  slices_.push_back(
      {.lane = lane, .begin = ns, .end = ns, .name = std::move(name), .details = details.string()});
  return slices_.size() - 1;
}

TraceJson::Spot TraceJson::open(Lane lane, std::uint64_t ns, std::string name,
                                const Details& details) {
  lanes_[lane].open.push_back(add(lane, ns, std::move(name), details));
  return {.lane = lane, .ns = ns};
}

void TraceJson::close(Lane lane, std::uint64_t ns, const Details& details) {
  LaneState& state = lanes_[lane];
  if (state.open.empty()) return;
  end_mark(state, ns);
  Slice& slice = slices_[state.open.back()];
  state.open.pop_back();
  slice.end = std::max(slice.begin, ns);
  append_details(slice.details, details.string());
}

TraceJson::Spot TraceJson::mark(Lane lane, std::uint64_t ns, std::string name,
                                const Details& details) {
  const std::size_t slice = add(lane, ns, std::move(name), details);
  lanes_[lane].mark = slice;
  return {.lane = lane, .ns = ns};
}

void TraceJson::overlapping(std::uint64_t pid, std::string_view category, std::string_view id,
                            std::string_view name, std::uint64_t begin, std::uint64_t end,
                            const Details& details) {
  const auto event = [&](char phase, std::uint64_t ns, const std::string& args) {
    events_.push_back(
        {.ns = ns,
         .text = std::format(R"({{"ph":"{}","cat":{},"id":{},"name":{},"pid":{},"tid":0,"ts":{})"
                             R"(,"args":{{{}}}}})",
                             phase, quoted_json(category), quoted_json(id), quoted_json(name), pid,
                             micros(ns), args)});
  };
  event('b', begin, details.string());
  event('e', std::max(begin, end), "");
}

void TraceJson::arrow(std::string_view name, std::vector<Spot> spots) {
  if (spots.size() < 2) return;
  std::ranges::stable_sort(spots, {}, &Spot::ns);
  ++arrows_;
  for (std::size_t i = 0; i < spots.size(); ++i) {
    const LaneState& lane = lanes_[spots[i].lane];
    const bool last = i + 1 == spots.size();
    events_.push_back(
        {.ns = spots[i].ns,
         .text = std::format(
             R"({{"ph":"{}",{}"cat":"flow","id":{},"name":{},"pid":{},"tid":{},"ts":{}}})",
             i == 0 ? 's'
             : last ? 'f'
                    : 't',
             last ? R"("bp":"e",)" : "", arrows_, quoted_json(name), lane.pid, lane.tid,
             micros(spots[i].ns))});
  }
}

void TraceJson::finish(std::uint64_t ns) {
  const Details open = Details().text("end", "not in this trace");
  for (Lane lane = 0; lane < lanes_.size(); ++lane) {
    end_mark(lanes_[lane], ns);
    while (depth(lane) != 0) close(lane, ns, open);
  }
}

void TraceJson::write(std::ostream& out, const Details& about) const {
  out << R"({"displayTimeUnit":"ns","otherData":{)" << about.string() << "},\n\"traceEvents\":[\n";
  std::string_view comma;
  const auto say = [&](const std::string& event) {
    out << comma << event;
    comma = ",\n";
  };
  for (const auto& [pid, process] : processes_) {
    say(std::format(R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":{}}}}})", pid,
                    quoted_json(process.first)));
    say(std::format(
        R"({{"ph":"M","name":"process_sort_index","pid":{},"args":{{"sort_index":{}}}}})", pid,
        process.second));
  }
  for (const LaneState& lane : lanes_) {
    say(std::format(R"({{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":{}}}}})",
                    lane.pid, lane.tid, quoted_json(lane.name)));
    say(std::format(
        R"({{"ph":"M","name":"thread_sort_index","pid":{},"tid":{},"args":{{"sort_index":{}}}}})",
        lane.pid, lane.tid, lane.tid));
  }
  // The one around comes before the one inside, and an arrow after the slice that it belongs to.
  std::vector<const Slice*> slices;
  for (const Slice& slice : slices_) slices.push_back(&slice);
  std::ranges::stable_sort(slices, [](const Slice* a, const Slice* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end > b->end;
  });
  std::vector<const Event*> events;
  for (const Event& event : events_) events.push_back(&event);
  std::ranges::stable_sort(events, {}, &Event::ns);
  auto event = events.begin();
  for (const Slice* slice : slices) {
    for (; event != events.end() && (*event)->ns < slice->begin; ++event) say((*event)->text);
    const LaneState& lane = lanes_[slice->lane];
    say(std::format(R"({{"ph":"X","name":{},"pid":{},"tid":{},"ts":{},"dur":{},"args":{{{}}}}})",
                    quoted_json(slice->name), lane.pid, lane.tid, micros(slice->begin),
                    micros(slice->end - slice->begin), slice->details));
  }
  for (; event != events.end(); ++event) say((*event)->text);
  out << "\n]}\n";
}

}  // namespace figment::host
