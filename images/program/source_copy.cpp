// SPDX-License-Identifier: MIT
#include "source_copy.h"

#include <algorithm>

namespace figment::host {

SourceFiles files_below(const fs::path& folder) {
  SourceFiles files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::end(it); ++it) {
    if (it->path().filename().string().starts_with('.')) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (it->is_regular_file()) files.emplace_back(it->path(), fs::relative(it->path(), folder));
  }
  std::ranges::sort(files);
  return files;
}

void refresh_sources(const SourceFiles& files, const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto& [from, name] : files) {
    const fs::path to = folder / name;
    const std::string content = read_file(from);
    if (fs::exists(to) && read_file(to) == content) continue;
    fs::create_directories(to.parent_path());
    write_file(to, content);
  }
  std::vector<fs::path> stale;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_directory()) continue;
    const fs::path name = fs::relative(file.path(), folder);
    if (std::ranges::find(files, name, &SourceFiles::value_type::second) == files.end()) {
      stale.push_back(file.path());
    }
  }
  for (const fs::path& file : stale) fs::remove(file);
}

void apply(const Hook& hook, const fs::path& tree) {
  std::string text = read_file(tree / hook.file);
  const std::string after = "\n" + std::string{hook.after} + "\n";
  const std::size_t at = text.find(after);
  if (at == text.npos) {
    throw Failure((tree / hook.file).string() + " has no line " + hook.after);
  }
  text.insert(at + after.size(), std::string{hook.line} + "\n");
  write_file(tree / hook.file, text);
}

void apply_patch(const fs::path& patch, const fs::path& tree) {
  // No files beside the sources: they would be taken for a part of them.
  const Output applied =
      capture({"patch", "--batch", "--forward", "--no-backup-if-mismatch", "--reject-file=-",
               "--directory=" + tree.string(), "--strip=1", "--input=" + patch.string()},
              {}, true);
  if (applied.status != 0) {
    throw Failure(patch.string() + " does not apply:\n" + applied.text);
  }
}

}  // namespace figment::host
