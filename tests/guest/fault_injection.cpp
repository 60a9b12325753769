// SPDX-License-Identifier: MIT
#include "fault_injection.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <iterator>

#include "figment/error.h"

namespace figment::guest {
namespace {

namespace fs = std::filesystem;

const std::string kDebugfs = "/sys/kernel/debug/";
constexpr const char* kFailNth = "/proc/thread-self/fail-nth";

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::string text(std::istreambuf_iterator<char>(file), {});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

/// An errno, or 0.
int write_text(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  return ::write(file.get(), text.data(), text.size()) < 0 ? errno : 0;
}

}  // namespace

std::string FaultSettings::missing() {
  for (const char* need : {"failslab", "fail_page_alloc"}) {
    if (!fs::exists(kDebugfs + need)) {
      return std::format("this kernel injects no faults: no {} in debugfs", need);
    }
  }
  if (!fs::exists(kFailNth)) return "this kernel injects no faults: no fail-nth in /proc";
  return "";
}

std::string FaultSettings::functions_missing() {
  if (!fs::exists(kDebugfs + "fail_function")) {
    return "this kernel injects no errors into functions: no fail_function in debugfs";
  }
  return "";
}

FaultSettings::FaultSettings() {
  for (const std::string kind : {"failslab/", "fail_page_alloc/", "fail_usercopy/"}) {
    set(kind + "verbose", "0");
    set(kind + "ignore-gfp-wait", "N");
    set(kind + "ignore-gfp-highmem", "N");
    set(kind + "min-order", "0");
    set(kind + "cache-filter", "N");
    set(kind + "probability", "0");
    set(kind + "task-filter", "Y");
    set(kind + "interval", "1");
    set(kind + "times", "-1");
  }
}

FaultSettings::~FaultSettings() {
  for (const std::string& function : functions_) {
    std::ignore = write_text(kDebugfs + "fail_function/inject", "!" + function);
  }
  for (auto it = before_.rbegin(); it != before_.rend(); ++it) {
    std::ignore = write_text(kDebugfs + it->first, it->second);
  }
}

/// Kinds of faults do not have all files.
void FaultSettings::set(const std::string& file, const std::string& value) {
  if (!fs::exists(kDebugfs + file)) return;
  before_.emplace_back(file, read_text(kDebugfs + file));
  if (const int error = write_text(kDebugfs + file, value)) fail(error, "write to " + file);
}

void FaultSettings::fail_at_random(unsigned percent) {
  for (const std::string kind : {"failslab/", "fail_page_alloc/"}) {
    set(kind + "probability", std::to_string(percent));
  }
}

void FaultSettings::fail_pages_from(unsigned order) {
  set("fail_page_alloc/task-filter", "N");
  set("fail_page_alloc/min-order", std::to_string(order));
  set("fail_page_alloc/probability", "100");
}

bool FaultSettings::fail_function(const std::string& function, int error, unsigned percent) {
  const std::string folder = "fail_function/";
  if (write_text(kDebugfs + folder + "inject", function) != 0) return false;
  functions_.push_back(function);
  const std::string value = std::format("{:#x}", static_cast<unsigned long>(-error));
  if (const int trouble = write_text(kDebugfs + folder + function + "/retval", value)) {
    figment::fail(trouble, "set the error of " + function);
  }
  set(folder + "verbose", "0");
  set(folder + "task-filter", "Y");
  set(folder + "interval", "1");
  set(folder + "times", "-1");
  set(folder + "probability", std::to_string(percent));
  return true;
}

void FaultSettings::may_fail() {
  if (const int error = write_text("/proc/self/make-it-fail", "1")) fail(error, "make-it-fail");
}

void FaultSettings::may_not_fail() {
  if (const int error = write_text("/proc/self/make-it-fail", "0")) fail(error, "make-it-fail");
}

FailNth::FailNth() : file_(::open(kFailNth, O_RDWR | O_CLOEXEC)) {
  if (!file_) fail(errno, std::format("open {}", kFailNth));
}

void FailNth::arm(unsigned nth) {
  const std::string text = std::to_string(nth);
  // What was armed before may hit this very write.
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (::pwrite(file_.get(), text.data(), text.size(), 0) > 0) return;
  }
  fail(errno, "arm fail-nth");
}

unsigned FailNth::left() {
  char text[16] = {};
  // The read itself has something that may fail: then that was the one, and none before it.
  const bool read = ::pread(file_.get(), text, sizeof(text) - 1, 0) > 0;
  arm(0);
  return read ? static_cast<unsigned>(std::atoi(text)) : 1;
}

}  // namespace figment::guest
