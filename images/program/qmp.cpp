// SPDX-License-Identifier: MIT
#include "qmp.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <system_error>

namespace figment::host {

namespace {

using nlohmann::json;

// A line that is longer than this is no answer of QEMU.
constexpr std::size_t kLineMost = 64u << 20;

// Of a socket in a folder. The name of the folder may be too long for an address: it is reached
// through its descriptor.
sockaddr_un monitor_address(const Fd& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = std::format("/proc/self/fd/{}/monitor", folder.get());
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

Fd open_folder(const fs::path& folder) {
  return Fd(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

Fd unix_socket() {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw std::system_error(errno, std::generic_category(), "socket");
  return fd;
}

}  // namespace

Qmp::Qmp(Fd socket, std::chrono::milliseconds patience)
    : socket_(std::move(socket)), patience_(patience) {
  const json greeting = next_message(Clock::now() + patience_, "its greeting");
  if (!greeting.contains("QMP")) throw Failure("QEMU's monitor does not greet: " + greeting.dump());
  execute("qmp_capabilities");
}

json Qmp::execute(const std::string& command, const json& arguments) {
  const unsigned id = ++last_id_;
  json message{{"execute", command}, {"id", id}};
  if (!arguments.empty()) message["arguments"] = arguments;
  send(message);
  const auto deadline = Clock::now() + patience_;
  for (;;) {
    json answer = next_message(deadline, "an answer to " + command);
    if (answer.contains("event")) {
      events_.push_back(std::move(answer));
      continue;
    }
    // An error in what cannot be parsed has no id; everything else has ours.
    if (answer.contains("id") && answer["id"] != id) continue;
    if (const auto error = answer.find("error"); error != answer.end()) {
      throw QmpError(std::format("QEMU refuses {}: {}", command, error->value("desc", "no reason")),
                     error->value("class", ""));
    }
    if (const auto value = answer.find("return"); value != answer.end()) return *value;
    throw Failure("QEMU's monitor answers strangely: " + answer.dump());
  }
}

json Qmp::wait_event(const std::string& name, const Filter& filter) {
  return wait_event(name, filter, Clock::now() + patience_);
}

json Qmp::wait_event(const std::string& name, const Filter& filter, Clock::time_point deadline) {
  const auto wanted = [&](const json& event) {
    return event.value("event", "") == name &&
           (!filter || filter(event.value("data", json::object())));
  };
  for (std::size_t looked = 0;;) {
    const auto found = std::find_if(events_.begin() + static_cast<std::ptrdiff_t>(looked),
                                    events_.end(), wanted);
    if (found != events_.end()) {
      json data = found->value("data", json::object());
      events_.erase(found);
      return data;
    }
    looked = events_.size();
    json message = next_message(deadline, "the event " + name);
    // No command is under way: what is no event answers one that was given up.
    if (message.contains("event")) events_.push_back(std::move(message));
  }
}

json Qmp::next_message(Clock::time_point deadline, const std::string& for_what) {
  for (;;) {
    if (const std::size_t end = incoming_.find('\n'); end != incoming_.npos) {
      const std::string line = incoming_.substr(0, end);
      incoming_.erase(0, end + 1);
      json message = json::parse(line, nullptr, false);
      if (!message.is_object()) throw Failure("QEMU's monitor does not speak QMP: " + line);
      return message;
    }
    if (incoming_.size() > kLineMost) throw Failure("QEMU's monitor does not speak QMP");
    if (!wait_readable(socket_.get(), deadline)) {
      throw Failure("QEMU's monitor is silent, while we wait for " + for_what);
    }
    std::array<char, 65536> buffer;
    const ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) throw Failure("QEMU closed its monitor, while we wait for " + for_what);
    incoming_.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

void Qmp::send(const json& message) {
  const std::string line = message.dump() + "\n";
  // QEMU reads its monitor at any time, and a command is far smaller than a socket's buffer.
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t n = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Failure(std::string{"cannot write to QEMU's monitor: "} + std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

Fd listen_for_monitors(const fs::path& folder) {
  const Fd at = open_folder(folder);
  const sockaddr_un address = monitor_address(at);
  Fd fd = unix_socket();
  unlink(address.sun_path);  // of the guest before, in the same folder
  if (!at || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd.get(), 1) != 0) {
    throw std::system_error(errno, std::generic_category(), "a monitor in " + folder.string());
  }
  return fd;
}

std::optional<Fd> connect_to_monitor(const fs::path& folder) {
  const Fd at = open_folder(folder);
  if (!at) return std::nullopt;
  const sockaddr_un address = monitor_address(at);
  Fd fd = unix_socket();
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return std::nullopt;
  }
  return fd;
}

SocketPair::SocketPair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  ours = Fd(ends[0]);
  theirs = Fd(ends[1]);
}

void save_machine(Qmp& qmp, const fs::path& file) {
  qmp.execute("stop");
  qmp.execute("migrate-set-capabilities",
              {{"capabilities", json::array({{{"capability", "events"}, {"state", true}}})}});
  // A file takes what it is given: no need to go slowly, or to send anything twice.
  qmp.execute("migrate-set-parameters", {{"max-bandwidth", json(1ull << 40)}});
  qmp.execute("migrate", {{"uri", "file:" + file.string()}});
  const json data = qmp.wait_event("MIGRATION", [](const json& event) {
    const std::string status = event.value("status", "");
    return status == "completed" || status == "failed" || status == "cancelled";
  });
  if (data.value("status", "") == "completed") return;
  const json state = qmp.execute("query-migrate");
  throw Failure(std::format("the machine cannot be saved: {}",
                            state.value("error-desc", "migration " + data.value("status", ""))));
}

}  // namespace figment::host
