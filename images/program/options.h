// SPDX-License-Identifier: MIT
//
// The command line, checked. Every mistake is a UsageError with one line that says what was wrong
// and what is allowed.
#ifndef FIGMENT_PROGRAM_OPTIONS_H
#define FIGMENT_PROGRAM_OPTIONS_H

#include <chrono>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "explore.h"
#include "guest.h"

namespace figment::host {

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The VM options of the commands that boot a guest.
struct VmOptions {
  std::string kernel = "stock";  // stock, debug, paranoid, or a kernel build tree
  std::string driver;            // folder of the driver's sources; empty: the checkout's
  unsigned cpus = 2;
  std::uint64_t memory_mib = 2048;
  unsigned nodes = 1;  // of memory
  unsigned gpus = 1;
  GpuProperties gpu;
  std::vector<Injection> inject;  // run and shell
  bool iommu = false;  // between the GPUs and memory
  std::vector<Share> shares;
  std::string append;
  std::chrono::seconds timeout{0};  // 0: none
  std::chrono::seconds silence{0};  // of the command; 0: as long as it likes
  std::string trace;                  // file for the trace of the GPU, or empty
  std::string timeline;               // file for the timeline of GPUs and driver, or empty; run
  std::optional<std::uint64_t> seed;  // a deterministic machine; run, explore
  std::string gdb;                    // port or path of a socket, or empty; with a seed
  std::optional<std::uint64_t> stop_ns;  // virtual time at which it stops; with gdb
  bool dry_run = false;
};

enum class CommandName {
  demo,
  matrix,
  test,
  run,
  shell,
  explore,
  bench,
  fuzz,
  coverage,
  build,
  timeline,
  doctor,
  inject
};

struct Options {
  CommandName command{};
  VmOptions vm;
  // Of run and explore: the command; of test: patterns; of fuzz: inputs; of build: parts;
  // of coverage: arguments of the guest tests; of bench: parts to measure, none: all;
  // of timeline: the recording, then the traces of the GPUs; of inject: rules, "clear", "show".
  std::vector<std::string> arguments;
  SeedRange seeds;                     // explore
  unsigned jobs = 1;                   // explore: at the same time
  bool all = false;                    // explore: go on after a failure
  unsigned limit_seconds = 60;         // explore: of virtual time for a seed
  std::vector<std::string> given;      // run, explore, matrix: the options as they were written
  std::optional<unsigned> seconds;     // demo, fuzz
  std::string json;                    // demo, matrix, bench, explore: file, or empty
  std::string html;                    // matrix: file, or empty
  std::string output;                  // timeline: file
  bool quick = false;                  // matrix
  std::vector<std::string> parts;      // matrix: table, growth, compare; none: all
  // matrix: for figment-stress, which knows what there is; none: all
  std::vector<std::string> events, pages, strategies;
  std::optional<std::uint64_t> rounds;  // matrix
  std::uint64_t stress_seed = 1;        // matrix: of figment-stress
  bool list = false;                   // test
  bool prune = false;                  // doctor
  bool coverage = false;               // fuzz
  std::string guest;                   // inject: folder of its logs, or empty: the one that runs
  unsigned number = 0;                 // inject: which of its GPUs
};

// A..B of --seeds, or A for one.
SeedRange parse_seeds(const std::string& text);
// KEY=VALUE[,KEY=VALUE...] of --gpu.
GpuProperties parse_gpu(const std::string& text);
// [GPU:]RULE of --inject. What a rule may say is the device's business.
Injection parse_injection(const std::string& text);
// DIR[:MOUNT] of --share; MOUNT is DIR's own path unless given. Does not look whether DIR exists.
Share parse_share(const std::string& text);
// 512, 512M, 2G: MiB unless a unit says otherwise.
std::uint64_t parse_memory_mib(const std::string& text);

// `arguments` without the program's name. A help text is a result too: then it is returned instead
// of options.
struct Parsed {
  std::optional<Options> options;
  std::string help;
};
Parsed parse_options(std::span<const char* const> arguments);

}  // namespace figment::host

#endif
