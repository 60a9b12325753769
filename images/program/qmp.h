// SPDX-License-Identifier: MIT
//
// QEMU's monitor (QMP): commands with an answer each, and events, as JSON over a socket.
//
// QEMU gets the other end: `-chardev socket,id=qmp,fd=N -mon chardev=qmp,mode=control`. One command
// is under way at a time. Events that come in the meantime are kept until somebody waits for them.
#ifndef FIGMENT_PROGRAM_QMP_H
#define FIGMENT_PROGRAM_QMP_H

#include <chrono>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "process.h"

namespace figment::host {

// QEMU refused a command; `kind` is the class of its error, such as CommandNotFound.
struct QmpError : Failure {
  QmpError(const std::string& text, std::string kind_) : Failure(text), kind(std::move(kind_)) {}
  std::string kind;
};

class Qmp {
 public:
  // QEMU answers at once or is in trouble; a machine that is loaded needs more, but not that much.
  static constexpr std::chrono::minutes kPatience{5};

  // Shakes hands. Everything here throws Failure when QEMU closes the socket, says what is not QMP,
  // or is silent for longer than `patience`; and Interrupted, as every wait of this program.
  explicit Qmp(Fd socket, std::chrono::milliseconds patience = kPatience);

  // What the command returns. Throws QmpError when QEMU refuses it.
  nlohmann::json execute(const std::string& command,
                         const nlohmann::json& arguments = nlohmann::json::object());

  using Filter = std::function<bool(const nlohmann::json& data)>;
  // The data of the first event `name`, kept or to come, for which `filter` holds. What came before
  // it stays for others.
  nlohmann::json wait_event(const std::string& name, const Filter& filter = {});
  nlohmann::json wait_event(const std::string& name, const Filter& filter,
                            Clock::time_point deadline);
  // Events that nobody has waited for.
  std::size_t kept_events() const { return events_.size(); }

  int fd() const { return socket_.get(); }

 private:
  nlohmann::json next_message(Clock::time_point deadline, const std::string& for_what);
  void send(const nlohmann::json& message);

  Fd socket_;
  std::chrono::milliseconds patience_;
  std::string incoming_;
  std::deque<nlohmann::json> events_;
  unsigned last_id_ = 0;
};

// A socket in a folder that listens for monitors, whatever the length of the folder's name.
Fd listen_for_monitors(const fs::path& folder);
// Nothing, if nobody listens there (any more).
std::optional<Fd> connect_to_monitor(const fs::path& folder);

// Both ends of a socket for a child: ours, and the one that the child inherits.
struct SocketPair {
  SocketPair();
  Fd ours;
  Fd theirs;
};

// Saves the stopped or running machine into a file, from which `-incoming file:PATH` restores it.
// The machine is stopped afterwards. Throws Failure with QEMU's reason when it cannot be saved.
void save_machine(Qmp& qmp, const fs::path& file);

}  // namespace figment::host

#endif
