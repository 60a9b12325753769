// SPDX-License-Identifier: MIT
#include "bare_machine.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <format>

#include "workshop.h"

namespace figment::host {

namespace {

using nlohmann::json;

// PCI Express root bus, slot 4.
constexpr std::uint32_t kFunction = 4 << 11;

std::uint64_t number(std::string_view text, int base) {
  std::uint64_t value = 0;
  if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw Failure("QEMU says no number: " + std::string{text});
  }
  return value;
}

}  // namespace

BareMachine::BareMachine(const std::string& properties) { start(properties, false); }

BareMachine::BareMachine(const std::string& properties, const fs::path& saved) {
  start(properties, true);
  restore(saved);
}

void BareMachine::start(const std::string& properties, bool incoming) {
  // Both are there before any test runs.
  Workshop workshop(Places::from_environment(), true);
  SocketPair qtest, qmp;
  const Fd log(open((folder_.path() / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  Argv argv = {workshop.qemu(), "-nodefaults", "-no-user-config", "-display", "none",
               // The CPUs never run it, but there is no machine without a BIOS.
               "-L", "/usr/share/qemu", "-L", "/usr/share/seabios",
               "-machine", "q35", "-accel", "qtest",
               "-m", std::to_string(kRamBytes >> 20) + "M",
               "-chardev", "socket,id=qtest,fd=" + std::to_string(qtest.theirs.get()),
               "-object", "qtest,id=qtest0,chardev=qtest,log=none",
               "-chardev", "socket,id=qmp,fd=" + std::to_string(qmp.theirs.get()),
               "-mon", "chardev=qmp,mode=control",
               "-device", std::format("figment,addr=4.0,vram={},model={},{}", kVramBytes,
                                      workshop.model().string(), properties)};
  if (incoming) argv.insert(argv.end(), {"-incoming", "defer"});
  qemu_ = std::make_unique<Child>(argv, ChildOptions{.directory = {},
                                                     .environment = {},
                                                     .input = -1,
                                                     .output = log.get(),
                                                     .error = log.get(),
                                                     .keep = {qtest.theirs.get(), qmp.theirs.get()}});
  qtest_ = std::move(qtest.ours);
  qtest.theirs = Fd();
  qmp.theirs = Fd();
  try {
    qmp_ = std::make_unique<Qmp>(std::move(qmp.ours));
  } catch (const Failure& failure) {
    throw Failure(std::string{failure.what()} + ": " + read_file(folder_.path() / "log"));
  }
}

void BareMachine::restore(const fs::path& saved) {
  qmp_->execute("migrate-set-capabilities",
                {{"capabilities", json::array({{{"capability", "events"}, {"state", true}}})}});
  qmp_->execute("migrate-incoming", {{"uri", "file:" + saved.string()}});
  qmp_->wait_event("MIGRATION", [](const json& data) {
    if (data["status"] == "failed") throw Failure("QEMU cannot restore the machine");
    return data["status"] == "completed";
  });
}

std::string BareMachine::complaint(const std::string& properties, const fs::path& saved) {
  BareMachine machine;
  machine.start(properties, true);
  try {
    machine.restore(saved);
    return "it was restored";
  } catch (const Failure&) {
    // The reason is what QEMU writes; then it ends.
  }
  const auto status = machine.qemu_->wait(Clock::now() + Qmp::kPatience);
  if (status != 1) throw Failure("QEMU ends strangely");
  return read_file(machine.folder_.path() / "log");
}

std::string BareMachine::ask(const std::string& command) {
  const std::string line = command + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t n = send(qtest_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Failure("QEMU is gone");
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  for (;;) {
    if (const std::size_t end = incoming_.find('\n'); end != incoming_.npos) {
      const std::string answer = incoming_.substr(0, end);
      incoming_.erase(0, end + 1);
      if (answer == "OK") return "";
      if (answer.starts_with("OK ")) return answer.substr(3);
      throw Failure(command.substr(0, 60) + ": QEMU says " + answer);
    }
    std::array<char, 65536> buffer;
    if (!wait_readable(qtest_.get(), Clock::now() + Qmp::kPatience)) throw Failure("QEMU is silent");
    const ssize_t n = recv(qtest_.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) throw Failure("QEMU is gone");
    incoming_.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

std::uint64_t BareMachine::peek(const std::string& command, std::uint64_t address) {
  return number(ask(std::format("{} {:#x}", command, address)), 16);
}

void BareMachine::poke(const std::string& command, std::uint64_t address, std::uint64_t value) {
  ask(std::format("{} {:#x} {:#x}", command, address, value));
}

void BareMachine::write(std::uint64_t address, const std::string& bytes) {
  std::string hex;
  for (const unsigned char c : bytes) hex += std::format("{:02x}", c);
  ask(std::format("write {:#x} {:#x} 0x{}", address, bytes.size(), hex));
}

std::string BareMachine::read(std::uint64_t address, std::uint64_t bytes) {
  return ask(std::format("read {:#x} {:#x}", address, bytes));
}

void BareMachine::pass(std::uint64_t ns) {
  now_ns_ = number(ask(std::format("clock_step {}", ns)), 10);
}

void BareMachine::config_write(std::uint32_t offset, std::uint32_t value) {
  poke("outl", 0xcf8, 0x8000'0000u | kFunction | offset);
  poke("outl", 0xcfc, value);
}

std::uint32_t BareMachine::config_read(std::uint32_t offset) {
  poke("outl", 0xcf8, 0x8000'0000u | kFunction | offset);
  return static_cast<std::uint32_t>(peek("inl", 0xcfc));
}

void BareMachine::set_up_pci(std::uint64_t messages) {
  config_write(0x10, kRegisters);
  config_write(0x14, kMsix);
  config_write(0x18, kVram);
  config_write(0x20, kDoorbells);
  config_write(0x04, 0x6);  // memory and bus master
  for (std::uint32_t v = 0; v < 2; ++v) {
    write64(kMsix + v * 16, messages + v * 4);
    write32(kMsix + v * 16 + 8, v + 1);
    write32(kMsix + v * 16 + 12, 0);  // not masked
  }
  std::uint32_t capability = config_read(0x34) & 0xff;
  while ((config_read(capability) & 0xff) != 0x11) {
    capability = config_read(capability) >> 8 & 0xff;
    if (capability == 0) throw Failure("the device has no MSI-X");
  }
  config_write(capability, config_read(capability) | 1u << 31);
}

void BareMachine::save(const fs::path& file) { save_machine(*qmp_, file); }

void BareMachine::resume_at(std::uint64_t now_ns) {
  // This clock is the test's, so it is not in the stream.
  now_ns_ = number(ask(std::format("clock_set {}", now_ns)), 10);
  qmp_->execute("cont");
}

}  // namespace figment::host
