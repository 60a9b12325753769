// SPDX-License-Identifier: MIT
#include "session.h"

#include "deterministic.h"
#include "injection.h"
#include "saved_machine.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <iostream>

namespace figment::host {

namespace {

using guest::FrameType;
using std::chrono::milliseconds;

// From the agent's last word to the end of QEMU: a reboot with nothing left to do.
constexpr std::chrono::minutes kEndLimit{1};
// Input that waits for the guest, before we stop reading ours.
constexpr std::size_t kOutgoingBytes = 256 * 1024;
constexpr char kEscape = 0x1d;  // Ctrl-]

// Our terminal without line editing and signals, for as long as it lives.
class RawTerminal {
 public:
  RawTerminal() {
    if (tcgetattr(STDIN_FILENO, &old_) != 0) return;
    termios raw = old_;
    cfmakeraw(&raw);
    active_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  }
  RawTerminal(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (active_) tcsetattr(STDIN_FILENO, TCSADRAIN, &old_);
  }

 private:
  termios old_{};
  bool active_ = false;
};

Fd window_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGWINCH);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  return Fd(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

class Session {
 public:
  Session(const Guest& guest, const SessionOptions& options, Fd socket, Child child)
      : options_(options), socket_(std::move(socket)), qemu_(std::move(child)) {
    verdict_.console = guest.console;
    fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    if (!guest.deterministic) send(FrameType::start, encode(options.start));
    if (options.terminal) raw_.emplace(), window_ = window_signals();
    input_open_ = options.forward_stdin || options.terminal;
    if (options.timeout.count() > 0) deadline_ = started_ + options.timeout;
  }

  Verdict run() {
    while (!qemu_.poll()) {
      if (!turn()) break;
    }
    drain();
    verdict_.until_end = since_start();
    if (!verdict_.status && !verdict_.timed_out && verdict_.trouble.empty()) {
      verdict_.trouble = ready_ ? "the guest died while the command ran"
                                : "the guest died before the command could run";
    }
    if (const auto status = qemu_.poll(); !killed_ && status && *status != 0) {
      verdict_.trouble += std::format("{}QEMU ended with status {}",
                                      verdict_.trouble.empty() ? "" : "; ", *status);
    }
    return std::move(verdict_);
  }

 private:
  Clock::time_point limit() const {
    if (ended_) return std::min(deadline_, *ended_ + kEndLimit);
    // A guest that is not up by then never comes: many times what a loaded machine needs.
    if (!ready_ && options_.boot_limit.count() > 0) {
      return std::min(deadline_, started_ + options_.boot_limit);
    }
    if (ready_ && options_.silence.count() > 0) {
      return std::min(deadline_, last_word_ + options_.silence);
    }
    return deadline_;
  }

  // Waits for something and deals with it. False when this has gone on for too long.
  bool turn() {
    std::array<pollfd, 5> fds{{
        {.fd = signal_fd(), .events = POLLIN, .revents = 0},
        {.fd = socket_open_ ? socket_.get() : -1, .events = POLLIN, .revents = 0},
        {.fd = qemu_.pidfd(), .events = POLLIN, .revents = 0},
        {.fd = input_open_ && outgoing_.size() < kOutgoingBytes ? STDIN_FILENO : -1,
         .events = POLLIN, .revents = 0},
        {.fd = window_.get(), .events = POLLIN, .revents = 0},
    }};
    if (!outgoing_.empty()) fds[1].events |= POLLOUT;
    const auto left = limit() == Clock::time_point::max()
                          ? milliseconds(-1)
                          : std::chrono::ceil<milliseconds>(limit() - Clock::now());
    if (limit() != Clock::time_point::max() && left.count() <= 0) return too_long();
    // poll() takes an int: look again after a day.
    const auto wait = std::min<milliseconds>(left, std::chrono::hours(24)).count();
    if (poll(fds.data(), fds.size(), static_cast<int>(wait)) < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    if (fds[0].revents) check_signals();
    if (fds[1].revents & POLLOUT) flush();
    if (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) receive();
    if (fds[3].revents) read_input();
    if (fds[4].revents) send_window_size();
    return true;
  }

  bool too_long() {
    if (deadline_ <= Clock::now()) {
      time_out(std::format("timeout after {} s", options_.timeout.count()));
    } else if (ready_ && !ended_) {
      time_out(std::format("no output for {} s", options_.silence.count()));
    } else if (ended_) {
      verdict_.trouble = "the guest did not shut down after the command had ended";
    } else {
      verdict_.trouble = std::format("the guest was not ready after {} s",
                                     options_.boot_limit.count());
    }
    qemu_.signal(SIGKILL);
    qemu_.wait();
    // Killed by us: that QEMU ended with a signal is no news.
    killed_ = true;
    return false;
  }

  void time_out(std::string why) {
    verdict_.timed_out = true;
    verdict_.status.reset();
    verdict_.trouble = std::move(why);
  }

  void send(FrameType type, std::string_view payload) {
    outgoing_ += guest::encode(type, payload);
    flush();
  }

  void flush() {
    while (!outgoing_.empty()) {
      const ssize_t n = ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) outgoing_.clear();  // QEMU is gone; the loop sees that by itself
      if (n > 0) outgoing_.erase(0, static_cast<std::size_t>(n));
    }
  }

  void receive() {
    std::array<char, 65536> buffer;
    const ssize_t n = read(socket_.get(), buffer.data(), buffer.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      socket_open_ = false;
      return;
    }
    decoder_.feed({buffer.data(), static_cast<std::size_t>(n)});
    try {
      while (const auto frame = decoder_.next()) take(*frame);
    } catch (const std::runtime_error& error) {
      // The guest is not trusted to speak well.
      verdict_.trouble = error.what();
      socket_open_ = false;
      killed_ = true;
      qemu_.signal(SIGKILL);
    }
  }

  void take(const guest::Frame& frame) {
    // A recording goes on while the command is silent.
    if (frame.type != FrameType::recorded) last_word_ = Clock::now();
    switch (frame.type) {
      case FrameType::hello:
        verdict_.release = frame.payload;
        break;
      case FrameType::mark:
        break;
      case FrameType::ready:
        ready_ = true;
        verdict_.until_ready = since_start();
        break;
      case FrameType::stdout_data:
        if (options_.on_stdout) options_.on_stdout(frame.payload);
        break;
      case FrameType::stderr_data:
        if (options_.on_stderr) options_.on_stderr(frame.payload);
        break;
      case FrameType::recorded:
        if (options_.on_recording) options_.on_recording(frame.payload);
        break;
      case FrameType::exit:
        verdict_.status = std::clamp(std::atoi(frame.payload.c_str()), 0, 255);
        verdict_.until_exit = since_start();
        ended_ = Clock::now();
        input_open_ = false;
        break;
      case FrameType::failed:
        verdict_.trouble = "the guest could not be set up: " + frame.payload;
        ended_ = Clock::now();
        break;
      default:
        throw std::runtime_error("the agent sent a frame that only we send");
    }
  }

  // QEMU is gone: what is still in the socket is the last that the guest said.
  void drain() {
    while (socket_open_) receive_now();
  }
  void receive_now() {
    pollfd fd{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (poll(&fd, 1, 0) <= 0) {
      socket_open_ = false;
      return;
    }
    receive();
  }

  void read_input() {
    std::array<char, 16384> buffer;
    const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    const std::string_view bytes(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    if (options_.terminal && bytes.contains(kEscape)) throw Interrupted(SIGHUP);
    send(FrameType::stdin_data, bytes);  // empty: end of file
    if (n <= 0) input_open_ = false;
  }

  void send_window_size() {
    signalfd_siginfo info;
    while (read(window_.get(), &info, sizeof info) > 0) {
    }
    winsize size{};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0) return;
    send(FrameType::resize, std::format("{} {}", size.ws_row, size.ws_col));
  }

  milliseconds since_start() const {
    return std::chrono::duration_cast<milliseconds>(Clock::now() - started_);
  }

  const SessionOptions& options_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point last_word_ = started_;  // of the agent or of its command
  std::optional<Clock::time_point> ended_;  // when the agent said that there is no more
  Fd socket_;
  Child qemu_;
  std::optional<RawTerminal> raw_;
  Fd window_;
  guest::Decoder decoder_;
  std::string outgoing_;
  bool socket_open_ = true;
  bool input_open_ = false;
  bool ready_ = false;
  bool killed_ = false;
  Verdict verdict_;
};

std::string indented(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += "  | " + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

}  // namespace

int Verdict::exit_status() const {
  if (timed_out) return 124;
  if (!status || !trouble.empty() || !reports.empty()) return 3;
  return *status;
}

std::string Verdict::explanation() const {
  std::string text;
  if (!trouble.empty()) text += "figment: " + trouble + "\n";
  constexpr std::size_t kShown = 5;
  std::size_t told = 0;  // lines of the log that are in a trace already
  for (std::size_t i = 0; i < std::min(reports.size(), kShown); ++i) {
    const KernelReport& report = reports[i];
    text += std::format("figment: kernel report ({}): {} (line {})\n", report.kind, report.line,
                        report.line_number);
    // "BUG:" and then "Oops:" are one report with one trace.
    if (report.line_number <= told) continue;
    for (const std::string& line : report.trace) text += "  | " + line + "\n";
    told = report.line_number + report.trace.size();
  }
  if (reports.size() > kShown) {
    text += std::format("figment: and {} more kernel reports\n", reports.size() - kShown);
  }
  if (text.empty()) return text;
  text += std::format("figment: console log: {}\n", console.string());
  if (!rerun.empty()) text += std::format("figment: again: {}\n", rerun);
  return text;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    std::array<pollfd, 2> fds{{{.fd = signal_fd(), .events = POLLIN, .revents = 0},
                               {.fd = fd, .events = POLLOUT, .revents = 0}}};
    poll(fds.data(), fds.size(), -1);
    if (fds[0].revents) check_signals();
    if (!fds[1].revents) continue;
    // A pipe that is ready takes this much without blocking, so that a signal is always seen.
    const ssize_t n = write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), 4096));
    if (n < 0 && errno == EPIPE) throw Interrupted(SIGPIPE);
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      throw Failure(std::string{"cannot write output: "} + std::strerror(errno));
    }
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

// To a machine that has just been started. Its socket listens from before that.
static Fd own_monitor(const fs::path& folder, const fs::path& qemu_log) {
  auto fd = connect_to_monitor(folder);
  if (!fd) throw Failure("QEMU has ended at once; it said:\n" + read_file(qemu_log));
  return std::move(*fd);
}

Verdict run_guest(Guest guest, const SessionOptions& options, const Judge& judge) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  fs::create_directories(options.folder);
  guest.console = options.folder / "console.log";
  guest.agent_fd = theirs.get();
  if (guest.deterministic) {
    guest.deterministic->images.front() = write_orders(options.folder / "orders", options.start);
  }
  const fs::path qemu_log = options.folder / "qemu.log";
  const Fd log(open(qemu_log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  std::optional<SocketPair> monitor;
  const bool restores = guest.deterministic && !guest.deterministic->state.empty();
  const bool injects = !guest.inject.empty();
  Fd listening;
  std::vector<int> kept{theirs.get()};
  if (!guest.deterministic) {
    listening = listen_for_monitors(options.folder);
    kept.push_back(guest.monitor_fd = listening.get());
  } else if (restores || injects) {
    kept.push_back(guest.deterministic->monitor_fd = monitor.emplace().theirs.get());
  }
  const Argv argv = qemu_argv(guest);
  write_file(options.folder / "command", quoted(argv) + "\n");
  Child qemu(argv, {.directory = {},
                    .environment = {},
                    .input = -1,
                    .output = log.get(),
                    .error = log.get(),
                    .keep = kept});
  theirs = Fd();
  listening = Fd();
  std::optional<Qmp> qmp;
  if (monitor) {
    monitor->theirs = Fd();
    qmp.emplace(std::move(monitor->ours));
  } else if (injects) {
    qmp.emplace(own_monitor(options.folder, qemu_log));
  }
  for (const auto& [gpu, rule] : guest.inject) arm(*qmp, gpu, rule);
  // The last word to it: a monitor that talks to a running machine disturbs its turns.
  if (restores) restore_state(*qmp, guest.deterministic->state);
  if (injects && !restores && !(guest.deterministic && !guest.deterministic->gdb.empty())) {
    qmp->execute("cont");
  }
  // Others may want to talk to it.
  if (!guest.deterministic) qmp.reset();
  Verdict verdict = Session(guest, options, std::move(ours), std::move(qemu)).run();
  if (fs::exists(guest.console)) verdict.reports = judge.reports(read_file(guest.console));
  for (KernelReport& report : verdict.reports) add_source_lines(report.trace, options.symbols);
  verdict.rerun = options.rerun;
  const std::string said = read_file(qemu_log);
  if (!verdict.trouble.empty() && !said.empty()) verdict.trouble += "; QEMU said:\n" + indented(said);
  while (verdict.trouble.ends_with('\n')) verdict.trouble.pop_back();
  return verdict;
}

}  // namespace figment::host
