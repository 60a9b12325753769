// SPDX-License-Identifier: MIT
//
// figment-bench: what a job, a copied byte, a fork and a page fault of the GPU cost, each beside a
// peer that was measured in the same run on the same machine; docs/figures.md. Exit status: 0; 1
// something could not be measured; 2 wrong usage.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>
#include <print>
#include <string>
#include <vector>

#include "engine_scaling.h"
#include "fault_rates.h"
#include "figment/device.h"
#include "measure.h"
#include "notifier_cost.h"
#include "reset_times.h"
#include "statistics.h"

namespace {

using namespace figment;
using namespace figment::bench;
using Json = nlohmann::ordered_json;

struct Options {
  unsigned gpu = 0;
  unsigned samples = 2000;
  std::string disk = "/dev/nvme0n1";
  std::string json;
  std::vector<std::string> only;
  bool quick = false;
};

constexpr std::uint64_t kCopySizes[] = {4_KiB, 64_KiB, 1_MiB, 16_MiB};
constexpr std::uint64_t kForkSizes[] = {1_MiB, 64_MiB};
constexpr unsigned kCopySamples = 10;
constexpr unsigned kForkSamples = 50;
constexpr unsigned kFaultTurns = 9;
constexpr unsigned kNotifierTurns = 7;
constexpr unsigned kEngineTurns = 9;
constexpr unsigned kResetTurns = 9;
// Enough to see that everything can be measured, and not more.
constexpr unsigned kQuickSamples = 3;

Json in_json(const Summary& summary) {
  return {{"samples", summary.count},
          {"min", summary.min},
          {"p50", summary.p50},
          {"p99", summary.p99},
          {"max", summary.max}};
}

std::string size_in_words(std::uint64_t bytes) {
  return bytes >= 1_MiB ? std::format("{} MiB", bytes >> 20) : std::format("{} KiB", bytes >> 10);
}

void print_latency(std::string_view what, const Summary& us) {
  std::println("{:<44} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f}", what, us.min, us.p50, us.p99,
               us.max);
}

Json round_trips(const Device& device, const Options& options) {
  std::println("{:<44} {:>10} {:>10} {:>10} {:>10}", "round trip, us", "min", "p50", "p99", "max");
  const unsigned samples = options.quick ? 10 * kQuickSamples : options.samples;
  const RoundTrips trips = round_trips_us(device, options.disk, samples);
  const Summary job = summarise(trips.job_us);
  print_latency("empty job, submit to wait", job);
  Json result = {
      {"empty_job_us", in_json(job)}, {"user_fence_us", nullptr}, {"user_queue_us", nullptr}};
  if (!trips.user_queue_us.empty()) {
    const Summary fence = summarise(trips.user_fence_us);
    print_latency("RELEASE, submit to wait for its user fence", fence);
    const Summary queue = summarise(trips.user_queue_us);
    print_latency("the same by a user queue, doorbell to wait", queue);
    result["user_fence_us"] = in_json(fence);
    result["user_queue_us"] = in_json(queue);
  }
  if (trips.read_us.empty()) {
    std::println("4 KiB O_DIRECT read: not measured ({})", trips.why_no_reads);
    result["disk_read_us"] = nullptr;
    result["disk_read_why_not"] = trips.why_no_reads;
    return result;
  }
  const Summary read = summarise(trips.read_us);
  print_latency(std::format("4 KiB O_DIRECT read of {}", options.disk), read);
  std::println("{:<44} {:>10} {:>10.2f}", "job / read", "", job.p50 / read.p50);
  result["disk_read_us"] = in_json(read);
  result["job_per_read"] = job.p50 / read.p50;
  return result;
}

Json copies(const Device& device, const Options& options) {
  std::println("\n{:<44} {:>10} {:>10}", "COPY, GB/s", "p50", "max");
  Json result = Json::array();
  for (const Placement to : {Placement::system, Placement::vram}) {
    const std::string_view name = to == Placement::vram ? "VRAM" : "system";
    for (const std::uint64_t bytes : kCopySizes) {
      if (to == Placement::vram && bytes > device.info().vram_bytes) continue;
      const Summary rate = summarise(
          copy_bytes_per_second(device, to, bytes, options.quick ? kQuickSamples : kCopySamples));
      std::println("{:<44} {:>10.2f} {:>10.2f}",
                   std::format("system to {}, {}", name, size_in_words(bytes)), rate.p50 / 1e9,
                   rate.max / 1e9);
      result.push_back({{"to", name}, {"bytes", bytes}, {"bytes_per_second", in_json(rate)}});
    }
  }
  return result;
}

Json forks(const Device& device, const Options& options) {
  std::println("\n{:<44} {:>10} {:>10} {:>10} {:>10}", "fork() with idle GPU, us", "min", "p50",
               "p99", "max");
  Json result = Json::array();
  for (const std::uint64_t bytes : kForkSizes) {
    const Summary us =
        summarise(fork_us(device, bytes, options.quick ? kQuickSamples : kForkSamples));
    print_latency(std::format("{} touched", size_in_words(bytes)), us);
    result.push_back({{"touched_bytes", bytes}, {"us", in_json(us)}});
  }
  return result;
}

Json faults(const Device& device, const Options& options) {
  std::println("\n{:<44} {:>10} {:>10} {:>10} {:>10}", "pages that were missing, pages/s", "min",
               "p50", "max", "faults");
  Json result = Json::array();
  for (const FaultCase& what : fault_cases(options.quick)) {
    std::println("{} of {}, {} missing, {}", what.pages, size_in_words(what.page_bytes),
                 name_of(what.missing), name_of(what.ask));
    Json readers = Json::array();
    for (const FaultSeries& series :
         fault_rates(device, what, options.quick ? kQuickSamples : kFaultTurns)) {
      Json reader = {{"reader", series.reader}, {"device", series.device}};
      if (!series.why_not.empty()) {
        std::println("  {:<42} not measured ({})", series.reader, series.why_not);
        reader["pages_per_second"] = nullptr;
        reader["why_not"] = series.why_not;
        readers.push_back(std::move(reader));
        continue;
      }
      const Summary rate = summarise(series.pages_per_second);
      reader["pages_per_second"] = in_json(rate);
      std::string count = "-";
      if (!series.faults.empty()) {
        reader["faults"] = summarise(series.faults).p50;
        count = std::format("{:.0f}", summarise(series.faults).p50);
      }
      std::println("  {:<42} {:>10.0f} {:>10.0f} {:>10.0f} {:>10}", series.reader, rate.min,
                   rate.p50, rate.max, count);
      readers.push_back(std::move(reader));
    }
    result.push_back({{"page_bytes", what.page_bytes},
                      {"pages", what.pages},
                      {"missing", name_of(what.missing)},
                      {"ask", name_of(what.ask)},
                      {"readers", std::move(readers)}});
  }
  return result;
}

Json notifiers(const Device& device, const Options& options) {
  const std::uint64_t bytes = options.quick ? 4_MiB : 32_MiB;
  std::println("\n{:<44} {:>10} {:>10} {:>10}", "notifier, us per 1,000 pages, p50", "CPU",
               "asleep", "whole call");
  Json result = Json::array();
  for (const std::uint64_t page_bytes : {kPageBytes, kHugePageBytes}) {
    for (const TakenBy how : kTakenBy) {
      std::println("{} of {} in pages of {}", name_of(how), size_in_words(bytes),
                   size_in_words(page_bytes));
      Json all = Json::array();
      for (const NotifierCost& cost : notifier_costs(
               device, how, bytes, page_bytes, options.quick ? kQuickSamples : kNotifierTurns)) {
        const Summary call = summarise(cost.call_us);
        Json one = {{"who", cost.who}, {"call_us", in_json(call)}};
        if (cost.cpu_us.empty()) {
          std::println("  {:<42} {:>10} {:>10} {:>10.1f}  {}", cost.who, "-", "-", call.p50,
                       cost.why_not);
          one["cpu_us"] = one["waited_us"] = nullptr;
          one["why_not"] = cost.why_not;
        } else {
          const Summary cpu = summarise(cost.cpu_us), waited = summarise(cost.waited_us);
          std::println("  {:<42} {:>10.2f} {:>10.2f} {:>10.1f}", cost.who, cpu.p50, waited.p50,
                       call.p50);
          one["cpu_us"] = in_json(cpu);
          one["waited_us"] = in_json(waited);
          one["notifications"] = cost.notifications;
        }
        all.push_back(std::move(one));
      }
      result.push_back({{"taken_by", name_of(how)},
                        {"bytes", bytes},
                        {"page_bytes", page_bytes},
                        {"per_pages", 1000},
                        {"costs", std::move(all)}});
    }
  }
  return result;
}

Json engines(const Device& device, const Options& options) {
  std::println("\n{:<44} {:>10} {:>10} {:>10}", "engines, jobs/s, p50", "one", "all", "scaling");
  Json result = Json::array();
  for (const Busy with : kBusy) {
    const EngineScaling scaling =
        engine_scaling(device, with, options.quick ? kQuickSamples : kEngineTurns);
    const Summary one = summarise(scaling.one), all = summarise(scaling.all);
    std::println("{:<44} {:>10.0f} {:>10.0f} {:>10.2f}",
                 std::format("{}, {} engines", name_of(with), scaling.engines), one.p50, all.p50,
                 all.p50 / one.p50);
    result.push_back({{"busy_with", name_of(with)},
                      {"engines", scaling.engines},
                      {"one_per_second", in_json(one)},
                      {"all_per_second", in_json(all)}});
  }
  return result;
}

Json resets(const Device& device, const Options& options) {
  std::println("\n{:<44} {:>10} {:>10} {:>10}", "reset to the end of the first work, ms", "min",
               "p50", "max");
  Json result = Json::array();
  for (const ResetTimes& times :
       reset_times(device, options.disk, options.quick ? kQuickSamples : kResetTurns)) {
    Json one = {{"what", times.what}};
    if (times.ms.empty()) {
      std::println("{:<44} not measured ({})", times.what, times.why_not);
      one["ms"] = nullptr;
      one["why_not"] = times.why_not;
    } else {
      const Summary ms = summarise(times.ms);
      std::println("{:<44} {:>10.1f} {:>10.1f} {:>10.1f}", times.what, ms.min, ms.p50, ms.max);
      one["ms"] = in_json(ms);
    }
    result.push_back(std::move(one));
  }
  return result;
}

struct Section {
  const char* name;  // also the key in JSON
  Json (*measure)(const Device&, const Options&);
};
constexpr std::array kSections = {Section{"round_trip", round_trips},
                                  Section{"copy", copies},
                                  Section{"fork_idle", forks},
                                  Section{"faults", faults},
                                  Section{"notifier", notifiers},
                                  Section{"engines", engines},
                                  Section{"reset", resets}};

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const Section& section : kSections) names.emplace_back(section.name);
  return names;
}

int run(const Options& options) {
  const Device device = Device::open(options.gpu);
  Json all = {{"version", 1}};
  for (const Section& section : kSections) {
    if (options.only.empty() || std::ranges::contains(options.only, section.name)) {
      all[section.name] = section.measure(device, options);
    }
  }
  if (options.json.empty()) return 0;
  if (options.json == "-") {
    std::println("{}", all.dump());
    return 0;
  }
  std::ofstream out(options.json);
  out << all.dump() << '\n';
  out.close();
  if (!out) throw std::runtime_error(std::format("{} cannot be written", options.json));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures a Figment GPU, with peers in the same run.");
  Options options;
  app.add_option("--gpu", options.gpu, "Which Figment GPU, from 0")->capture_default_str();
  app.add_option("--samples", options.samples, "Round trips to measure")
      ->capture_default_str()
      ->check(CLI::Range(10u, 10'000'000u));
  app.add_option("--disk", options.disk, "Disk whose reads are the peer of a job")
      ->capture_default_str();
  app.add_option("--json", options.json, "File that gets the results as JSON; - is stdout")
      ->type_name("FILE");
  app.add_option("--only", options.only, "What to measure, instead of everything")
      ->delimiter(',')
      ->check(CLI::IsMember(section_names()));
  app.add_flag("--quick", options.quick, "Few samples: shows what can be measured, and no figures");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::println(stderr, "figment-bench: {}", error.what());
    return 1;
  }
}
