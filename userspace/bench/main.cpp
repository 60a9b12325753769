// SPDX-License-Identifier: MIT
//
// figment-bench: what a job, a copied byte and a fork cost, each beside a peer that
// was measured in the same run on the same machine. Exit status: 0; 1 something could
// not be measured; 2 wrong usage.
#include <CLI/CLI.hpp>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>
#include <print>
#include <string>
#include <vector>

#include "figment/device.h"
#include "measure.h"
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
};

constexpr std::uint64_t kCopySizes[] = {4_KiB, 64_KiB, 1_MiB, 16_MiB};
constexpr std::uint64_t kForkSizes[] = {1_MiB, 64_MiB};
constexpr unsigned kCopySamples = 10;
constexpr unsigned kForkSamples = 50;

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
  const RoundTrips trips = round_trips_us(device, options.disk, options.samples);
  const Summary job = summarise(trips.job_us);
  print_latency("empty job, submit to wait", job);
  Json result = {{"empty_job_us", in_json(job)}};
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

Json copies(const Device& device) {
  std::println("\n{:<44} {:>10} {:>10}", "COPY, GB/s", "p50", "max");
  Json result = Json::array();
  for (const Placement to : {Placement::system, Placement::vram}) {
    const std::string_view name = to == Placement::vram ? "VRAM" : "system";
    for (const std::uint64_t bytes : kCopySizes) {
      if (to == Placement::vram && bytes > device.info().vram_bytes) continue;
      const Summary rate = summarise(copy_bytes_per_second(device, to, bytes, kCopySamples));
      std::println("{:<44} {:>10.2f} {:>10.2f}",
                   std::format("system to {}, {}", name, size_in_words(bytes)), rate.p50 / 1e9,
                   rate.max / 1e9);
      result.push_back({{"to", name}, {"bytes", bytes}, {"bytes_per_second", in_json(rate)}});
    }
  }
  return result;
}

Json forks(const Device& device) {
  std::println("\n{:<44} {:>10} {:>10} {:>10} {:>10}", "fork() with idle GPU, us", "min", "p50",
               "p99", "max");
  Json result = Json::array();
  for (const std::uint64_t bytes : kForkSizes) {
    const Summary us = summarise(fork_us(device, bytes, kForkSamples));
    print_latency(std::format("{} touched", size_in_words(bytes)), us);
    result.push_back({{"touched_bytes", bytes}, {"us", in_json(us)}});
  }
  return result;
}

int run(const Options& options) {
  const Device device = Device::open(options.gpu);
  Json all = {{"version", 1}};
  all["round_trip"] = round_trips(device, options);
  all["copy"] = copies(device);
  all["fork_idle"] = forks(device);
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
