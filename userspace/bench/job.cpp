// SPDX-License-Identifier: MIT
#include "job.h"

#include <cerrno>
#include <stdexcept>

#include "figment/error.h"

namespace figment::bench {

void finish(const Fence& fence) {
  if (!fence.wait(after(kStuck))) throw std::runtime_error("a job did not end");
  if (const int error = fence.result().value_or(EBUSY)) figment::fail(error, "a job");
}

}  // namespace figment::bench
