// SPDX-License-Identifier: MIT
//
// A process of this program that works beside it and sends lines. A process and not a thread:
// starting children from one thread while others run is no place for surprises.
#ifndef FIGMENT_PROGRAM_WORKER_H
#define FIGMENT_PROGRAM_WORKER_H

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "process.h"

namespace figment::host {

// Sends one line; it has no newline in it. It waits while nobody reads.
using SendLine = std::function<void(std::string_view line)>;

class Worker {
 public:
  // Begins `work` in a process of its own, which ends with this one. `name` is for messages
  // ("explore: a process that runs seeds").
  Worker(std::string name, const std::function<void(const SendLine&)>& work);
  Worker(Worker&& other) noexcept;
  Worker& operator=(Worker&&) = delete;
  // Ends it, whatever it does.
  ~Worker();

  // Readable when take() has something to say.
  int fd() const { return lines_.get(); }
  // Whether it may send more.
  bool open() const { return open_; }

  // The lines that have come; waits for the first. None when it has ended; throws Failure when it
  // did not end well, and Interrupted when a signal asked all of us to end.
  std::vector<std::string> take();

 private:
  void finish();

  std::string name_;
  pid_t pid_ = -1;
  Fd lines_;
  bool open_ = true;
  std::string pending_;
};

}  // namespace figment::host

#endif
