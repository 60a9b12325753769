// SPDX-License-Identifier: MIT
//
// explore: a scenario under many seeds. The machine boots once and is saved where its agent is
// ready; each seed restores it in a QEMU of its own. A seed that fails is run once more, with the
// trace of the GPU, which shows that it comes again and gives its story.
#include <unistd.h>

#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "debugger.h"
#include "deterministic.h"
#include "explore.h"
#include "saved_machine.h"

namespace figment::host {

namespace {

constexpr std::size_t kStoryLines = 12;

// All that one run of one seed leaves behind.
struct Attempt {
  Verdict verdict;
  std::string output;   // stdout and stderr of the command, as they came
  std::string console;

  SeedResult result(std::uint64_t seed) const {
    SeedResult result{.seed = seed, .status = verdict.exit_status(), .why = {}};
    if (result.status == 0) return result;
    result.why = verdict.explanation();
    if (result.why.empty()) {
      result.why = std::format("the command ended with status {}\n", result.status);
    }
    return result;
  }
};

class Explorer {
 public:
  Explorer(Workshop& workshop, const Options& options)
      : options_(options),
        judge_(make_judge(workshop.places())),
        prepared_(prepare(workshop, seeded(options.vm),
                          {.command = options.arguments, .shares = {}, .null_nvme = false,
                           .directory = {}})),
        folder_(options.vm.dry_run ? fs::path("RUN") : run_folder(workshop.places())) {
    prepared_.session.timeout = std::chrono::seconds(0);
    prepared_.guest.deterministic->limit_ns =
        std::chrono::nanoseconds(std::chrono::seconds(options.limit_seconds)).count();
  }

  const Guest& guest() const { return prepared_.guest; }

  void boot(const Workshop& workshop) {
    Guest guest = prepared_.guest;
    guest.deterministic->limit_ns = 0;
    saved_ = saved_machine(workshop, {.guest = guest, .session = prepared_.session, .driver = {}},
                           options_.vm.gpu);
  }

  fs::path folder(std::uint64_t seed) const { return folder_ / std::format("seed-{}", seed); }

  // `trace`: empty, or where it goes.
  Attempt attempt(std::uint64_t seed, const fs::path& trace, const fs::path& folder) const {
    Guest guest = restored(prepared_.guest, saved_);
    set_seed(guest, options_.vm.gpu, seed);
    guest.trace = trace;
    Attempt attempt;
    SessionOptions session = prepared_.session;
    session.folder = folder;
    session.on_stdout = session.on_stderr = [&](std::string_view bytes) { attempt.output += bytes; };
    attempt.verdict = run_guest(guest, session, judge_);
    attempt.console = read_file(attempt.verdict.console);
    return attempt;
  }

  // One seed with a debugger; what the command writes is shown.
  int debug(std::uint64_t seed) const {
    Prepared prepared = prepared_;
    auto& [guest, session, driver] = prepared;
    guest = restored(guest, saved_);
    set_seed(guest, options_.vm.gpu, seed);
    guest.deterministic->limit_ns = 0;
    session.folder = folder(seed);
    session.on_stdout = [](std::string_view bytes) { write_all(STDOUT_FILENO, bytes); };
    session.on_stderr = [](std::string_view bytes) { write_all(STDERR_FILENO, bytes); };
    wait_for_debugger(options_.vm, judge_, prepared);
    const Verdict verdict = run_guest(guest, session, judge_);
    std::cerr << verdict.explanation();
    return verdict.exit_status();
  }

  SeedResult explore_seed(std::uint64_t seed) const {
    const Attempt attempt = this->attempt(seed, {}, folder(seed));
    const SeedResult result = attempt.result(seed);
    if (result.status == 0) {
      fs::remove_all(folder(seed));
    } else {
      write_file(folder(seed) / "output", attempt.output);
    }
    return result;
  }

  // One seed more, with a trace: does it come again, and what happened last?
  std::string story(const SeedResult& failure) const {
    const fs::path again_folder = folder(failure.seed) / "again";
    const fs::path trace = folder(failure.seed) / "trace";
    const Attempt again = attempt(failure.seed, trace, again_folder);
    const std::string difference =
        first_difference(read_file(folder(failure.seed) / "output") +
                             read_file(folder(failure.seed) / "console.log"),
                         again.output + again.console);
    const bool same = difference.empty() && again.verdict.exit_status() == failure.status;
    std::string text = same ? "  run once more: the same to the last byte\n"
                            : "  run once more: NOT the same; " + difference + "\n";
    const auto chapter = [&](const std::string& title, const std::string& lines) {
      if (lines.empty()) return;
      text += "  " + title + ":\n";
      for (std::size_t at = 0; at < lines.size();) {
        const std::size_t end = std::min(lines.find('\n', at), lines.size());
        text += "    " + lines.substr(at, end - at) + "\n";
        at = end + 1;
      }
    };
    chapter("last output", last_lines(again.output, kStoryLines));
    chapter("last lines of the kernel", last_lines(again.console, kStoryLines));
    if (fs::exists(trace)) {
      chapter("last events of the GPU, with virtual ns (all in " + trace.string() + ")",
              last_device_events(read_file(trace), kStoryLines));
    }
    return text;
  }

  // The command that runs one seed again.
  std::string again(std::uint64_t seed) const {
    Argv argv{"./figment", "explore", "--seeds", std::format("{}..{}", seed, seed)};
    std::ranges::copy(options_.given, std::back_inserter(argv));
    argv.push_back("--");
    std::ranges::copy(options_.arguments, std::back_inserter(argv));
    return quoted(argv);
  }

 private:
  static VmOptions seeded(VmOptions vm) {
    vm.seed = 0;
    return vm;
  }

  const Options& options_;
  Judge judge_;
  Prepared prepared_;
  fs::path folder_;
  SavedMachine saved_;
};

class Progress {
 public:
  Progress(std::uint64_t seeds, const char* what) : seeds_(seeds), what_(what) {}
  ~Progress() { clear(); }

  void show(const Exploration& known) {
    const auto now = Clock::now();
    // Often enough to be seen to live, rarely enough for a log.
    if (now - told_ < (terminal_ ? std::chrono::seconds(1) : std::chrono::seconds(60))) return;
    told_ = now;
    std::cerr << std::format("{}figment: {}: {} of {} seeds, {} failed, {:.0f} an hour{}",
                             terminal_ ? "\r" : "", what_, known.explored, seeds_,
                             known.failures.size(), known.per_hour(), terminal_ ? "\033[K" : "\n")
              << std::flush;
  }

 private:
  void clear() {
    if (terminal_) std::cerr << "\r\033[K" << std::flush;
  }

  const std::uint64_t seeds_;
  const char* const what_;
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  Clock::time_point told_ = Clock::now();
};

void write_json(const fs::path& file, const Options& options, const Exploration& result,
                const Explorer& explorer) {
  nlohmann::ordered_json json = {
      {"version", 1},
      {"first", options.seeds.first},
      {"last", options.seeds.last},
      {"shard", options.seeds.shard},
      {"shards", options.seeds.shards},
      {"explored", result.explored},
      {"until_first", result.until_first},
      {"timed_out", result.timed_out},
      {"seconds", static_cast<double>(result.time.count()) / 1000},
      {"per_hour", result.per_hour()},
      {"failures", nlohmann::ordered_json::array()},
  };
  for (const SeedResult& failure : result.failures) {
    json["failures"].push_back({{"seed", failure.seed},
                                {"status", failure.status},
                                {"why", failure.why},
                                {"again", explorer.again(failure.seed)}});
  }
  write_file(file, json.dump(1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

int explore_command(const Options& options) {
  Workshop workshop(Places::from_environment(), options.vm.dry_run);
  Explorer explorer(workshop, options);
  if (options.vm.dry_run) {
    Guest guest = explorer.guest();
    guest.console = "CONSOLE";
    set_seed(guest, options.vm.gpu, options.seeds.first);
    std::cout << quoted(qemu_argv(restored(guest, {.memory = "MEMORY", .state = "STATE", .console = {}})))
              << "\n";
    return 0;
  }
  explorer.boot(workshop);
  if (!options.vm.gdb.empty()) return explorer.debug(options.seeds.at(0));
  ExploreLimits limits{.jobs = options.jobs, .all = options.all, .deadline = Clock::time_point::max()};
  if (options.vm.timeout.count() > 0) limits.deadline = Clock::now() + options.vm.timeout;
  Exploration result;
  {
    Progress progress(options.seeds.count(), "explore");
    result = explore(options.seeds, limits,
                     [&](std::uint64_t seed) { return explorer.explore_seed(seed); },
                     [&](const Exploration& known) { progress.show(known); });
  }
  for (const SeedResult& failure : result.failures) {
    std::cout << std::format("seed {}: status {}\n", failure.seed, failure.status);
    for (std::size_t at = 0; at < failure.why.size();) {
      const std::size_t end = std::min(failure.why.find('\n', at), failure.why.size());
      std::cout << "  " << failure.why.substr(at, end - at) << "\n";
      at = end + 1;
    }
    std::cout << "  again: " << explorer.again(failure.seed) << "\n" << std::flush;
    std::cout << explorer.story(failure) << std::flush;
  }
  std::cout << std::format("{} seeds, {} failed; {:.1f} s, {:.0f} seeds an hour\n", result.explored,
                           result.failures.size(),
                           static_cast<double>(result.time.count()) / 1000, result.per_hour());
  if (!options.json.empty()) write_json(visible(options.json), options, result, explorer);
  if (result.timed_out) return 124;
  return result.failures.empty() ? 0 : 1;
}

}  // namespace figment::host
