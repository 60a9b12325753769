// SPDX-License-Identifier: MIT
#include "cache.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <sstream>
#include <thread>

namespace figment::host {

namespace {

constexpr std::string_view kPartial = ".partial";
constexpr std::string_view kWorkspace = ".workspace";

void sync_file_system(const fs::path& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) syncfs(fd.get());
}

std::vector<fs::path> visible_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::end(it); ++it) {
    if (it->path().filename().string().starts_with('.')) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (it->is_regular_file()) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

std::string digest(std::string_view bytes) {
  const std::unique_ptr<char, decltype(&g_free)> hex(
      g_compute_checksum_for_data(G_CHECKSUM_SHA256, reinterpret_cast<const guchar*>(bytes.data()),
                                  bytes.size()),
      g_free);
  return hex.get();
}

std::string digest_of(const fs::path& path) {
  if (fs::is_regular_file(path)) return digest(read_file(path));
  if (!fs::is_directory(path)) return "absent";
  std::string list;
  for (const fs::path& file : visible_files(path)) {
    const bool runs = (fs::status(file).permissions() & fs::perms::owner_exec) != fs::perms::none;
    list += fs::relative(file, path).string() + '\0' + (runs ? 'x' : '-') + digest(read_file(file));
  }
  return digest(list);
}

void Inputs::add(std::string label, std::string_view value) {
  auto entry = std::pair{std::move(label), digest(value)};
  entries_.insert(std::ranges::lower_bound(entries_, entry), std::move(entry));
}

void Inputs::add_path(std::string label, const fs::path& path) {
  auto entry = std::pair{std::move(label), digest_of(path)};
  entries_.insert(std::ranges::lower_bound(entries_, entry), std::move(entry));
}

std::string Inputs::key() const { return digest(text()).substr(0, 16); }

std::string Inputs::text() const {
  std::string text;
  for (const auto& [label, value] : entries_) text += value + " " + label + "\n";
  return text;
}

Inputs Inputs::parse(std::string_view text) {
  Inputs inputs;
  std::istringstream lines{std::string{text}};
  for (std::string value, label; lines >> value && std::getline(lines >> std::ws, label);) {
    inputs.entries_.emplace_back(label, value);
  }
  std::ranges::sort(inputs.entries_);
  return inputs;
}

std::vector<std::string> Inputs::differences(const Inputs& other) const {
  std::vector<std::pair<std::string, std::string>> changed;
  std::ranges::set_symmetric_difference(entries_, other.entries_, std::back_inserter(changed));
  std::vector<std::string> labels;
  for (auto& [label, value] : changed) labels.push_back(std::move(label));
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

Lock::Lock(const fs::path& path, const std::function<void()>& waiting) {
  fs::create_directories(path.parent_path());
  fd_ = Fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd_) throw Failure("cannot open " + path.string() + ": " + std::strerror(errno));
  bool told = false;
  while (flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw Failure("cannot lock " + path.string());
    if (!std::exchange(told, true) && waiting) waiting();
    // flock() has no timeout and signals are blocked: look again.
    wait_readable(-1, Clock::now() + std::chrono::milliseconds(100));
  }
}

fs::path Cache::log(std::string_view part) const {
  const fs::path folder = root_ / "logs";
  fs::create_directories(folder);
  return folder / (std::string{part} + ".log");
}

std::optional<fs::path> Cache::find(const std::string& part, const std::string& key) const {
  fs::path path = root_ / part / key;
  if (!fs::exists(path / "inputs")) return std::nullopt;
  return path;
}

fs::path Cache::get(const std::string& part, const Inputs& inputs,
                    const std::function<void(const fs::path&)>& make,
                    const std::function<void()>& waiting) const {
  const std::string key = inputs.key();
  if (const auto found = find(part, key)) return *found;
  if (make_nothing_) return root_ / part / key;
  const Lock lock(lock_file(part), waiting);
  if (const auto found = find(part, key)) return *found;  // made while we waited
  const fs::path complete = root_ / part / key;
  const fs::path partial = complete.string() + std::string{kPartial};
  fs::remove_all(partial);
  fs::create_directories(partial);
  make(partial);
  write_file(partial / "inputs", inputs.text());
  sync_file_system(partial);
  fs::rename(partial, complete);
  return complete;
}

fs::path Cache::workspace_path(const std::string& part, const std::string& key) const {
  return root_ / (part + std::string{kWorkspace}) / key;
}

std::vector<Entry> Cache::workspaces() const {
  std::vector<Entry> found;
  if (!fs::is_directory(root_)) return found;
  for (const auto& folder : fs::directory_iterator(root_)) {
    if (!folder.is_directory() || folder.path().extension() != kWorkspace) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      found.push_back({folder.path().filename(), entry.path().filename(), entry.path(),
                       entry.last_write_time()});
    }
  }
  return found;
}

std::vector<Entry> Cache::entries(const std::string& part) const {
  std::vector<Entry> found;
  if (!fs::is_directory(root_)) return found;
  for (const auto& folder : fs::directory_iterator(root_)) {
    const std::string name = folder.path().filename();
    if (!folder.is_directory() || (!part.empty() && name != part)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!fs::exists(entry.path() / "inputs")) continue;
      if (entry.path().extension() == kPartial) continue;
      found.push_back({name, entry.path().filename(), entry.path(), entry.last_write_time()});
    }
  }
  std::ranges::sort(found, std::greater{}, &Entry::made);
  return found;
}

std::vector<fs::path> Cache::leftovers() const {
  std::vector<fs::path> found;
  if (!fs::is_directory(root_)) return found;
  for (const auto& folder : fs::directory_iterator(root_)) {
    if (!folder.is_directory()) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == kPartial) found.push_back(entry.path());
    }
  }
  return found;
}

}  // namespace figment::host
