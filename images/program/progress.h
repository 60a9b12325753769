// SPDX-License-Identifier: MIT
//
// Progress of figment-stress, "[3/10] ...", on stderr: one line that changes when somebody watches,
// so that its table stays a table.
#ifndef FIGMENT_PROGRAM_PROGRESS_H
#define FIGMENT_PROGRAM_PROGRESS_H

#include <cstdint>
#include <string>
#include <string_view>

namespace figment::host {

// 10 of "[3/10] ..."; zero for any other line.
std::uint64_t progress_total(std::string_view line);

class Progress {
 public:
  Progress();

  // What the tool has written to stderr.
  void take(std::string_view bytes);
  // Before anything else is written to the terminal.
  void clear();
  // How many rows it wants to do; zero until it has said so.
  std::uint64_t total() const { return total_; }

 private:
  const bool terminal_;
  bool shown_ = false;
  std::uint64_t total_ = 0;
  std::string partial_;
};

}  // namespace figment::host

#endif
