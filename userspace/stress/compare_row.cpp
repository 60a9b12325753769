// SPDX-License-Identifier: MIT
#include "compare_row.h"

#include <unistd.h>

#include <format>
#include <stdexcept>

#include "figment/device.h"
#include "kernel_log.h"
#include "process.h"

namespace figment::stress {
namespace {

/// For a whole row; what waits for something in it gives up much sooner.
constexpr auto kStuck = std::chrono::minutes(30);

[[noreturn]] void become_first(const CompareRowConfig& config, CompareStage& stage) {
  die_with_parent();
  try {
    if (config.comparison == Comparison::direct) {
      run_direct_rounds(config, stage);
    } else {
      run_tree_rounds(config, stage);
    }
  } catch (const Lacks& lacks) {
    stage.skipped.set(lacks.what());
  } catch (const std::exception& error) {
    stage.failure.set(error.what());
  }
  ::_exit(stage.failure ? 1 : 0);
}

}  // namespace

CompareResult run_compare_row(const CompareRowConfig& config) {
  CompareResult result{.config = config};
  const auto start = Clock::now();
  KernelLog log;
  SharedObject<CompareStage> stage;
  const pid_t first = ::fork();
  if (first == 0) become_first(config, *stage);
  if (first < 0) throw std::runtime_error("a process could not be forked");
  if (const auto trouble = reap(first, after(kStuck))) stage->failure.set(*trouble);
  if (config.disk) config.disk->let_go();

  result.rounds = stage->rounds;
  result.wrong_rounds = stage->wrong_rounds;
  result.sightings = stage->sightings;
  result.skipped = stage->skipped.get();
  if (const auto why = stage->failure.get(); !why.empty()) result.failures.push_back(why);
  for (auto& report : log.take_reports()) {
    ++result.kernel_reports;
    result.failures.push_back("kernel: " + report);
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

std::vector<std::string> complaints(const CompareResult& row) {
  std::vector<std::string> found = row.failures;
  // What was skipped has judged nothing, but the kernel's word stands.
  if (!row.skipped.empty()) return found;
  if (found.empty() && row.rounds == 0) found.emplace_back("nothing was done");
  if (found.empty() && row.sightings.words() == 0) found.emplace_back("no word was checked");
  const CompareUser& user = row.config.user;
  if (user.is_gpu() && user.strategy.safe && row.sightings.wrong()) {
    found.push_back(std::format("{} words were lost and {} leaked, in {} of {} rounds",
                                row.sightings.count(Judgement::lost),
                                row.sightings.count(Judgement::leaked), row.wrong_rounds,
                                row.rounds));
  }
  if (found.empty() && must_catch(row.config) && row.sightings.wrong() == 0) {
    found.emplace_back("the control corrupted nothing: the detector is blind");
  }
  return found;
}

std::string_view verdict(const CompareResult& row) {
  if (!row.failures.empty()) return "failed";
  if (!row.skipped.empty()) return "skipped";
  if (!complaints(row).empty()) return "wrong";
  if (row.sightings.wrong() == 0) return "right";
  return row.config.user.is_gpu() ? "caught" : "told";
}

}  // namespace figment::stress
