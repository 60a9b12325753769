// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>
#include <optional>
#include <system_error>
#include <thread>
#include <tuple>

#include "fault_readers.h"
#include "figment/buffer.h"
#include "figment/error.h"
#include "statistics.h"
#include "test_hmm.h"

namespace figment::bench {
namespace {

// What all peers have: memory of this process that gets the copies, present beforehand.
class PeerReader : public Reader {
 public:
  explicit PeerReader(std::uint64_t bytes) : target_(anonymous_memory(bytes)) {
    std::memset(target_.bytes().data(), 0xff, bytes);
  }
  void begin(std::span<std::byte>) override {}
  void end() override {}
  [[nodiscard]] std::span<std::byte> copied() const override { return target_.bytes(); }

  double read(const Reading& reading) override {
    return 1e-6 * microseconds_of([&] {
             if (reading.at_once) return copy(reading.memory, target_.bytes());
             for (const std::uint64_t n : reading.order) {
               const std::uint64_t at = n * reading.page_bytes;
               copy(reading.memory.subspan(at, reading.page_bytes),
                    target_.bytes().subspan(at, reading.page_bytes));
             }
           });
  }

 protected:
  // One place, or all of the memory.
  virtual void copy(std::span<const std::byte> from, std::span<std::byte> to) {
    std::memcpy(to.data(), from.data(), from.size());
  }

 private:
  Mapping target_;
};

// --- test_hmm ----------------------------------------------------------------

class HmmReader : public PeerReader {
 public:
  HmmReader(std::uint64_t bytes, std::string& why_not) : PeerReader(bytes) {
    why_not = module_.why_not();
    if (!why_not.empty()) return;
    try {
      mirror_.emplace();
    } catch (const std::system_error& error) {
      why_not = error.what();
    }
  }

  double read(const Reading& reading) override {
    faults_ = 0;
    return PeerReader::read(reading);
  }
  [[nodiscard]] std::optional<std::uint64_t> faults() const override { return faults_; }

 private:
  void copy(std::span<const std::byte> from, std::span<std::byte> to) override {
    const HmmResult result = mirror_->read(from, to);
    if (result.error) fail(result.error, "HMM_DMIRROR_READ");
    if (result.pages != from.size() / kPageBytes) fail(EIO, "HMM_DMIRROR_READ");
    faults_ += result.faults;
  }

  // In this order: the module goes when its file is closed.
  HmmModule module_;
  std::optional<HmmMirror> mirror_;
  std::uint64_t faults_ = 0;
};

// --- userfaultfd --------------------------------------------------------------

class UserfaultfdReader : public PeerReader {
 public:
  UserfaultfdReader(Answer answer, std::uint64_t bytes, std::uint64_t page_bytes,
                    std::string& why_not)
      : PeerReader(bytes),
        answer_(answer),
        page_bytes_(page_bytes),
        zeros_(anonymous_memory(page_bytes)),
        fd_(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))),
        stop_(::eventfd(0, EFD_CLOEXEC)) {
    uffdio_api api = {.api = UFFD_API, .features = 0, .ioctls = 0};
    if (!fd_ || !stop_ || ::ioctl(fd_.get(), UFFDIO_API, &api) != 0) {
      why_not = std::format("userfaultfd: {}", std::strerror(errno));
      return;
    }
    std::memset(zeros_.bytes().data(), 0, page_bytes);
    thread_ = std::jthread([this] { loop(); });
  }

  ~UserfaultfdReader() override {
    const std::uint64_t one = 1;
    if (thread_.joinable()) std::ignore = ::write(stop_.get(), &one, sizeof(one));
  }

  void begin(std::span<std::byte> memory) override {
    uffdio_register request = {
        .range = range_of(memory), .mode = UFFDIO_REGISTER_MODE_MISSING, .ioctls = 0};
    if (::ioctl(fd_.get(), UFFDIO_REGISTER, &request) != 0) fail(errno, "UFFDIO_REGISTER");
    watched_ = memory;
  }

  void end() override {
    uffdio_range range = range_of(watched_);
    if (::ioctl(fd_.get(), UFFDIO_UNREGISTER, &range) != 0) fail(errno, "UFFDIO_UNREGISTER");
  }

  double read(const Reading& reading) override {
    faults_ = 0;
    return PeerReader::read(reading);
  }
  [[nodiscard]] std::optional<std::uint64_t> faults() const override { return faults_; }

 private:
  static uffdio_range range_of(std::span<std::byte> memory) {
    return {.start = reinterpret_cast<std::uintptr_t>(memory.data()), .len = memory.size()};
  }

  void loop() {
    for (;;) {
      pollfd both[] = {{.fd = fd_.get(), .events = POLLIN, .revents = 0},
                       {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
      uffd_msg message = {};
      if (::poll(both, 2, -1) < 0 && errno != EINTR) std::abort();
      if (both[1].revents != 0) return;
      if (::read(fd_.get(), &message, sizeof(message)) != sizeof(message) ||
          message.event != UFFD_EVENT_PAGEFAULT) {
        continue;
      }
      ++faults_;
      answer(message.arg.pagefault.address & ~(page_bytes_ - 1));
    }
  }

  // Whoever cannot be answered would wait for ever: no way to go on.
  void answer(std::uint64_t at) {
    if (answer_ == Answer::zeropage) {
      uffdio_zeropage zeros = {
          .range = {.start = at, .len = page_bytes_}, .mode = 0, .zeropage = 0};
      if (::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &zeros) != 0) std::abort();
      return;
    }
    uffdio_copy copy = {.dst = at,
                        .src = reinterpret_cast<std::uintptr_t>(zeros_.bytes().data()),
                        .len = page_bytes_,
                        .mode = 0,
                        .copy = 0};
    if (::ioctl(fd_.get(), UFFDIO_COPY, &copy) != 0) std::abort();
  }

  Answer answer_;
  std::uint64_t page_bytes_;
  Mapping zeros_;
  UniqueFd fd_, stop_;
  std::span<std::byte> watched_;
  std::atomic<std::uint64_t> faults_ = 0;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace

std::unique_ptr<Reader> test_hmm_reader(std::uint64_t bytes, std::string& why_not) {
  auto reader = std::make_unique<HmmReader>(bytes, why_not);
  return why_not.empty() ? std::move(reader) : nullptr;
}

std::unique_ptr<Reader> userfaultfd_reader(Answer answer, std::uint64_t bytes,
                                           std::uint64_t page_bytes, std::string& why_not) {
  auto reader = std::make_unique<UserfaultfdReader>(answer, bytes, page_bytes, why_not);
  return why_not.empty() ? std::move(reader) : nullptr;
}

std::unique_ptr<Reader> cpu_reader(std::uint64_t bytes) {
  return std::make_unique<PeerReader>(bytes);
}

}  // namespace figment::bench
