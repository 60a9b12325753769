// SPDX-License-Identifier: MIT
//
// The commands of ./figment. Each gets checked options and returns an exit status; failures come
// as exceptions and are told in one place, main.
#ifndef FIGMENT_PROGRAM_COMMANDS_H
#define FIGMENT_PROGRAM_COMMANDS_H

#include <span>

#include "options.h"
#include "session.h"
#include "workshop.h"

namespace figment::host {

int run_command(const Options& options);    // run and shell
int demo_command(const Options& options);
int matrix_command(const Options& options);
int test_command(const Options& options);
int explore_command(const Options& options);
int bench_command(const Options& options);
int fuzz_command(const Options& options);
int coverage_command(const Options& options);
int build_command(const Options& options);
int timeline_command(const Options& options);
int doctor_command(const Options& options);
int inject_command(const Options& options);

// Makes a timeline of a recording and of the traces of the GPUs in their order, and tells about it.
// False when something is missing in it, or not certain. Throws Failure when there can be none.
bool make_timeline(const fs::path& recording, std::span<const fs::path> gpu_traces,
                   const fs::path& output);

// A guest that is ready to be started, with the orders of its agent.
struct Prepared {
  Guest guest;
  SessionOptions session;
  fs::path driver;  // figment.ko, with its symbols
};

// What a command adds to the VM options.
struct GuestNeeds {
  Argv command;                  // in the guest
  std::vector<Share> shares;     // beside the user's
  bool null_nvme = false;
  std::vector<fs::path> disks = {};  // images behind those of the guest: /dev/vdd is the first
  fs::path directory;            // of the command; empty: as `run` does
  bool test_hmm = true;          // where the command can use it: a second device on the same memory
  fs::path driver = {};          // figment.ko instead of the checkout's own; the guest sees its path
};

// Memory nodes for the torture table: some events move pages from one to the other.
constexpr unsigned kTableNodes = 2;

// Whether a word of the command is that program.
bool names(const Argv& command, const std::string& program);

// The program of the guest tests, if the command names it; else nothing.
fs::path guest_tests_in(const Argv& command, const Workshop& workshop);

// Makes every part that the guest needs and puts it together.
Prepared prepare(Workshop& workshop, const VmOptions& vm, const GuestNeeds& needs);

// For --dry-run: prints the command line of that guest's QEMU. Returns the command's exit status.
int print_command_line(Guest guest);

// A judge with the known noise of the checkout.
Judge make_judge(const Places& places);

// A new folder for the logs of one guest, below build/runs; old ones go.
fs::path run_folder(const Places& places);

// A path of the host, as it is named in the build root: what the build root has a folder of its
// own for is below /host.
fs::path visible(const fs::path& path);

}  // namespace figment::host

#endif
