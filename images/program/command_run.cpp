// SPDX-License-Identifier: MIT
//
// run and shell: one guest with the user's command, or with a login shell on the user's terminal.
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <format>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "debugger.h"

namespace figment::host {

namespace {

// Piped input is for the command. A terminal is not: Ctrl-C belongs to this program, and shell is
// there for the rest.
bool has_piped_input() {
  struct stat info{};
  if (fstat(STDIN_FILENO, &info) != 0) return false;
  return S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode);
}

// Where the agent makes a pipe for figment-record.
constexpr const char* kRecording = "/run/figment-recording";

// Files of a run that becomes a timeline.
struct Timeline {
  fs::path output;
  fs::path recording;
  fs::path gpu_trace;  // of the first GPU
};

std::vector<fs::path> gpu_traces(const Timeline& timeline, unsigned gpus) {
  std::vector<fs::path> files;
  for (unsigned gpu = 0; gpu < gpus; ++gpu) {
    files.push_back(timeline.gpu_trace.string() + (gpu == 0 ? "" : "." + std::to_string(gpu)));
  }
  return files;
}

// The command goes on, but figment-record looks on.
Timeline begin_timeline(const VmOptions& vm, Prepared& prepared) {
  SessionOptions& session = prepared.session;
  Timeline timeline{.output = visible(fs::absolute(vm.timeline)),
                    .recording = session.folder / "recording",
                    .gpu_trace = prepared.guest.trace};
  // Before the guest has worked for it.
  if (!std::ofstream(timeline.output, std::ios::app)) {
    throw Failure(std::format("--timeline: cannot write {}", vm.timeline));
  }
  if (timeline.gpu_trace.empty()) timeline.gpu_trace = session.folder / "trace";
  prepared.guest.trace = timeline.gpu_trace;
  guest::Start& start = session.start;
  start.recording = kRecording;
  Argv command{"figment-record", "--to", kRecording, "--"};
  std::ranges::move(start.arguments, std::back_inserter(command));
  start.arguments = std::move(command);
  session.on_recording = [out = std::make_shared<std::ofstream>(timeline.recording)](
                             std::string_view bytes) { *out << bytes << std::flush; };
  return timeline;
}

// Whether all of it is there.
bool end_timeline(const Timeline& timeline, const Options& options) {
  const auto traces = gpu_traces(timeline, options.vm.gpus);
  try {
    const bool good = make_timeline(timeline.recording, traces, timeline.output);
    // They are large, and nobody has asked for them.
    if (good && options.vm.trace.empty())
      std::ranges::for_each(traces, [](auto& f) { fs::remove(f); });
    return good;
  } catch (const Failure& failure) {
    std::cerr << "figment: timeline: " << failure.what() << "\n";
    // Made by begin_timeline().
    if (fs::exists(timeline.output) && fs::is_empty(timeline.output)) fs::remove(timeline.output);
    return false;
  }
}

}  // namespace

int run_command(const Options& options) {
  const bool shell = options.command == CommandName::shell;
  if (shell && !options.vm.dry_run && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
    throw UsageError("shell: stdin and stdout must be a terminal; use run -- COMMAND for anything else");
  }
  Workshop workshop(Places::from_environment(), options.vm.dry_run);
  const Argv command = shell ? Argv{"/bin/bash", "-l"} : options.arguments;
  Prepared prepared = prepare(
      workshop, options.vm,
      {.command = command, .shares = {}, .null_nvme = false, .directory = {}});
  if (options.vm.dry_run) {
    if (!options.vm.timeline.empty() && options.vm.trace.empty()) prepared.guest.trace = "TRACE";
    return print_command_line(prepared.guest);
  }
  SessionOptions& session = prepared.session;
  session.folder = run_folder(workshop.places());
  session.on_stdout = [](std::string_view bytes) { write_all(STDOUT_FILENO, bytes); };
  session.on_stderr = [](std::string_view bytes) { write_all(STDERR_FILENO, bytes); };
  session.forward_stdin = !shell && has_piped_input() && !options.vm.seed;
  if (options.vm.seed && has_piped_input()) {
    std::cerr << "figment: run --seed: input comes from outside; the command reads end of file\n";
  }
  if (options.vm.seed) {
    std::cerr << std::format("figment: seed {}, logs in {}\n", *options.vm.seed,
                             session.folder.string());
  }
  if (!shell) {
    Argv again{"./figment", "run"};
    std::ranges::copy(options.given, std::back_inserter(again));
    again.push_back("--");
    std::ranges::copy(options.arguments, std::back_inserter(again));
    session.rerun = quoted(again);
  }
  const Judge judge = make_judge(workshop.places());
  std::optional<Timeline> timeline;
  if (!options.vm.timeline.empty()) timeline = begin_timeline(options.vm, prepared);
  if (!options.vm.gdb.empty()) {
    wait_for_debugger(options.vm, judge, prepared);
  }
  if (shell) {
    session.terminal = session.start.terminal = true;
    winsize size{};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
      session.start.rows = size.ws_row;
      session.start.columns = size.ws_col;
    }
    std::cerr << "figment: the guest's console log is " << (session.folder / "console.log").string()
              << "; Ctrl-] ends the guest at once\n";
  }
  const Verdict verdict = run_guest(prepared.guest, session, judge);
  std::cerr << verdict.explanation();
  const bool told = !timeline || end_timeline(*timeline, options);
  return verdict.exit_status() == 0 && !told ? 1 : verdict.exit_status();
}

}  // namespace figment::host
