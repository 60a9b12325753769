// SPDX-License-Identifier: MIT
#include "job.h"

#include <cerrno>
#include <chrono>
#include <stdexcept>

#include "figment/error.h"

namespace figment::bench {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);

}  // namespace

void finish(const Fence& fence) {
  if (!fence.wait(after(kStuck))) throw std::runtime_error("a job did not end");
  if (const int error = fence.result().value_or(EBUSY)) figment::fail(error, "a job");
}

EmptyJob::EmptyJob(const Device& device)
    : vm_(device.vm()), queue_(vm_.queue()), end_(device.syncobj()) {}

void EmptyJob::operator()() {
  queue_.submit({.at = GpuVa{}, .signal = {end_.binary()}});
  if (!end_.wait(after(kStuck))) throw std::runtime_error("an empty job did not end");
}

}  // namespace figment::bench
