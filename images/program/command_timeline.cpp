// SPDX-License-Identifier: MIT
//
// timeline: what `run --timeline` does at its end, for traces that are there.
#include <format>
#include <fstream>
#include <iostream>

#include "commands.h"
#include "timeline.h"

namespace figment::host {

namespace {

// A Failure in `read` is about that file.
template <typename Read>
auto about_file(const fs::path& file, Read read) {
  try {
    return read();
  } catch (const Failure& failure) {
    throw Failure(std::format("{}: {}", file.string(), failure.what()));
  }
}

std::vector<TracedEvent> read_gpu_trace(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream) throw Failure(std::format("cannot read {}", file.string()));
  return about_file(file, [&] { return parse_gpu_trace(stream); });
}

}  // namespace

bool make_timeline(const fs::path& recording_file, std::span<const fs::path> gpu_traces,
                   const fs::path& output) {
  const Recording recording =
      about_file(recording_file, [&] { return parse_recording(read_file(recording_file)); });
  std::vector<std::vector<TracedEvent>> traces;
  for (const fs::path& trace : gpu_traces) traces.push_back(read_gpu_trace(trace));
  // Whoever watches the file never finds half of it.
  const fs::path partial = output.string() + ".partial";
  TimelineSummary summary;
  {
    std::ofstream out(partial);
    summary = write_timeline(recording, traces, out);
    if (!out.flush()) throw Failure(std::format("cannot write {}", partial.string()));
  }
  fs::rename(partial, output);
  std::uint64_t uncertainty = 0;
  for (const TimelineClock& clock : summary.clocks) {
    uncertainty = std::max(uncertainty, clock.uncertainty_ns);
  }
  std::cerr << std::format("figment: timeline: {} events in {}, clocks known to within {} ns\n",
                           summary.events, output.string(), uncertainty);
  const std::string complaint = summary.complaint();
  for (std::string_view rest = complaint; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    std::cerr << "figment: timeline: " << rest.substr(0, end) << "\n";
    rest.remove_prefix(end + 1);
  }
  return complaint.empty();
}

int timeline_command(const Options& options) {
  std::vector<fs::path> files;
  for (const std::string& file : options.arguments) files.push_back(visible(fs::absolute(file)));
  const std::string output = options.output.empty() ? "timeline.json" : options.output;
  return make_timeline(files.front(), std::span(files).subspan(1), visible(fs::absolute(output)))
             ? 0
             : 1;
}

}  // namespace figment::host
