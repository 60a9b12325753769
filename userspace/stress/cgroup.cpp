// SPDX-License-Identifier: MIT
#include "cgroup.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <format>

#include "figment/error.h"
#include "page_kind.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);

int write_at(const UniqueFd& folder, const char* file, std::string_view value) {
  const UniqueFd knob(::openat(folder.get(), file, O_WRONLY | O_CLOEXEC));
  if (!knob) return errno;
  return ::write(knob.get(), value.data(), value.size()) < 0 ? errno : 0;
}

/// The hierarchy is one, wherever it is mounted: in a place of our own, it may be nowhere.
std::string mount_cgroups() {
  std::string folder = "/tmp/figment-XXXXXX";
  if (!::mkdtemp(folder.data())) fail(errno, "mkdtemp");
  if (::mount("cgroup2", folder.c_str(), "cgroup2", 0, nullptr) == 0) return folder;
  ::rmdir(folder.c_str());
  throw Lacks("this kernel has no cgroups of version 2");
}

}  // namespace

Cgroup::Cgroup(std::string_view controller)
    : mount_(mount_cgroups()), root_(::open(mount_.c_str(), O_DIRECTORY | O_CLOEXEC)) {
  const std::string name = std::format("figment-{}", ::getpid());
  if (write_at(root_, "cgroup.subtree_control", std::format("+{}", controller)) == 0 &&
      (::mkdirat(root_.get(), name.c_str(), 0700) == 0 || errno == EEXIST)) {
    folder_ = UniqueFd(::openat(root_.get(), name.c_str(), O_DIRECTORY | O_CLOEXEC));
  }
  // Nobody needs it by its name any more, but to remove it.
  ::umount2(mount_.c_str(), MNT_DETACH);
  ::rmdir(mount_.c_str());
  if (!folder_) throw Lacks(std::format("this kernel has no cgroups of {}", controller));
}

Cgroup::~Cgroup() {
  if (!folder_) return;
  std::ignore = write_at(root_, "cgroup.procs", "0");
  folder_ = UniqueFd();
  // Children that have ended may still be leaving.
  const std::string name = std::format("figment-{}", ::getpid());
  std::ignore = poll_until(
      [&] { return ::unlinkat(root_.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno != EBUSY; },
      after(kPatience));
}

void Cgroup::enter() {
  if (const int error = set("cgroup.procs", "0")) fail(error, "cgroup.procs");
}

int Cgroup::set(const char* file, std::string_view value) const {
  return write_at(folder_, file, value);
}

std::string Cgroup::get(const char* file) const {
  const UniqueFd fd(::openat(folder_.get(), file, O_RDONLY | O_CLOEXEC));
  if (!fd) fail(errno, std::format("open of {}", file));
  std::string text(4096, '\0');
  const ssize_t bytes = ::read(fd.get(), text.data(), text.size());
  if (bytes < 0) fail(errno, std::format("read of {}", file));
  text.resize(static_cast<std::size_t>(bytes));
  return text;
}

}  // namespace figment::stress
