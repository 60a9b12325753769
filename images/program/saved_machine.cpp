// SPDX-License-Identifier: MIT
#include "saved_machine.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <format>
#include <iostream>

#include "deterministic.h"

namespace figment::host {

namespace {

// Kept beside the one in use: machines of other options, or of the driver before the last edit.
constexpr std::size_t kKept = 4;
// A boot takes seconds; far beyond that nothing comes any more.
constexpr std::chrono::minutes kBootLimit{5};
// All restored machines are descended from this one.
constexpr std::uint64_t kBootSeed = 0;

Inputs inputs_of(const Guest& guest, const guest::Start& start, const GpuProperties& asked) {
  Inputs inputs;
  const auto add_file = [&](const std::string& label, const fs::path& file) {
    inputs.add(label, file.string() + " " + file_stamp(file));
  };
  add_file("qemu", guest.qemu);
  add_file("model", guest.model);
  add_file("kernel", guest.kernel);
  add_file("initramfs", guest.initramfs);
  const auto& images = guest.deterministic->images;
  for (std::size_t i = 1; i < images.size(); ++i) {
    // Images of small folders are packed anew each time: their content counts.
    const bool small = images[i].bytes < (64 << 20);
    inputs.add("image " + std::to_string(i),
               images[i].file.string() + std::to_string(images[i].bytes) +
                   (small ? digest_of(images[i].file) : file_stamp(images[i].file)));
  }
  guest::Start before_mark{.mounts = start.mounts, .modules = start.modules};
  inputs.add("orders", guest::encode(before_mark));
  inputs.add("machine", std::format("{} cpus, {} MiB, {} gpus, {}", guest.cpus, guest.memory_mib,
                                    guest.gpus, guest.append));
  for (const auto& [name, value] : asked) inputs.add("gpu " + name, value);
  return inputs;
}

void remove_old(const fs::path& machines, const std::string& used) {
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(machines)) {
    if (entry.is_directory() && entry.path().filename() != used) old.push_back(entry.path());
  }
  std::ranges::sort(old, std::greater{}, [](const fs::path& path) { return fs::last_write_time(path); });
  for (std::size_t i = kKept; i < old.size(); ++i) fs::remove_all(old[i]);
}

// Reads frames until the agent is about to set its mark.
void wait_for_mark(const Fd& agent, Child& qemu, const fs::path& qemu_log) {
  const auto deadline = Clock::now() + kBootLimit;
  guest::Decoder decoder;
  for (;;) {
    if (!wait_readable(agent.get(), deadline)) throw Failure("the guest did not get to its mark");
    std::array<char, 4096> buffer;
    const ssize_t n = read(agent.get(), buffer.data(), buffer.size());
    if (n <= 0) {
      qemu.wait(Clock::now() + std::chrono::seconds(10));
      throw Failure("the guest died before its mark; QEMU said:\n" + read_file(qemu_log));
    }
    decoder.feed({buffer.data(), static_cast<std::size_t>(n)});
    while (const auto frame = decoder.next()) {
      if (frame->type == guest::FrameType::mark) return;
      if (frame->type == guest::FrameType::failed) {
        throw Failure("the guest could not be set up: " + frame->payload);
      }
    }
  }
}

void wait_until_paused(Qmp& qmp) {
  const auto deadline = Clock::now() + std::chrono::minutes(1);
  // The machine has stopped already, or does within microseconds.
  while (qmp.execute("query-status").at("running").get<bool>()) {
    if (Clock::now() > deadline) throw Failure("the machine did not stop at its mark");
    wait_readable(-1, Clock::now() + std::chrono::milliseconds(5));
  }
}

// Memory in files is not in the stream.
void leave_memory_out(Qmp& qmp) {
  qmp.execute("migrate-set-capabilities",
              {{"capabilities",
                nlohmann::json::array({{{"capability", "x-ignore-shared"}, {"state", true}}})}});
}

void boot_and_save(Guest guest, const SessionOptions& session, const fs::path& into) {
  SocketPair agent, monitor;
  Deterministic& machine = *guest.deterministic;
  machine.save = true;
  machine.memory = into / "memory";
  machine.monitor_fd = monitor.theirs.get();
  machine.images.front() = write_orders(into / "orders", session.start);
  guest.console = into / "console.log";
  guest.agent_fd = agent.theirs.get();
  guest.trace.clear();
  const fs::path qemu_log = into / "qemu.log";
  const Fd log(open(qemu_log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  const Argv argv = qemu_argv(guest);
  write_file(into / "command", quoted(argv) + "\n");
  Child qemu(argv, {.directory = {},
                    .environment = {},
                    .input = -1,
                    .output = log.get(),
                    .error = log.get(),
                    .keep = {agent.theirs.get(), monitor.theirs.get()}});
  agent.theirs = Fd();
  monitor.theirs = Fd();
  wait_for_mark(agent.ours, qemu, qemu_log);
  // Not before: a command to the monitor while the machine runs could disturb its turns.
  Qmp qmp(std::move(monitor.ours));
  wait_until_paused(qmp);
  leave_memory_out(qmp);
  save_machine(qmp, into / "state");
  qmp.execute("quit");
  qemu.wait(Clock::now() + std::chrono::minutes(1));
}

}  // namespace

SavedMachine saved_machine(const Workshop& workshop, const Prepared& prepared,
                           const GpuProperties& asked) {
  const Inputs inputs = inputs_of(prepared.guest, prepared.session.start, asked);
  const fs::path machines = workshop.places().build / "machines";
  const fs::path entry = machines / inputs.key();
  const SavedMachine saved{.memory = entry / "memory",
                           .state = entry / "state",
                           .console = entry / "console.log"};
  fs::create_directories(machines);
  const Lock lock(machines / ".lock",
                  [] { std::cerr << "figment: waiting for another run that saves a machine\n"; });
  if (fs::exists(entry)) {
    fs::last_write_time(entry, fs::file_time_type::clock::now());  // not the next to go
    return saved;
  }
  remove_old(machines, inputs.key());
  const fs::path partial = entry.string() + ".partial";
  fs::remove_all(partial);
  fs::create_directories(partial);
  std::cerr << "figment: boots the machine that is restored for every seed\n";
  Prepared boot = prepared;
  set_seed(boot.guest, asked, kBootSeed);
  boot_and_save(boot.guest, boot.session, partial);
  fs::rename(partial, entry);
  return saved;
}

void restore_state(Qmp& qmp, const fs::path& state) {
  leave_memory_out(qmp);
  // There is no network to announce the machine to, which would need timers of the host's clock.
  qmp.execute("migrate-set-parameters", {{"announce-rounds", 0}});
  qmp.execute("migrate-set-capabilities",
              {{"capabilities",
                nlohmann::json::array({{{"capability", "events"}, {"state", true}}})}});
  qmp.execute("migrate-incoming", {{"uri", "file:" + state.string()}});
  const nlohmann::json end = qmp.wait_event("MIGRATION", [](const nlohmann::json& event) {
    const std::string status = event.value("status", "");
    return status == "completed" || status == "failed";
  });
  if (end.value("status", "") != "completed") throw Failure("the saved machine cannot be restored");
  // It was saved while it stood at its mark.
  qmp.execute("cont");
}

Guest restored(Guest guest, const SavedMachine& saved) {
  guest.deterministic->memory = saved.memory;
  guest.deterministic->state = saved.state;
  return guest;
}

}  // namespace figment::host
