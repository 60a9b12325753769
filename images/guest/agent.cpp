// SPDX-License-Identifier: MIT
//
// The agent: the first and only service of the guest. It is the init of the initramfs, a static
// binary, and stays process 1 until the machine ends.
//
// It loads the modules of /modules/order, makes the root (the erofs image of the first disk, with a
// tmpfs over it), then does what the host's start frame says: mounts shares, loads the driver, runs
// one command, and carries its input and output. When the command has ended it reboots, which ends
// QEMU. Errors on the way are told to the host in words; the kernel's panic does the same for what
// it cannot tell.
//
// A deterministic machine (figment.images= on the kernel's command line) has other ways in and out,
// see protocol.h, and its root is on nvdimms.
//
// Limits: one command; a mount point has no blanks in its name.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>

#include "protocol.h"

namespace {

using namespace figment::guest;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void make_directories(const std::string& path) {
  for (std::size_t at = 1; at != path.npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) fail("mkdir " + part);
  }
}

void mount_at(const std::string& source, const std::string& target, const char* type,
              unsigned long flags = 0, const std::string& options = "") {
  make_directories(target);
  if (mount(source.c_str(), target.c_str(), type, flags, options.c_str()) != 0) {
    fail("mount " + source + " at " + target);
  }
}

void move_mount_to(const std::string& from, const std::string& to) {
  make_directories(to);
  if (mount(from.c_str(), to.c_str(), nullptr, MS_MOVE, nullptr) != 0) fail("move " + from);
}

void load_module(const std::string& path, const std::string& parameters) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open " + path);
  const long result = syscall(SYS_finit_module, fd, parameters.c_str(), 0);
  const int error = errno;
  close(fd);
  // A driver that is there already is what was asked for.
  if (result != 0 && error != EEXIST) {
    errno = error;
    fail("load " + path + (parameters.empty() ? "" : " " + parameters));
  }
}

// Modules of the initramfs, in the order of their dependencies.
void load_boot_modules(const std::string& list) {
  std::ifstream order(list);
  if (!order) throw std::runtime_error("the kernel lacks modules: there is no " + list);
  for (std::string name; std::getline(order, name);) load_module("/modules/" + name, "");
}

// Device nodes appear a moment after the driver was loaded: the kernel says when in no other way
// that needs less than a netlink socket, so look every few milliseconds, for at most ten seconds.
template <typename Look>
auto wait_for(const std::string& what, Look look) {
  for (int i = 0; i < 5000; ++i) {
    if (auto found = look(); !found.empty()) return found;
    usleep(2000);
  }
  throw std::runtime_error(what + " did not appear");
}

std::string find_port() {
  const std::string folder = "/sys/class/virtio-ports";
  DIR* dir = opendir(folder.c_str());
  if (!dir) return "";
  std::string found;
  while (const dirent* entry = readdir(dir)) {
    std::string name;
    std::ifstream(folder + "/" + entry->d_name + "/name") >> name;
    if (name == kPortName) found = std::string{"/dev/"} + entry->d_name;
  }
  closedir(dir);
  return found;
}

// The host's end.
class Port {
 public:
  virtual ~Port() = default;
  // Returns when all of it is out of our hands.
  virtual void write_all(std::string_view bytes) = 0;
  // Takes in what has arrived; false when the host is gone.
  virtual bool receive() { return false; }
  // To wait for more; -1: there will never be any.
  virtual int fd() const { return -1; }

  void send(FrameType type, std::string_view payload = {}) { write_all(encode(type, payload)); }
  std::optional<Frame> next() { return decoder_.next(); }

 protected:
  Decoder decoder_;
};

// A virtio-serial port. Writes block until all of a frame is with the kernel.
class SerialPort : public Port {
 public:
  explicit SerialPort(const std::string& path) : fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0) fail("open " + path);
  }

  int fd() const override { return fd_; }

  void write_all(std::string_view bytes) override {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n = write(fd_, bytes.data() + at, bytes.size() - at);
      if (n < 0 && errno != EINTR && errno != EAGAIN) fail("write to the host");
      if (n > 0) at += static_cast<std::size_t>(n);
    }
  }

  bool receive() override {
    std::array<char, 32768> buffer;
    const ssize_t n = read(fd_, buffer.data(), buffer.size());
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    decoder_.feed({buffer.data(), static_cast<std::size_t>(n)});
    return n > 0;
  }


 private:
  int fd_;
};

// The I/O port of a deterministic machine: each byte is with the host when the instruction is over,
// and nothing ever comes back.
class SpeakPort : public Port {
 public:
  SpeakPort() {
    if (ioperm(kSpeakPort, 1, 1) != 0 || ioperm(kMarkPort, 1, 1) != 0) fail("I/O ports");
  }

  void write_all(std::string_view bytes) override { outsb(kSpeakPort, bytes.data(), bytes.size()); }
};

// The start frame of an image, as it is now: past all caches, because the image may be another one
// than at the last look.
Start read_orders(const std::string& device) {
  constexpr std::size_t kPiece = 64 * 1024;
  const int fd = open(device.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) fail("open " + device);
  const std::unique_ptr<char, void (*)(void*)> buffer(
      static_cast<char*>(std::aligned_alloc(4096, kPiece)), std::free);
  Decoder decoder;
  std::optional<Frame> frame;
  for (ssize_t n; !(frame = decoder.next()) && (n = read(fd, buffer.get(), kPiece)) > 0;) {
    decoder.feed({buffer.get(), static_cast<std::size_t>(n)});
  }
  close(fd);
  if (!frame || frame->type != FrameType::start) throw std::runtime_error("no orders in " + device);
  return decode_start(frame->payload);
}

// The number of memory images, from the kernel's command line; 0: this is no deterministic machine.
std::size_t image_count() {
  std::ifstream line("/proc/cmdline");
  for (std::string word; line >> word;) {
    if (word.starts_with(kImagesKey)) return std::stoul(word.substr(kImagesKey.size()));
  }
  return 0;
}

// The devices of the memory images in their order, which is that of their addresses; the kernel
// numbers them as its tables name them. Empty until all are there.
std::vector<std::string> image_devices(std::size_t count) {
  std::vector<std::pair<unsigned long long, std::string>> found;
  DIR* dir = opendir("/sys/block");
  if (!dir) return {};
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (!name.starts_with("pmem")) continue;
    std::string address;
    std::ifstream("/sys/block/" + name + "/device/resource") >> address;
    const std::string device = "/dev/" + name;
    if (address.empty() || access(device.c_str(), F_OK) != 0) continue;
    found.emplace_back(std::stoull(address, nullptr, 0), device);
  }
  closedir(dir);
  if (found.size() < count) return {};
  std::ranges::sort(found);
  std::vector<std::string> devices;
  for (const auto& [address, device] : found) devices.push_back(device);
  return devices;
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The new root at /root: image, tmpfs over it, modules and tools from their own images.
void make_root(const std::vector<std::string>& images) {
  const auto disk = [&](unsigned number) {
    // The first image of a deterministic machine is its orders.
    return images.empty() ? std::string{"/dev/vd"} + static_cast<char>('a' + number)
                          : images.at(number + 1);
  };
  wait_for("the disk of the root", [&] { return exists(disk(0)) ? disk(0) : ""; });
  mount_at("tmpfs", "/layers", "tmpfs");
  mount_at(disk(0), "/layers/image", "erofs", MS_RDONLY);
  make_directories("/layers/upper");
  make_directories("/layers/work");
  mount_at("overlay", "/root", "overlay", 0,
           "lowerdir=/layers/image,upperdir=/layers/upper,workdir=/layers/work");
  if (exists(disk(1))) mount_at(disk(1), "/root/usr/lib/modules", "erofs", MS_RDONLY);
  if (exists(disk(2))) mount_at(disk(2), "/root/opt/figment", "erofs", MS_RDONLY);
}

void enter_root() {
  for (const char* name : {"/dev", "/proc", "/sys"}) move_mount_to(name, std::string{"/root"} + name);
  mount_at("tmpfs", "/root/tmp", "tmpfs", MS_NOSUID, "mode=1777");
  mount_at("tmpfs", "/root/run", "tmpfs", MS_NOSUID, "mode=755");
  mount_at("devpts", "/root/dev/pts", "devpts", 0, "ptmxmode=0666");
  mount_at("tmpfs", "/root/dev/shm", "tmpfs", MS_NOSUID, "mode=1777");
  if (chdir("/root") != 0 || mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
      chroot(".") != 0 || chdir("/") != 0) {
    fail("switch to the root");
  }
  // Optional in a user's own kernel.
  mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr);
  mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, nullptr);
  mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, nullptr);
  symlink("/proc/self/fd", "/dev/fd");
  symlink("/proc/self/fd/0", "/dev/stdin");
  symlink("/proc/self/fd/1", "/dev/stdout");
  symlink("/proc/self/fd/2", "/dev/stderr");
  sethostname("figment", 7);
}

void mount_share(const Mount& share, const std::vector<std::string>& images) {
  if (!images.empty()) {
    mount_at(images.at(std::stoul(share.tag.substr(kImageTag.size()))), share.path, "erofs",
             MS_RDONLY);
    return;
  }
  mount_at(share.tag, share.path, "9p", share.writable ? 0 : MS_RDONLY,
           "trans=virtio,version=9p2000.L,msize=512000,cache=none");
}

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  return {ends[0], ends[1]};
}

void set_size(int terminal, unsigned rows, unsigned columns) {
  winsize size{};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  ioctl(terminal, TIOCSWINSZ, &size);
}

// The command and the agent's ends of its input and output. With a terminal there is one
// descriptor for both, and no stderr of its own.
class Command {
 public:
  explicit Command(const Start& start) {
    int child_in = -1, child_out = -1, child_err = -1;
    if (start.terminal) {
      input_ = output_ = open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY);
      int locked = 0;
      if (input_ < 0 || ioctl(input_, TIOCSPTLCK, &locked) != 0) fail("terminal");
      set_size(input_, start.rows, start.columns);
      const int peer = ioctl(input_, TIOCGPTPEER, O_RDWR | O_CLOEXEC | O_NOCTTY);
      if (peer < 0) fail("terminal");
      child_in = child_out = child_err = peer;
    } else {
      const Pipe in = make_pipe(), out = make_pipe(), err = make_pipe();
      input_ = in.write_end, output_ = out.read_end, error_ = err.read_end;
      child_in = in.read_end, child_out = out.write_end, child_err = err.write_end;
    }
    pid_ = fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) run(start, child_in, child_out, child_err);
    close(child_in);
    if (child_out != child_in) close(child_out), close(child_err);
    for (const int fd : {input_, output_, error_}) {
      if (fd >= 0) fcntl(fd, F_SETFL, O_NONBLOCK);
    }
  }

  pid_t pid() const { return pid_; }
  int input() const { return input_; }
  int output() const { return output_; }
  int error() const { return error_; }
  bool is_terminal() const { return input_ == output_; }

  void close_input() {
    if (is_terminal() || input_ < 0) return;
    close(std::exchange(input_, -1));
  }
  void close_output(int fd) {
    if (fd == output_) output_ = -1;
    if (fd == error_) error_ = -1;
    if (fd != input_) close(fd);
  }

 private:
  // In the child: never returns. 127 and 126 are what a shell says of a command that it cannot run.
  [[noreturn]] static void run(const Start& start, int in, int out, int err) {
    setsid();
    if (start.terminal) ioctl(in, TIOCSCTTY, 0);
    dup2(in, 0), dup2(out, 1), dup2(err, 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    if (chdir(start.directory.c_str()) != 0) {
      dprintf(2, "figment: cannot enter %s: %s\n", start.directory.c_str(), std::strerror(errno));
      _exit(126);
    }
    for (const std::string& variable : start.environment) {
      putenv(const_cast<char*>(variable.c_str()));
    }
    std::vector<char*> argv;
    for (const std::string& argument : start.arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    dprintf(2, "figment: cannot run %s: %s\n", argv[0], std::strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
  }

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  int error_ = -1;
};

// Open both ways: who writes to it never finds it without a reader, and we never its end.
int make_recording_pipe(const std::string& path) {
  if (path.empty()) return -1;
  if (mkfifo(path.c_str(), 0600) != 0) fail("mkfifo " + path);
  const int fd = open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("open " + path);
  return fd;
}

// Carries everything between the host and one command.
class Session {
 public:
  Session(Port& port, const Start& start)
      : port_(port), recording_(make_recording_pipe(start.recording)), command_(start) {
    // Who cannot be given input sees its end.
    if (port.fd() < 0) command_.close_input();
  }

  // The status for the exit frame: the command's own, or 128 + signal, as a shell says it.
  int run(int signals) {
    std::optional<int> status;
    while (!status) {
      std::array<pollfd, 6> fds{{
          {.fd = signals, .events = POLLIN, .revents = 0},
          // No more input from the host while the command does not take what there is.
          {.fd = pending_.size() < kPendingBytes ? port_.fd() : -1, .events = POLLIN, .revents = 0},
          {.fd = command_.output(), .events = POLLIN, .revents = 0},
          {.fd = command_.error(), .events = POLLIN, .revents = 0},
          {.fd = pending_.empty() ? -1 : command_.input(), .events = POLLOUT, .revents = 0},
          {.fd = recording_, .events = POLLIN, .revents = 0},
      }};
      if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) fail("poll");
      if (fds[0].revents) status = reap(signals);
      if (fds[1].revents) from_host();
      if (fds[2].revents) forward(command_.output(), FrameType::stdout_data);
      if (fds[3].revents) forward(command_.error(), FrameType::stderr_data);
      if (fds[4].revents) to_command();
      if (fds[5].revents) forward(recording_, FrameType::recorded);
    }
    // What the command wrote before it ended is in the pipes; a background process of it that is
    // still there and keeps them open is not waited for.
    while (forward(command_.output(), FrameType::stdout_data)) {
    }
    while (forward(command_.error(), FrameType::stderr_data)) {
    }
    while (forward(recording_, FrameType::recorded)) {
    }
    return *status;
  }

 private:
  static constexpr std::size_t kPendingBytes = 256 * 1024;

  // Collects every ended process: as process 1 the agent is everybody's last parent.
  std::optional<int> reap(int signals) {
    signalfd_siginfo info;
    while (read(signals, &info, sizeof info) > 0) {
    }
    std::optional<int> result;
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != command_.pid()) continue;
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return result;
  }

  void from_host() {
    if (!port_.receive()) return;
    while (const auto frame = port_.next()) {
      switch (frame->type) {
        case FrameType::stdin_data:
          if (frame->payload.empty()) input_ended_ = true;
          pending_ += frame->payload;
          to_command();
          break;
        case FrameType::resize: {
          const auto [rows, columns] = split_word(frame->payload);
          if (command_.is_terminal()) {
            set_size(command_.input(), static_cast<unsigned>(std::stoul(rows)),
                     static_cast<unsigned>(std::stoul(columns)));
          }
          break;
        }
        case FrameType::signal:
          kill(-command_.pid(), std::stoi(frame->payload));
          break;
        default:
          break;
      }
    }
  }

  void to_command() {
    while (!pending_.empty() && command_.input() >= 0) {
      const ssize_t n = write(command_.input(), pending_.data(), pending_.size());
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) {  // nobody reads any more
        pending_.clear();
        command_.close_input();
        return;
      }
      pending_.erase(0, static_cast<std::size_t>(n));
    }
    if (command_.input() < 0) pending_.clear();
    if (input_ended_) command_.close_input();
  }

  // One piece of output; false when there is none now.
  bool forward(int fd, FrameType type) {
    if (fd < 0) return false;
    std::array<char, 32768 - kHeaderBytes> buffer;
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n > 0) {
      port_.send(type, {buffer.data(), static_cast<std::size_t>(n)});
      return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    command_.close_output(fd);  // end of file, or a terminal whose last user is gone
    return false;
  }

  Port& port_;
  int recording_;  // before the command, which may open it at once
  Command command_;
  std::string pending_;  // input that the command has not taken yet
  bool input_ended_ = false;
};

[[noreturn]] void end_machine() {
  kill(-1, SIGKILL);
  sync();
  reboot(RB_AUTOBOOT);
  _exit(1);  // process 1 that ends is a panic: the host sees it
}

// Where the kernel looks for leaks, has it look, and puts what it finds into the kernel's log, where
// the judge reads. An object must be older than five seconds and look the same in two scans to be
// taken for lost. Where the check is off, the first write fails.
void report_leaks() {
  const char* const path = "/sys/kernel/debug/kmemleak";
  const int control = open(path, O_WRONLY | O_CLOEXEC);
  if (control < 0) return;
  constexpr std::string_view kScan = "scan";
  bool scanned = write(control, kScan.data(), kScan.size()) > 0;
  if (scanned) {
    sleep(6);
    scanned = write(control, kScan.data(), kScan.size()) > 0;
  }
  close(control);
  if (!scanned) return;
  const int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
  std::ifstream leaks(path);
  for (std::string line; log >= 0 && std::getline(leaks, line);) {
    // One write is one record.
    line += "\n";
    if (write(log, line.data(), line.size()) < 0) break;
  }
  close(log);
}

Start receive_start(Port& port) {
  for (;;) {
    while (const auto frame = port.next()) {
      if (frame->type == FrameType::start) return decode_start(frame->payload);
    }
    if (!port.receive()) usleep(2000);  // the host has not connected yet
  }
}

// `images`: of a deterministic machine; else none, and the host sends the orders.
void serve(Port& port, const std::vector<std::string>& images) {
  utsname system{};
  uname(&system);
  port.send(FrameType::hello, system.release);
  make_root(images);
  enter_root();
  Start start = images.empty() ? receive_start(port) : read_orders(images.front());
  for (const Mount& share : start.mounts) mount_share(share, images);
  for (const Module& module : start.modules) load_module(module.path, module.parameters);
  if (!images.empty()) {
    port.send(FrameType::mark);
    outb(0, kMarkPort);
    start = read_orders(images.front());
  }

  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  const int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) fail("signalfd");
  port.send(FrameType::ready);
  Session session(port, start);
  const int status = session.run(signals);
  report_leaks();
  port.send(FrameType::exit, std::to_string(status));
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<Port> port;
  try {
    mount_at("devtmpfs", "/dev", "devtmpfs");
    mount_at("proc", "/proc", "proc");
    mount_at("sysfs", "/sys", "sysfs");
    const std::size_t count = image_count();
    std::vector<std::string> images;
    if (count == 0) {
      load_boot_modules("/modules/order");
      port = std::make_unique<SerialPort>(wait_for("the port of the host", find_port));
    } else {
      port = std::make_unique<SpeakPort>();
      load_boot_modules("/modules/order.deterministic");
      images = wait_for("an image", [&] { return image_devices(count); });
    }
    serve(*port, images);
  } catch (const std::exception& error) {
    // Without a port the console is all there is.
    const std::string text = std::string{"figment: "} + error.what() + "\n";
    if (const int console = open("/dev/kmsg", O_WRONLY | O_CLOEXEC); console >= 0) {
      if (write(console, text.data(), text.size()) < 0) _exit(1);
    }
    if (port) port->send(FrameType::failed, error.what());
  }
  end_machine();
}
