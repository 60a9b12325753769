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

#include "guest.h"

namespace figment::host {

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The VM options of the commands that boot a guest.
struct VmOptions {
  std::string kernel = "stock";  // stock, debug, paranoid, or a kernel build tree
  unsigned cpus = 2;
  std::uint64_t memory_mib = 2048;
  unsigned gpus = 1;
  GpuProperties gpu;
  std::vector<Share> shares;
  std::string append;
  std::chrono::seconds timeout{0};  // 0: none
  bool dry_run = false;
};

enum class CommandName { demo, test, run, shell, bench, build, doctor };

struct Options {
  CommandName command{};
  VmOptions vm;
  std::vector<std::string> arguments;  // of run: the command; of test: patterns; of build: parts
  std::optional<unsigned> seconds;     // demo
  std::string json;                    // demo, bench: file, or empty
  bool list = false;                   // test
  bool prune = false;                  // doctor
};

// KEY=VALUE[,KEY=VALUE...] of --gpu.
GpuProperties parse_gpu(const std::string& text);
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
