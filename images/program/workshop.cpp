// SPDX-License-Identifier: MIT
#include "workshop.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <format>
#include <fstream>
#include <iostream>
#include <sys/stat.h>

namespace figment::host {

namespace {

std::string required(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) {
    throw Failure(std::string{name} + " is not set: start this program with ./figment");
  }
  return value;
}

// The last line of a log that says something, cut to fit beside the rest.
std::string last_line(const fs::path& log) {
  std::ifstream file(log, std::ios::binary);
  file.seekg(0, std::ios::end);
  const auto size = static_cast<std::streamoff>(file.tellg());
  file.seekg(std::max<std::streamoff>(0, size - 4096));
  std::string line, last;
  while (std::getline(file, line)) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin != line.npos) last = line.substr(begin, 60);
  }
  std::erase_if(last, [](unsigned char c) { return c < 32; });
  return last;
}

std::string last_lines(const fs::path& log, std::size_t count) {
  std::ifstream file(log);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  std::string text;
  for (std::size_t i = lines.size() > count ? lines.size() - count : 0; i < lines.size(); ++i) {
    text += "  | " + lines[i] + "\n";
  }
  return text;
}

}  // namespace

Places Places::from_environment() {
  Places places{.checkout = required("FIGMENT_CHECKOUT"),
                .build = {},
                .cache = required("FIGMENT_CACHE"),
                .build_root = fs::path(required("FIGMENT_BUILD_ROOT")).parent_path(),
                .build_root_id = read_file("/etc/figment-build-root")};
  places.build = places.checkout / "build";
  while (places.build_root_id.ends_with('\n')) places.build_root_id.pop_back();
  return places;
}

const std::vector<PartInfo>& part_infos() {
  static const std::vector<PartInfo> infos = {
      {"build-root", "the Debian tree that all of this runs in", "90 s"},
      {"kernel", "unpacks Debian's kernel and its modules", "30 s"},
      {"kernel-debug", "compiles a kernel that checks itself", "10 min, after a new option less"},
      {"kernel-paranoid", "compiles a kernel that checks everything", "12 min"},
      {"qemu", "builds QEMU with the Figment device", "2 min, after a change of the device 10 s"},
      {"guest-root", "makes the guest's file system from Debian packages", "1 min"},
      {"igt-root", "makes a root with IGT's tests from Debian packages", "2 min"},
      {"mesa-root", "makes a root with Mesa's Vulkan driver from Debian packages", "2 min"},
      {"selftests", "compiles some of the kernel's tests in user space", "15 s"},
      {"programs", "compiles model, library, tools and agent",
       "2 min, with all tests 4 min, then seconds"},
      {"fuzzers", "compiles the fuzzers of the model with clang", "2 min, then seconds"},
      {"driver", "compiles figment.ko", "20 s, after a change 5 s"},
      {"test-modules", "compiles kernel modules that only tests load", "5 s"},
      {"initramfs", "packs the agent and the modules that reach the root", "1 s"},
      {"tools", "packs the driver and the tools for the guest", "1 s"},
  };
  return infos;
}

Workshop::Workshop(Places places, bool make_nothing)
    : places_(std::move(places)),
      driver_source_(places_.checkout / "kernel-driver"),
      make_nothing_(make_nothing),
      cache_(places_.cache, make_nothing) {}

void Workshop::use_driver(const fs::path& source) {
  if (!fs::exists(source / "figment_drv.c") || !fs::exists(source / "Makefile")) {
    throw Failure(std::format("--driver {}: there are no sources of the driver", source.string()));
  }
  driver_source_ = fs::canonical(source);
}

std::string Workshop::product_id(const Kernel& kernel) const {
  if (driver_source_ == places_.checkout / "kernel-driver") return kernel.id;
  return kernel.id + "-driver-" + digest(driver_source_.string()).substr(0, 8);
}

Task::Task(const Workshop& workshop, std::string_view part)
    : info_(*std::ranges::find(part_infos(), part, &PartInfo::name)),
      log_(workshop.cache().log(part)),
      exceptions_(std::uncaught_exceptions()),
      terminal_(isatty(STDERR_FILENO) != 0) {
  fs::remove(log_);
  std::cerr << std::format("figment: {}: {} (about {})\n", info_.name, info_.what, info_.typical);
}

Task::~Task() {
  if (terminal_) std::cerr << "\r\033[K";
  if (std::uncaught_exceptions() > exceptions_) return;
  std::cerr << std::format("figment: {}: done in {}\n", info_.name, elapsed());
}

void Task::run(const Argv& argv, ChildOptions options) {
  const int status = run_logged(argv, std::move(options), log_, [this] { tick(); });
  if (status == 0) return;
  if (terminal_) std::cerr << "\r\033[K";
  throw Failure(std::format("{}: '{}' ended with status {}; the log is {}, its end:\n{}", info_.name,
                            argv.front(), status, log_.string(), last_lines(log_, 15)));
}

void Task::waiting() const {
  std::cerr << std::format("figment: {}: waiting for another run that makes it\n", info_.name);
}

void Task::tick() {
  const auto now = Clock::now();
  // Often enough to be seen to live, rarely enough for a log of CI.
  if (now - told_ < (terminal_ ? std::chrono::seconds(1) : std::chrono::seconds(30))) return;
  told_ = now;
  const std::string text = std::format("figment: {}: {} {}", info_.name, elapsed(), last_line(log_));
  std::cerr << (terminal_ ? "\r" + text + "\033[K" : text + "\n") << std::flush;
}

std::string Task::elapsed() const {
  const auto all = std::chrono::round<std::chrono::seconds>(Clock::now() - started_).count();
  return all < 60 ? std::format("{} s", all) : std::format("{}:{:02} min", all / 60, all % 60);
}

std::optional<Inputs> made_of(const fs::path& product) {
  const fs::path stamp = product.string() + ".inputs";
  if (!fs::exists(product) || !fs::exists(stamp)) return std::nullopt;
  return Inputs::parse(read_file(stamp));
}

bool is_current(const fs::path& product, const Inputs& inputs) { return made_of(product) == inputs; }

void set_current(const fs::path& product, const Inputs& inputs) {
  write_file(product.string() + ".inputs", inputs.text());
}

std::string first_line(const fs::path& path) {
  const std::string text = read_file(path);
  return text.substr(0, text.find('\n'));
}

std::string file_stamp(const fs::path& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return "absent";
  return std::format("{} {}.{:09}", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

}  // namespace figment::host
