// SPDX-License-Identifier: MIT
//
// The cache: one folder per part and key, outside any checkout and shared by all of them.
//
//   CACHE/PART/KEY/          a complete entry: never written again, never half there
//   CACHE/PART/KEY/inputs    what the key was made of, one "digest label" a line
//   CACHE/PART/KEY.partial/  being made, or left behind by a run that was interrupted
//   CACHE/PART.lock          held while an entry of the part is made
//   CACHE/logs/              of builds
//
// An entry appears by one rename, after its content is on the disk. What was left behind is removed
// by the next run that makes the same entry.
#ifndef FIGMENT_PROGRAM_CACHE_H
#define FIGMENT_PROGRAM_CACHE_H

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "process.h"

namespace figment::host {

// SHA-256 in hex.
std::string digest(std::string_view bytes);
// Of a file's content, or of a folder's files: their names below it, contents and modes.
// Files that are not there have the digest "absent". Hidden files do not count.
std::string digest_of(const fs::path& path);

// What a part is made of, by name. The order does not matter.
class Inputs {
 public:
  void add(std::string label, std::string_view value);
  // A file or folder; `label` says where it is below the checkout.
  void add_path(std::string label, const fs::path& path);

  // 16 hex digits.
  std::string key() const;
  std::string text() const;
  static Inputs parse(std::string_view text);

  // Labels that are in only one of them or differ.
  std::vector<std::string> differences(const Inputs& other) const;

  bool operator==(const Inputs&) const = default;

 private:
  std::vector<std::pair<std::string, std::string>> entries_;  // label, digest; sorted by label
};

struct Entry {
  std::string part;
  std::string key;
  fs::path path;
  fs::file_time_type made;
};

// An exclusive lock on a file, held until destruction. `waiting` is called once when another
// process has it. Throws Interrupted while waiting.
class Lock {
 public:
  Lock(const fs::path& path, const std::function<void()>& waiting);

 private:
  Fd fd_;
};

class Cache {
 public:
  // With `make_nothing`, get() says where an entry would be and leaves the cache alone.
  explicit Cache(fs::path root, bool make_nothing = false)
      : root_(std::move(root)), make_nothing_(make_nothing) {}

  const fs::path& root() const { return root_; }
  fs::path log(std::string_view part) const;

  // The complete entry, if there is one.
  std::optional<fs::path> find(const std::string& part, const std::string& key) const;

  // The entry, made by `make` (which gets an empty folder) when it is not there.
  fs::path get(const std::string& part, const Inputs& inputs,
               const std::function<void(const fs::path&)>& make,
               const std::function<void()>& waiting) const;

  // A folder of the part that is kept and changed from run to run; hold `lock` while using it.
  fs::path workspace_path(const std::string& part, const std::string& key) const;
  std::vector<Entry> workspaces() const;
  fs::path lock_file(const std::string& part) const { return root_ / (part + ".lock"); }

  // Complete entries of a part (all parts: empty), newest first, and what was left behind.
  std::vector<Entry> entries(const std::string& part = {}) const;
  std::vector<fs::path> leftovers() const;

 private:
  fs::path root_;
  bool make_nothing_;
};

}  // namespace figment::host

#endif
