// SPDX-License-Identifier: MIT
//
// figment-top: which processes use Figment GPUs, and how much, as the kernel says it of their
// open files (/proc/PID/fdinfo). Exit status: 0; 1 /proc cannot be read; 2 wrong usage.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <print>
#include <thread>

#include "usage.h"

namespace {

using namespace figment::top;

struct Options {
  double interval = 1;
  bool once = false;
  bool json = false;
};

void show(const Options& options, const std::vector<Use>& uses) {
  if (options.json) {
    // Names of processes are bytes, and need not be UTF-8.
    std::println("{}", to_json(uses).dump(options.once ? 2 : -1, ' ', false,
                                          nlohmann::ordered_json::error_handler_t::replace));
  } else {
    const bool clears = !options.once && isatty(STDOUT_FILENO);
    std::print("{}{}", clears ? "\033[H\033[2J" : "", to_table(uses));
  }
  std::fflush(stdout);
}

int run(const Options& options) {
  Sample before = take_sample();
  do {
    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval));
    Sample after = take_sample();
    show(options, usage_between(before, after));
    before = std::move(after);
  } while (!options.once);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shows what each process uses of Figment GPUs: time of engines, and memory.");
  Options options;
  app.add_option("--interval", options.interval, "Seconds between two looks")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 3600.0));
  app.add_flag("--once", options.once, "Tell of one interval, and stop");
  app.add_flag("--json", options.json, "As JSON: a list of processes, one line for each interval");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (access("/proc/self/fdinfo", R_OK) != 0) {
    std::println(stderr, "figment-top: /proc is not there, or tells nothing of open files");
    return 1;
  }
  return run(options);
}
