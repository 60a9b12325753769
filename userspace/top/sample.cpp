// SPDX-License-Identifier: MIT
#include "sample.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <set>
#include <utility>

namespace figment::top {

namespace {

namespace fs = std::filesystem;

/// More than any driver says.
constexpr std::size_t kFileBytes = 16384;

std::string read_some(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kFileBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::optional<unsigned> parse_pid(const std::string& name) {
  unsigned pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return pid;
}

/// Names in a folder; none when it is gone or may not be read.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::end(it);
       it.increment(error)) {
    names.push_back(it->path().filename());
  }
  return names;
}

/// Reading a link is cheaper than what each driver would say.
bool is_drm_file(const fs::path& link) {
  std::error_code error;
  return fs::read_symlink(link, error).string().contains("/dri/");
}

}  // namespace

Sample take_sample(const fs::path& proc) {
  Sample sample{.time = std::chrono::steady_clock::now(), .processes = {}};
  std::vector<unsigned> pids;
  for (const std::string& name : names_in(proc)) {
    if (const auto pid = parse_pid(name)) pids.push_back(*pid);
  }
  std::ranges::sort(pids);
  std::set<std::pair<std::string, std::uint64_t>> known;
  for (const unsigned pid : pids) {
    const fs::path folder = proc / std::to_string(pid);
    Process process{.pid = pid, .name = {}, .clients = {}};
    for (const std::string& fd : names_in(folder / "fd")) {
      if (!is_drm_file(folder / "fd" / fd)) continue;
      auto client = parse_fdinfo(read_some(folder / "fdinfo" / fd));
      if (!client || !known.emplace(client->gpu, client->id).second) continue;
      process.clients.push_back(std::move(*client));
    }
    if (process.clients.empty()) continue;
    process.name = read_some(folder / "comm");
    if (process.name.ends_with('\n')) process.name.pop_back();
    std::ranges::sort(process.clients, {}, &Client::id);
    sample.processes.push_back(std::move(process));
  }
  return sample;
}

}  // namespace figment::top
