// SPDX-License-Identifier: MIT
#include "slow_disk.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <format>
#include <tuple>
#include <vector>

#include "figment/error.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(30);

/// Far more than any run reads; nothing of it is stored.
constexpr std::uint64_t kDiskBytes = std::uint64_t{1} << 40;

constexpr timespec kLook = {.tv_sec = 0, .tv_nsec = 200'000};

bool receive(int socket, void* to, std::size_t bytes) {
  return ::recv(socket, to, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
}

bool send_all(int socket, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

/// The first sectors are zero: the kernel looks for partitions there.
void fill_sector(std::uint64_t sector, std::span<Word, kSectorWords> words) {
  const auto page = static_cast<std::uint32_t>(sector % SlowDisk::kPages);
  const auto n = static_cast<Sequence>(sector / SlowDisk::kPages);
  std::ranges::fill(words, n == 0 ? 0 : word_of({Who::user, n}, page));
}

bool answer(int socket, const nbd_request& request) {
  const bool reads = be32toh(request.type) == NBD_CMD_READ;
  nbd_reply reply = {};
  reply.magic = htobe32(NBD_REPLY_MAGIC);
  reply.error = htobe32(reads ? 0 : EROFS);
  std::memcpy(&reply.cookie, &request.cookie, sizeof(reply.cookie));
  if (!send_all(socket, std::as_bytes(std::span(&reply, 1)))) return false;
  if (!reads) return true;
  std::vector<Word> words(be32toh(request.len) / sizeof(Word));
  const std::uint64_t first = be64toh(request.from) / kSectorBytes;
  for (std::size_t at = 0; at + kSectorWords <= words.size(); at += kSectorWords) {
    fill_sector(first + at / kSectorWords,
                std::span<Word, kSectorWords>(words.data() + at, kSectorWords));
  }
  return send_all(socket, std::as_bytes(std::span(words)));
}

/// Not attached to anything.
std::string free_nbd() {
  for (int number = 0; number < 16; ++number) {
    const auto block = std::format("/sys/block/nbd{}", number);
    if (std::filesystem::exists(block) && !std::filesystem::exists(block + "/pid")) {
      return std::format("/dev/nbd{}", number);
    }
  }
  return {};
}

bool can_read(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  alignas(kPageBytes) std::array<Word, kSectorWords> sector;
  return file &&
         ::pread(file.get(), sector.data(), kSectorBytes,
                 static_cast<off_t>(SlowDisk::offset(1))) == kSectorBytes &&
         sector[0] == word_of({Who::user, 1}, 0);
}

}  // namespace

void SlowDisk::serve(int socket, State& state) {
  std::vector<nbd_request> waiting;
  for (;;) {
    pollfd more = {.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = ::ppoll(&more, 1, waiting.empty() ? nullptr : &kLook, nullptr);
    if (ready > 0) {
      nbd_request request;
      if (!receive(socket, &request, sizeof(request))) ::_exit(0);
      if (be32toh(request.type) == NBD_CMD_DISC) ::_exit(0);
      waiting.push_back(request);
      state.asked += be32toh(request.len);
    }
    if (state.held) continue;
    for (const nbd_request& request : waiting) {
      if (!answer(socket, request)) ::_exit(1);
    }
    waiting.clear();
  }
}

void SlowDisk::attach(const std::string& path, int socket) {
  const UniqueFd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto set = [&](unsigned long what, unsigned long value) {
    return ::ioctl(device.get(), what, value) == 0;
  };
  if (!set(NBD_SET_BLKSIZE, kSectorBytes) || !set(NBD_SET_SIZE_BLOCKS, kDiskBytes / kSectorBytes) ||
      !set(NBD_SET_FLAGS, NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY) ||
      !set(NBD_SET_SOCK, static_cast<unsigned long>(socket))) {
    ::_exit(errno);
  }
  std::ignore = ::ioctl(device.get(), NBD_DO_IT);
  set(NBD_CLEAR_SOCK, 0);
  ::_exit(0);
}

SlowDisk::SlowDisk() {
  if (!std::filesystem::exists("/sys/block/nbd0")) std::ignore = std::system("modprobe -q nbd");
  path_ = free_nbd();
  if (path_.empty()) {
    lacks_ = "this kernel has no nbd, and no other device waits until it is told";
    return;
  }
  start();
}

void SlowDisk::start() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail(errno, "socketpair");
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  server_ = ::fork();
  if (server_ == 0) {
    die_with_parent();
    theirs = UniqueFd();
    serve(ours.get(), *state_);
  }
  keeper_ = ::fork();
  if (keeper_ == 0) {
    die_with_parent();
    ours = UniqueFd();
    attach(path_, theirs.get());
  }
  if (server_ < 0 || keeper_ < 0) fail(errno, "fork of the server of a block device");
  const bool there = poll_until([&] { return has_ended(keeper_) || can_read(path_); },
                                after(kStuck), std::chrono::milliseconds(5));
  if (!there || has_ended(keeper_)) {
    lacks_ = "an nbd could not be attached";
    if (has_ended(keeper_)) {
      const auto error = exit_status(std::exchange(keeper_, -1), after(kStuck));
      lacks_ += std::format(": {}", std::strerror(error.value_or(0)));
    }
  }
}

SlowDisk::~SlowDisk() {
  let_go();
  if (keeper_ > 0) {
    const UniqueFd device(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    ::ioctl(device.get(), NBD_DISCONNECT);
    std::ignore = exit_status(keeper_, after(kStuck));
  }
  if (server_ > 0) {
    ::kill(server_, SIGTERM);
    std::ignore = exit_status(server_, after(kStuck));
  }
}

}  // namespace figment::stress
