// SPDX-License-Identifier: MIT
//
// What figment-stress chain does, as a table: several GPUs on the same memory of a process that
// forks, and how long the notifiers may take (docs/chains.md).
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "figment/types.h"
#include "stress_strategy.h"

namespace figment::stress {

enum class ChainKind {
  chain,     // each GPU waits for the one before
  two_pass,  // each has jobs of its own; the driver as it is
  one_pass,  // the same, and each notifier waits before the next one is called
  pressure,  // chains while the kernel takes memory back from a cgroup
  kswapd,    // chains while it does so from everybody
  control,   // chains under `unsafe`
  hang,      // the job of one GPU of the chain never ends by itself
};

struct ChainKindInfo {
  ChainKind kind;
  std::string_view name;
  std::string_view what;
};

inline constexpr std::array kChainKinds = {
    ChainKindInfo{ChainKind::chain, "chain", "each GPU waits for the one before; fork() for all"},
    ChainKindInfo{ChainKind::two_pass, "two-pass", "GPUs with jobs of their own; fork() for all"},
    ChainKindInfo{ChainKind::one_pass, "one-pass",
                  "the same, and each notifier waits before the next one is called"},
    ChainKindInfo{ChainKind::pressure, "pressure", "chains in a small memory cgroup, with swap"},
    ChainKindInfo{ChainKind::kswapd, "kswapd",
                  "chains while kswapd makes room on the whole machine, with swap"},
    ChainKindInfo{ChainKind::control, "control", "chains under `unsafe`; must corrupt memory"},
    ChainKindInfo{ChainKind::hang, "hang", "one GPU of the chain hangs; only when asked for"},
};

constexpr const ChainKindInfo& info(ChainKind kind) {
  return *std::ranges::find(kChainKinds, kind, &ChainKindInfo::kind);
}

constexpr std::optional<ChainKind> chain_kind_named(std::string_view name) {
  const auto* found = std::ranges::find(kChainKinds, name, &ChainKindInfo::name);
  return found == kChainKinds.end() ? std::nullopt : std::optional(found->kind);
}

struct ChainConfig {
  ChainKind kind = ChainKind::chain;
  unsigned gpus = 2;
  std::uint64_t rounds = 8;               // each a fork with idle GPUs, and one with busy GPUs
  std::chrono::microseconds job{10'000};  // about the time of a job, by the device's clock
  std::uint64_t bytes = 256_KiB;
  std::uint64_t seed = 1;
  unsigned hang = 0;  // with ChainKind::hang: which GPU

  [[nodiscard]] constexpr const StressStrategy& strategy() const {
    return *stress_strategy_named(
        info(kind == ChainKind::control ? Strategy::unsafe : Strategy::fence).name);
  }
  /// Jobs of a GPU have nothing to do with those of the others.
  [[nodiscard]] constexpr bool apart() const {
    return kind == ChainKind::two_pass || kind == ChainKind::one_pass;
  }
  /// The kernel takes memory back meanwhile.
  [[nodiscard]] constexpr bool reclaims() const {
    return kind == ChainKind::pressure || kind == ChainKind::kswapd;
  }
};

struct ChainRequest {
  std::vector<unsigned> gpus;        // numbers of GPUs; empty: 2, 4, 8, as far as there are
  std::vector<ChainKind> kinds;      // empty: all but hang
  std::uint64_t rounds = 0;          // 0: as many as make sense
  std::chrono::microseconds job{0};  // 0: the same
  bool quick = false;
  std::uint64_t seed = 1;
  unsigned hang = 0;
};

/// The rows in their order. std::runtime_error: the guest has too few GPUs for them.
[[nodiscard]] std::vector<ChainConfig> chain_plan(const ChainRequest& request, unsigned there);

/// What a notifier may take, in the unit of its arguments: the jobs that it has to wait for, and
/// one and a half of what it takes when it has to wait for nothing.
[[nodiscard]] constexpr double chain_limit(double jobs, double idle) {
  return jobs + 1.5 * idle;
}
/// What the notifiers of GPUs with jobs of their own may take: `slowest` is the work that the
/// slowest one had in flight.
[[nodiscard]] constexpr double apart_limit(double slowest, double idle) {
  return 1.5 * slowest + 1.5 * idle;
}
/// From so many GPUs on the sum of all is out of reach of that limit.
inline constexpr unsigned kSumIsSeen = 4;
/// And what notifiers in one pass take at least, `sum` being the work that all had in flight. Each
/// finds between half of it and all.
[[nodiscard]] constexpr double one_pass_least(double sum) {
  return 0.5 * sum;
}

/// Jobs in flight on each GPU that has its own. It never rests: also who is called late finds work.
inline constexpr unsigned kChainInFlight = 2;

}  // namespace figment::stress
