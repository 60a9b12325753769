// SPDX-License-Identifier: MIT
#include "chain_plan.h"

#include <format>
#include <stdexcept>

namespace figment::stress {
namespace {

constexpr std::array kNumbers = {2u, 4u, 8u};

constexpr std::uint64_t kRounds = 8;
constexpr std::uint64_t kQuickRounds = 3;
constexpr std::chrono::microseconds kJob{10'000};
constexpr std::chrono::microseconds kQuickJob{5'000};

/// Longer jobs: than a fork() that waits for nothing takes on any machine, so that the control is
/// seen not to wait; and so that the kernel meets one when it takes pages.
constexpr unsigned kLongFactor = 4;
constexpr bool has_long_jobs(ChainKind kind) {
  return kind == ChainKind::control || kind == ChainKind::pressure || kind == ChainKind::kswapd;
}

/// What is done once, and not for each number of GPUs: with most of them.
constexpr bool is_done_once(ChainKind kind) {
  return kind == ChainKind::hang || has_long_jobs(kind);
}

}  // namespace

std::vector<ChainConfig> chain_plan(const ChainRequest& request, unsigned there) {
  std::vector<unsigned> numbers = request.gpus;
  if (numbers.empty()) {
    std::ranges::copy_if(kNumbers, std::back_inserter(numbers),
                         [&](unsigned gpus) { return gpus <= there; });
  }
  const unsigned most = numbers.empty() ? 2 : std::ranges::max(numbers);
  if (numbers.empty() || most > there) {
    throw std::runtime_error(std::format(
        "it needs {} GPUs, and there are {}: ./figment run --gpus {} -- ...", most, there, most));
  }
  const bool hangs = std::ranges::contains(request.kinds, ChainKind::hang);
  if (hangs && request.hang >= most) {
    throw std::runtime_error(std::format("GPU {} of {} cannot hang", request.hang, most));
  }

  std::vector<ChainConfig> rows;
  const auto add = [&](ChainKind kind, unsigned gpus) {
    rows.push_back({.kind = kind,
                    .gpus = gpus,
                    .rounds = request.rounds            ? request.rounds
                              : kind == ChainKind::hang ? 1
                              : request.quick           ? kQuickRounds
                                                        : kRounds,
                    .job = (request.job.count() ? request.job
                            : request.quick     ? kQuickJob
                                                : kJob) *
                           (has_long_jobs(kind) ? kLongFactor : 1),
                    .seed = request.seed,
                    .hang = request.hang});
  };
  for (const auto& [kind, name, what] : kChainKinds) {
    const bool asked = request.kinds.empty() ? kind != ChainKind::hang
                                             : std::ranges::contains(request.kinds, kind);
    if (!asked) continue;
    if (is_done_once(kind)) {
      add(kind, most);
    } else {
      for (const unsigned gpus : numbers) add(kind, gpus);
    }
  }
  return rows;
}

}  // namespace figment::stress
