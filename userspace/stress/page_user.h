// SPDX-License-Identifier: MIT
//
// PageUser is what the comparisons compare: something that takes the pages of a process and works
// on them later, past its page tables. A GPU is one; a direct read, the fixed buffers of an
// io_uring and a pipe are those that Linux has itself.
//
//   take(memory)     the pages that are there now; a GPU that follows the process looks again later
//   begin(n, held)   stamps n are on their way to every page; held: they do not get there, until
//   let_go()         says that they may
//   finish()         they have
//   read()           the marks of every page, as the user sees them
#pragma once

#include <memory>
#include <vector>

#include "compared_words.h"
#include "figment/types.h"
#include "slow_disk.h"
#include "stress_strategy.h"

namespace figment::stress {

enum class UserKind { direct_read, io_uring, vmsplice, gpu };

class PageUser {
 public:
  PageUser() = default;
  PageUser(const PageUser&) = delete;
  PageUser& operator=(const PageUser&) = delete;
  virtual ~PageUser() = default;

  virtual void take(ComparedMemory memory) = 0;
  virtual void begin(Sequence n, bool held) = 0;
  virtual void let_go() = 0;
  virtual void finish() = 0;
  [[nodiscard]] virtual std::vector<Word> read() = 0;
};

struct PageUserConfig {
  UserKind kind = UserKind::gpu;
  StressStrategy strategy = kStressStrategies.front();  // of a GPU
  Access access = Access::read_write;
  std::uint32_t pages = 64;
  unsigned gpu = 0;
  SlowDisk* disk = nullptr;  // for direct reads
};

/// Lacks: this kernel has no such thing.
[[nodiscard]] std::unique_ptr<PageUser> make_user(const PageUserConfig& config);

// The kinds. A user can do what its line of the plan says (compare_plan.h) and nothing else.
[[nodiscard]] std::unique_ptr<PageUser> make_direct_read(SlowDisk* disk);
[[nodiscard]] std::unique_ptr<PageUser> make_io_uring();
[[nodiscard]] std::unique_ptr<PageUser> make_pipe();
[[nodiscard]] std::unique_ptr<PageUser> make_gpu_user(const PageUserConfig& config);

}  // namespace figment::stress
