// SPDX-License-Identifier: MIT
//
// Copies of sources for build systems that go by time stamps: a file that has the right content
// already keeps its time, so that only what really changed is compiled again. A copy serves several
// checkouts in turn; a file of one may be older than that of another and still differ.
#ifndef FIGMENT_PROGRAM_SOURCE_COPY_H
#define FIGMENT_PROGRAM_SOURCE_COPY_H

#include <utility>
#include <vector>

#include "process.h"

namespace figment::host {

// A file, and its name below the folder of the copies.
using SourceFiles = std::vector<std::pair<fs::path, fs::path>>;

// All files below `folder`, without hidden ones, under the names that they have there.
SourceFiles files_below(const fs::path& folder);

// Makes `folder` hold `files` and no others.
void refresh_sources(const SourceFiles& files, const fs::path& folder);

// One line after another one in a file of a foreign tree.
struct Hook {
  const char* file;
  const char* after;  // a line of the file, whole, or some; the first place counts
  const char* line;
};
// Throws Failure when the line is not there.
void apply(const Hook& hook, const fs::path& tree);

// A patch with one leading folder in its names (patch -p1). Throws Failure, with what patch says,
// when it does not apply whole.
void apply_patch(const fs::path& patch, const fs::path& tree);

}  // namespace figment::host

#endif
