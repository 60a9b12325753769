// SPDX-License-Identifier: MIT
//
// What every process of the tree, and the user of its pages, must see, if memory is private: a
// process sees what it has written since it was born, and what its parent had until then; the user
// reads and writes the memory of the process that has taken its pages.
#pragma once

#include <array>

#include "compared_words.h"

namespace figment::stress {

class TreeModel {
 public:
  explicit TreeModel(Who binder) : binder_(binder) {}

  void fork(Who parent, Who child) { memory(child) = memory(parent); }
  void write_mark(Who process, Sequence n) { memory(process).marks.write({process, n}); }
  /// By the user.
  void write_stamp(Sequence n) { memory(binder_).stamps.write({Who::user, n}); }

  [[nodiscard]] const History& marks(Who viewer) const {
    return memory(viewer == Who::user ? binder_ : viewer).marks;
  }
  [[nodiscard]] const History& stamps(Who process) const { return memory(process).stamps; }

 private:
  struct Memory {
    History marks;
    History stamps;
  };

  Memory& memory(Who process) { return memories_[static_cast<std::size_t>(process)]; }
  [[nodiscard]] const Memory& memory(Who process) const {
    return memories_[static_cast<std::size_t>(process)];
  }

  Who binder_;
  std::array<Memory, 3> memories_;
};

}  // namespace figment::stress
