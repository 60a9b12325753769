// SPDX-License-Identifier: MIT
//
// What the host program and the agent in the guest say to each other.
//
// One virtio-serial port named "figment" carries frames both ways: a type, a length and that many
// bytes. One stream for everything keeps the order: when the exit frame has arrived, so has every
// byte that the command wrote before it.
//
//   agent  hello                       the kernel is up, root and modules are not there yet
//   host   start                       records: what to mount, load and run
//   agent  ready                       the command is about to run
//   both   data, resize, signal        until; with a recording, its pieces
//   agent  exit                        or, when the guest could not be set up, failed
//
// A deterministic guest has neither the port nor the host's frames: it writes its own to an I/O
// port, and finds the start frame in the first of its memory images; root, modules and tools are
// the next three. How many there are is on the kernel's command line, behind kImagesKey. It reads
// the frame twice: for mounts and modules, and for the rest after it has set its mark (a write to
// kMarkPort), where the machine may have been saved and restored with other orders.
//
// Records are NUL-terminated strings KEY=VALUE; their order counts where they are repeated.
#ifndef FIGMENT_GUEST_PROTOCOL_H
#define FIGMENT_GUEST_PROTOCOL_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace figment::guest {

inline constexpr std::string_view kPortName = "figment";
inline constexpr std::string_view kImagesKey = "figment.images=";
inline constexpr std::string_view kImageTag = "image";  // of mounts, with a number behind it
inline constexpr std::uint16_t kSpeakPort = 0xe9;
inline constexpr std::uint16_t kMarkPort = 0xea;

enum class FrameType : std::uint8_t {
  hello = 1,    // agent: kernel release
  start = 2,    // host: records, see Start
  ready = 3,    // agent: nothing
  stdin_data,   // host; empty: end of file
  stdout_data,  // agent
  stderr_data,  // agent
  resize,       // host: rows and columns as two decimal numbers, "24 80"
  signal,       // host: number in decimal, for the process group of the command
  exit,         // agent: wait status of the command, 0..255, in decimal
  failed,       // agent: why the guest could not be set up, in words
  mark,         // agent of a deterministic guest: the next thing that it does is to set its mark
  recorded,     // agent: what has been written to Start::recording
};

struct Frame {
  FrameType type{};
  std::string payload;
};

inline constexpr std::size_t kHeaderBytes = 5;
// Bounds what a broken peer can make the other side allocate.
inline constexpr std::size_t kPayloadBytesMax = std::size_t{1} << 20;

// Header: type, then the length in little-endian.
inline std::string encode(FrameType type, std::string_view payload) {
  std::string out;
  out.reserve(kHeaderBytes + payload.size());
  out.push_back(static_cast<char>(type));
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>(payload.size() >> shift & 0xff));
  }
  out.append(payload);
  return out;
}

// Cuts a byte stream into frames. Feed it what has arrived, in any pieces.
class Decoder {
 public:
  void feed(std::string_view bytes) { pending_.append(bytes); }

  // The next whole frame. Throws std::runtime_error on a length that no peer of ours sends.
  std::optional<Frame> next() {
    if (pending_.size() - at_ < kHeaderBytes) return compact();
    std::uint32_t length = 0;
    for (unsigned i = 0; i < 4; ++i) {
      length |= std::uint32_t{static_cast<unsigned char>(pending_[at_ + 1 + i])} << (8 * i);
    }
    if (length > kPayloadBytesMax) throw std::runtime_error("agent protocol: frame too long");
    if (pending_.size() - at_ < kHeaderBytes + length) return compact();
    Frame frame{static_cast<FrameType>(pending_[at_]), pending_.substr(at_ + kHeaderBytes, length)};
    at_ += kHeaderBytes + length;
    return frame;
  }

 private:
  std::optional<Frame> compact() {
    pending_.erase(0, std::exchange(at_, 0));
    return std::nullopt;
  }

  std::string pending_;
  std::size_t at_ = 0;
};

// A 9p share of the host: its mount tag, where it goes, and whether the guest may write. In a
// deterministic guest `tag` is kImageTag and the number of an erofs image.
struct Mount {
  std::string tag;
  std::string path;
  bool writable = false;
  bool operator==(const Mount&) const = default;
};

// A module in the guest's file system, with its parameters.
struct Module {
  std::string path;
  std::string parameters;
  bool operator==(const Module&) const = default;
};

// What the guest is to do: the payload of `start`.
struct Start {
  std::vector<Mount> mounts;
  std::vector<Module> modules;
  std::vector<std::string> environment;  // NAME=VALUE
  std::vector<std::string> arguments;    // the command; never empty
  std::string directory = "/";           // of the command
  bool terminal = false;                 // give it a terminal
  unsigned rows = 24;
  unsigned columns = 80;
  // A pipe with a name, made for the command: what is written to it goes to the host. Empty: none.
  std::string recording;
  bool operator==(const Start&) const = default;
};

inline std::string encode(const Start& start) {
  std::string out;
  const auto record = [&out](std::string_view key, std::string_view value) {
    out.append(key).append("=").append(value).push_back('\0');
  };
  for (const Mount& mount : start.mounts) {
    record(mount.writable ? "share-rw" : "share-ro", mount.tag + " " + mount.path);
  }
  for (const Module& module : start.modules) record("module", module.path + " " + module.parameters);
  for (const std::string& variable : start.environment) record("env", variable);
  for (const std::string& argument : start.arguments) record("arg", argument);
  record("cwd", start.directory);
  if (start.terminal) {
    record("terminal", std::to_string(start.rows) + " " + std::to_string(start.columns));
  }
  if (!start.recording.empty()) record("recording", start.recording);
  return out;
}

// The first word of `text` and the rest after one blank.
inline std::pair<std::string, std::string> split_word(std::string_view text) {
  const std::size_t blank = std::min(text.find(' '), text.size());
  return {std::string{text.substr(0, blank)},
          std::string{text.substr(std::min(blank + 1, text.size()))}};
}

// Throws std::runtime_error on a record that it does not know.
inline Start decode_start(std::string_view payload) {
  Start start;
  while (!payload.empty()) {
    const std::size_t end = payload.find('\0');
    const std::string_view record = payload.substr(0, end);
    payload.remove_prefix(end == payload.npos ? payload.size() : end + 1);
    const std::size_t equals = record.find('=');
    if (equals == record.npos) throw std::runtime_error("agent protocol: record without '='");
    const std::string_view key = record.substr(0, equals);
    const std::string value{record.substr(equals + 1)};
    if (key == "share-rw" || key == "share-ro") {
      auto [tag, path] = split_word(value);
      start.mounts.push_back({.tag = tag, .path = path, .writable = key == "share-rw"});
    } else if (key == "module") {
      auto [path, parameters] = split_word(value);
      start.modules.push_back({.path = path, .parameters = parameters});
    } else if (key == "env") {
      start.environment.push_back(value);
    } else if (key == "arg") {
      start.arguments.push_back(value);
    } else if (key == "cwd") {
      start.directory = value;
    } else if (key == "terminal") {
      auto [rows, columns] = split_word(value);
      start.terminal = true;
      start.rows = static_cast<unsigned>(std::stoul(rows));
      start.columns = static_cast<unsigned>(std::stoul(columns));
    } else if (key == "recording") {
      start.recording = value;
    } else {
      throw std::runtime_error("agent protocol: unknown record " + std::string{key});
    }
  }
  return start;
}

}  // namespace figment::guest

#endif
