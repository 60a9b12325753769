// SPDX-License-Identifier: MIT
#include "debugger.h"

#include <format>
#include <iostream>

namespace figment::host {

std::string driver_address(const Guest& guest, const SessionOptions& session, const Judge& judge) {
  if (guest.gpus == 0) return "";
  Guest machine = guest;
  machine.trace.clear();
  machine.inject.clear();
  SessionOptions options = session;
  std::string address;
  options.start.arguments = {"cat", "/sys/module/figment/sections/.text"};
  options.on_stdout = [&](std::string_view bytes) { address += bytes; };
  options.on_stderr = {};
  const Verdict verdict = run_guest(machine, options, judge);
  if (verdict.exit_status() != 0) throw Failure("--gdb: " + verdict.explanation());
  while (address.ends_with('\n')) address.pop_back();
  return address;
}

std::string gdb_line(const fs::path& kernel_image, const fs::path& driver,
                     const std::string& address, const std::string& gdb) {
  std::string target = gdb.substr(gdb.find(':') + 1);
  target = target.substr(0, target.find(",server"));
  Argv argv{"gdb", kernel_image};
  if (!address.empty()) {
    argv.insert(argv.end(), {"-ex", "add-symbol-file " + driver.string() + " " + address});
  }
  argv.insert(argv.end(), {"-ex", "target remote " + target});
  return quoted(argv);
}

void wait_for_debugger(const VmOptions& vm, const Judge& judge, Prepared& prepared) {
  auto& [guest, session, driver] = prepared;
  std::cerr << "figment: --gdb: runs the machine once to see where the driver is\n";
  SessionOptions before = session;
  before.folder = session.folder / "address";
  const std::string address = driver_address(guest, before, judge);
  guest.deterministic->gdb = vm.gdb;
  guest.deterministic->stop_ns = vm.stop_ns;
  session.boot_limit = std::chrono::seconds(0);
  std::cerr << std::format("figment: the machine waits; attach with\n  {}\n",
                           gdb_line(guest.kernel, driver, address, vm.gdb));
}

}  // namespace figment::host
