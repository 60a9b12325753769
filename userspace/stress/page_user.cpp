// SPDX-License-Identifier: MIT
//
// The users of pages that are no GPU.
#include "page_user.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <optional>
#include <stdexcept>
#include <thread>

#include "figment/error.h"
#include "fixed_buffers.h"
#include "page_kind.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);

[[noreturn]] void cannot(const char* what) {
  throw std::logic_error(std::format("this user of pages cannot {}", what));
}

// --- a direct read ------------------------------------------------------------

/// Its pages are taken by each read, in whatever state they are then.
class DirectRead : public PageUser {
 public:
  explicit DirectRead(SlowDisk& disk)
      : disk_(disk), file_(::open(disk.path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)) {
    if (!file_) fail(errno, std::format("open of {}", disk.path()));
  }
  ~DirectRead() override {
    disk_.let_go();
    if (thread_.joinable()) thread_.join();
  }

  void take(ComparedMemory memory) override {
    sectors_.clear();
    for (std::uint32_t page = 0; page < memory.pages(); ++page) {
      sectors_.push_back({memory.stamps(page).data(), kSectorBytes});
    }
  }

  void begin(Sequence n, bool held) override {
    const std::uint64_t asked = disk_.asked();
    if (held) disk_.hold();
    thread_ = std::thread([this, n] {
      got_ = ::preadv(file_.get(), sectors_.data(), static_cast<int>(sectors_.size()),
                      static_cast<off_t>(SlowDisk::offset(n)));
      if (got_ < 0) error_ = errno;
    });
    // What the disk has been asked for has its pages.
    if (held && !poll_until([&] { return disk_.asked() >= asked + bytes(); }, after(kStuck))) {
      throw std::runtime_error("a direct read has not reached its device");
    }
  }

  void let_go() override { disk_.let_go(); }

  void finish() override {
    thread_.join();
    if (got_ < 0) fail(error_, "a direct read");
    if (static_cast<std::uint64_t>(got_) != bytes())
      throw std::runtime_error("a short direct read");
  }

  std::vector<Word> read() override { cannot("read"); }

 private:
  [[nodiscard]] std::uint64_t bytes() const { return sectors_.size() * kSectorBytes; }

  SlowDisk& disk_;
  UniqueFd file_;
  std::vector<iovec> sectors_;
  std::thread thread_;
  ssize_t got_ = 0;
  int error_ = 0;
};

// --- an io_uring --------------------------------------------------------------

/// Pins the range for as long as it is there. What goes into it comes from a memfd, and what is in
/// it goes to one: copies that the kernel makes by the pages that it holds.
class IoUring : public PageUser {
 public:
  IoUring() : file_(::memfd_create("figment-stress", MFD_CLOEXEC)) {
    if (!file_) fail(errno, "memfd_create");
  }

  void take(ComparedMemory memory) override {
    memory_ = memory;
    if (::ftruncate(file_.get(), static_cast<off_t>(file_bytes())) != 0) fail(errno, "ftruncate");
    ring_.emplace(memory.bytes());
  }

  void begin(Sequence n, bool) override { next_ = n; }
  void let_go() override {}

  void finish() override {
    std::vector<Word> words(words_of_sectors());
    for (std::uint32_t page = 0; page < memory_->pages(); ++page) {
      std::fill_n(words.begin() + page * kSectorWords, kSectorWords,
                  word_of({Who::user, next_}, page));
    }
    const auto bytes = std::as_bytes(std::span(words));
    if (::pwrite(file_.get(), bytes.data(), bytes.size(), 0) !=
        static_cast<ssize_t>(bytes.size())) {
      fail(errno, "write of a memfd");
    }
    move(FixedBuffers::Move::from_file, stamps_at);
  }

  std::vector<Word> read() override {
    move(FixedBuffers::Move::to_file, marks_at);
    std::vector<Word> words(words_of_sectors());
    const std::size_t bytes = words.size() * sizeof(Word);
    if (::pread(file_.get(), words.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
      fail(errno, "read of a memfd");
    }
    return words;
  }

 private:
  [[nodiscard]] std::size_t words_of_sectors() const { return memory_->pages() * kSectorWords; }
  [[nodiscard]] std::uint64_t file_bytes() const {
    return std::uint64_t{memory_->pages()} * kSectorBytes;
  }

  template <typename At>
  void move(FixedBuffers::Move direction, At&& at) {
    for (std::uint32_t page = 0; page < memory_->pages(); ++page) {
      ring_->add({.move = direction,
                  .file = file_.get(),
                  .offset = std::uint64_t{page} * kSectorBytes,
                  .memory = memory_->bytes().subspan(at(page), kSectorBytes)});
    }
    ring_->finish();
  }

  UniqueFd file_;
  std::optional<ComparedMemory> memory_;
  std::optional<FixedBuffers> ring_;
  Sequence next_ = 0;
};

// --- a pipe -------------------------------------------------------------------

/// Holds references of the pages, and does not pin them: what a process writes later need not be in
/// them any more. vmsplice(2) tells it to leave them alone.
class PipeOfPages : public PageUser {
 public:
  PipeOfPages() {
    make(out_, in_);
    make(peek_out_, peek_in_);
  }

  void take(ComparedMemory memory) override {
    pages_ = memory.pages();
    for (const UniqueFd* in : {&in_, &peek_in_}) {
      const auto room = static_cast<int>(pages_ * kPageBytes);
      if (::fcntl(in->get(), F_SETPIPE_SZ, room) < 0) fail(errno, "F_SETPIPE_SZ");
    }
    auto left = memory.bytes();
    while (!left.empty()) {
      const iovec pages = {left.data(), left.size()};
      const ssize_t taken = ::vmsplice(in_.get(), &pages, 1, 0);
      if (taken <= 0) fail(errno, "vmsplice");
      left = left.subspan(static_cast<std::size_t>(taken));
    }
  }

  void begin(Sequence, bool) override { cannot("write"); }
  void let_go() override { cannot("write"); }
  void finish() override { cannot("write"); }

  std::vector<Word> read() override {
    // Through a second pipe with the same pages: the first one keeps them.
    std::vector<std::byte> bytes(pages_ * kPageBytes);
    if (::tee(out_.get(), peek_in_.get(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      fail(errno, "tee");
    }
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t got = ::read(peek_out_.get(), bytes.data() + at, bytes.size() - at);
      if (got <= 0) fail(errno, "read of a pipe");
      at += static_cast<std::size_t>(got);
    }
    std::vector<Word> words(pages_ * kSectorWords);
    ComparedMemory(bytes).copy_marks(words);
    return words;
  }

 private:
  static void make(UniqueFd& out, UniqueFd& in) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno, "pipe2");
    out = UniqueFd(ends[0]);
    in = UniqueFd(ends[1]);
  }

  std::uint32_t pages_ = 0;
  UniqueFd out_, in_;
  UniqueFd peek_out_, peek_in_;
};

}  // namespace

std::unique_ptr<PageUser> make_direct_read(SlowDisk* disk) {
  if (!disk || !disk->lacks().empty()) {
    throw Lacks(disk ? disk->lacks() : "there is no block device to read from");
  }
  return std::make_unique<DirectRead>(*disk);
}

std::unique_ptr<PageUser> make_io_uring() {
  return std::make_unique<IoUring>();
}

std::unique_ptr<PageUser> make_pipe() {
  return std::make_unique<PipeOfPages>();
}

std::unique_ptr<PageUser> make_user(const PageUserConfig& config) {
  switch (config.kind) {
    case UserKind::direct_read:
      return make_direct_read(config.disk);
    case UserKind::io_uring:
      return make_io_uring();
    case UserKind::vmsplice:
      return make_pipe();
    case UserKind::gpu:
      return make_gpu_user(config);
  }
  throw std::logic_error("a user of pages of no kind");
}

}  // namespace figment::stress
