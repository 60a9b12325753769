// SPDX-License-Identifier: MIT
//
// One run of one guest: QEMU is started, the agent gets its orders, input and output go both ways,
// and at the end there is a verdict. The verdict starts as "crashed"; the guest has to earn a
// status by telling it.
#ifndef FIGMENT_PROGRAM_SESSION_H
#define FIGMENT_PROGRAM_SESSION_H

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "guest.h"
#include "judge.h"
#include "process.h"
#include "protocol.h"
#include "stack_trace.h"

namespace figment::host {

struct Verdict {
  std::optional<int> status;          // the command's; none: it did not get to its end
  bool timed_out = false;
  std::string trouble;                // why there is no status, in words
  std::vector<KernelReport> reports;  // from the console, whatever the status says
  fs::path console;
  std::string release;                // of the guest's kernel, from its agent
  std::string rerun;                  // the command that does it again, or empty
  // Since QEMU was started; zero: not reached.
  std::chrono::milliseconds until_ready{0};
  std::chrono::milliseconds until_exit{0};
  std::chrono::milliseconds until_end{0};

  // What ./figment exits with: the command's status, 3 when the guest died or its log holds a
  // report, 124 for a timeout.
  int exit_status() const;
  // Lines for the user about everything that is not well; empty when all is.
  std::string explanation() const;
};

struct SessionOptions {
  guest::Start start;
  std::chrono::seconds timeout{0};  // for all of it; 0: none
  std::chrono::seconds silence{0};  // that the command may be silent for so long; 0: as it likes
  std::chrono::seconds boot_limit = std::chrono::minutes(5);  // 0: none, somebody debugs it
  // Called with what the command writes. Default: nothing is kept.
  std::function<void(std::string_view)> on_stdout;
  std::function<void(std::string_view)> on_stderr;
  // Called with what is written to start.recording.
  std::function<void(std::string_view)> on_recording;
  bool forward_stdin = false;
  bool terminal = false;  // ours is raw and the guest's command has one; Ctrl-] ends the guest
  fs::path folder;        // for console.log and qemu.log
  SymbolFiles symbols;    // of the guest's kernel and modules, to say in which lines reports are
  std::string rerun;      // the command that does it again; told with what is not well
};

// `guest.console` and `guest.agent_fd` are filled in here. Throws Interrupted; then QEMU is gone.
Verdict run_guest(Guest guest, const SessionOptions& options, const Judge& judge);

// Writes all of it, or throws Interrupted: also when nobody reads any more (SIGPIPE).
void write_all(int fd, std::string_view bytes);

}  // namespace figment::host

#endif
