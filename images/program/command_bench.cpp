// SPDX-License-Identifier: MIT
//
// bench: figures as ratios, each beside a peer that was measured in the same run on this machine.
//
//   round trip   an empty job, submit to wait; a 4 KiB O_DIRECT read of QEMU's NVMe device with a
//                null backend, in the same guest; a user queue beside SUBMIT
//   COPY         16 MiB, in the guest; memcpy here
//   warm run     all of `./figment run -- true`; the same kernel and root without a GPU, from the
//                start of QEMU to its end
//   edit run     the same after one file of the driver was compiled again; a fixed limit
//   faults       pages that the GPU misses, per second; test_hmm, a device of the kernel's own, in
//                the same guest
//   notifier     processor time of the driver's notifier; no peer has one
//   engines      the same jobs by one queue and by one for each engine
//   reset        FLR of the GPU to the end of the first job; of the NVMe device, to that of a read
//   model        the model by itself, without QEMU; no peer
//
// --only takes some of it; docs/figures.md defines all of it.
//
// A missed target is said and does not change the exit status: a busy machine misses some.
#include <algorithm>
#include <cstring>
#include <format>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "commands.h"

namespace figment::host {

namespace {

using Json = nlohmann::ordered_json;
using Seconds = std::chrono::duration<double>;

struct Row {
  std::string what;
  double value;
  std::string unit;
  std::string peer;
  double peer_value;
  std::optional<double> target;  // nothing: it is shown, and that is all
  bool at_most;  // the ratio value / peer is to be at most the target; else at least

  double ratio() const { return value / peer_value; }
  bool met() const { return !target || (at_most ? ratio() <= *target : ratio() >= *target); }
};

double median(std::vector<double> values) {
  if (values.empty()) throw Failure("bench: nothing was measured");
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Bytes per second of single copies that do not fit the caches of a core.
std::vector<double> memcpy_rates(std::size_t bytes, unsigned samples) {
  std::vector<char> from(bytes, 1), to(bytes, 2);
  std::vector<double> rates;
  for (unsigned i = 0; i < samples; ++i) {
    from[i % bytes] = static_cast<char>(i);
    const auto begin = Clock::now();
    std::memcpy(to.data(), from.data(), bytes);
    const double seconds = Seconds(Clock::now() - begin).count();
    // Reads the result, so that the copy is not optimised away.
    if (to[i % bytes] != static_cast<char>(i)) throw Failure("bench: memcpy is broken");
    rates.push_back(static_cast<double>(bytes) / seconds);
  }
  return rates;
}

// Parts of figment-bench, which have names of their own there, and what is measured here.
constexpr std::string_view kGuestParts[] = {"round_trip", "copy",    "fork_idle", "faults",
                                            "notifier",   "engines", "reset"};
constexpr std::string_view kModel = "model", kBoot = "boot";

bool wanted(const Options& options, std::string_view part) {
  return options.arguments.empty() || std::ranges::contains(options.arguments, part);
}

void check_parts(const Options& options) {
  std::string all;
  for (const std::string_view part : kGuestParts) all += std::string{part} + ", ";
  for (const std::string& part : options.arguments) {
    if (part == kModel || part == kBoot || std::ranges::contains(kGuestParts, part)) continue;
    throw UsageError("bench: there is no '" + part + "'; parts: " + all + "model, boot");
  }
}

// Nothing when no part of it is wanted.
Json guest_results(Workshop& workshop, const Options& options) {
  const VmOptions& vm = options.vm;
  std::string parts;
  for (const std::string_view part : kGuestParts) {
    if (wanted(options, part)) parts += (parts.empty() ? "" : ",") + std::string{part};
  }
  if (parts.empty()) return Json::object();
  const fs::path folder = run_folder(workshop.places());
  const fs::path results = folder / "results";
  fs::create_directories(results);
  Prepared prepared =
      prepare(workshop, vm,
              {.command = {"figment-bench", "--only", parts, "--json", results / "bench.json"},
               .shares = {{.folder = results, .mount = results, .writable = true}},
               .null_nvme = true,
               .directory = "/root"});
  prepared.session.folder = folder;
  std::string output;
  prepared.session.on_stdout =
      prepared.session.on_stderr = [&](std::string_view bytes) { output += bytes; };
  std::cerr << "figment: bench: figment-bench in a guest (about 5 min)\n";
  const Verdict verdict =
      run_guest(prepared.guest, prepared.session, make_judge(workshop.places()));
  if (verdict.exit_status() != 0) {
    throw Failure("bench: figment-bench failed\n" + output + verdict.explanation());
  }
  return Json::parse(read_file(results / "bench.json"));
}

Json model_results(Workshop& workshop) {
  const fs::path program = workshop.meson_product("model-bench");
  workshop.programs({program.lexically_relative(workshop.meson_folder())});
  std::cerr << "figment: bench: the model by itself (about 30 s)\n";
  const Output output = capture({program, "--benchmark_format=json", "--benchmark_min_time=0.2s"});
  if (output.status != 0) throw Failure("bench: model-bench failed");
  return Json::parse(output.text).at("benchmarks");
}

// From the start of QEMU to its end.
double boot_without_gpu(Workshop& workshop, VmOptions vm) {
  vm.gpus = 0;
  Prepared prepared = prepare(
      workshop, vm, {.command = {"true"}, .shares = {}, .null_nvme = false, .directory = "/root"});
  prepared.session.folder = run_folder(workshop.places());
  const Verdict verdict =
      run_guest(prepared.guest, prepared.session, make_judge(workshop.places()));
  if (verdict.exit_status() != 0) throw Failure("bench: " + verdict.explanation());
  return Seconds(verdict.until_end).count();
}

double whole_run(Workshop& workshop, const VmOptions& vm) {
  const auto begin = Clock::now();
  const Output output =
      capture({workshop.places().checkout / "figment", "run", "--kernel", vm.kernel, "--", "true"},
              {}, true);
  if (output.status != 0) throw Failure("bench: figment run failed\n" + output.text);
  return Seconds(Clock::now() - begin).count();
}

// As if one file of the driver had been edited: its object is gone, and what was linked from it.
void forget_one_object(Workshop& workshop, const VmOptions& vm) {
  const Driver driver = workshop.driver(workshop.kernel(vm.kernel));
  fs::remove(driver.module.parent_path() / "figment_vm.o");
  fs::remove(driver.module.string() + ".inputs");
}

void add_boot_rows(Workshop& workshop, const VmOptions& vm, std::vector<Row>& rows) {
  constexpr unsigned kSamples = 5;
  std::cerr << "figment: bench: warm runs (about 2 min)\n";
  std::vector<double> with, without;
  whole_run(workshop, vm);  // everything is made and in the page cache after this one
  for (unsigned i = 0; i < kSamples; ++i) {
    without.push_back(boot_without_gpu(workshop, vm));
    with.push_back(whole_run(workshop, vm));
  }
  rows.push_back({"warm figment run -- true", median(with), "s", "boot without GPU",
                  median(without), 1.3, true});
  forget_one_object(workshop, vm);
  rows.push_back(
      {"the same, one driver file edited", whole_run(workshop, vm), "s", "limit", 20, 1, true});
}

const Json* reader_of(const Json& what, std::string_view name) {
  for (const Json& reader : what.at("readers")) {
    if (reader.at("reader") == name && !reader.at("pages_per_second").is_null()) return &reader;
  }
  return nullptr;
}

// Beside test_hmm, which has one thread: with more queues, and where most of the time goes into
// copying 2 MiB, the figures are no answer to the same question, and have no target.
void add_fault_rows(const Json& cases, std::vector<Row>& rows) {
  for (const Json& what : cases) {
    const Json* peer = reader_of(what, "test_hmm");
    if (!peer) {
      std::cerr << std::format(
          "figment: bench: no peer for {} missing, {}: test_hmm was not measured\n",
          what.at("missing").get<std::string>(), what.at("ask").get<std::string>());
      continue;
    }
    const bool huge = what.at("page_bytes") != 4096;
    for (const std::string name : {"userptr", "userptr, 16 queues", "svm", "svm, 16 queues"}) {
      const Json* reader = reader_of(what, name);
      if (!reader) continue;
      rows.push_back({std::format("{}, {} missing, {}: {}", huge ? "2 MiB" : "4 KiB",
                                  what.at("missing").get<std::string>(),
                                  what.at("ask").get<std::string>(), name),
                      (*reader)["pages_per_second"]["p50"].get<double>() / 1000, "k/s", "test_hmm",
                      (*peer)["pages_per_second"]["p50"].get<double>() / 1000,
                      huge || name.contains("queues") ? std::nullopt : std::optional(1.0), false});
    }
  }
}

// Engines that spin need nothing of the host; what they copy is done by one thread of it, for all
// engines, and has no target.
void add_engine_rows(const Json& cases, std::vector<Row>& rows) {
  for (const Json& busy : cases) {
    const bool spins = busy.at("busy_with") == "spin";
    rows.push_back(
        {std::format("{} engines, {}", busy.at("engines").get<unsigned>(),
                     spins ? "SPIN of 1 ms" : "COPY of 4 MiB"),
         busy["all_per_second"]["p50"], "/s", "one engine", busy["one_per_second"]["p50"],
         spins ? std::optional(0.9 * busy.at("engines").get<unsigned>()) : std::nullopt, false});
  }
}

// The kernel waits a tenth of a second in each, as the specification of PCI Express has it.
void add_reset_rows(const Json& resets, std::vector<Row>& rows) {
  const auto ms_of = [&resets](std::string_view what) -> std::optional<double> {
    for (const Json& reset : resets) {
      if (reset.at("what") == what && !reset.at("ms").is_null()) return reset["ms"]["p50"];
    }
    std::cerr << std::format("figment: bench: no reset of the {} was measured\n", what);
    return std::nullopt;
  };
  const auto gpu = ms_of("function"), disk = ms_of("disk"), queue = ms_of("queue");
  if (gpu && disk) {
    rows.push_back({"FLR to the first job", *gpu, "ms", "FLR of NVMe to a read", *disk, 1.5, true});
  }
  if (gpu && queue) {
    rows.push_back({"hang, from its time limit to the next job", *queue, "ms",
                    "FLR to the first job", *gpu, std::nullopt, true});
  }
}

void print_notifiers(const Json& cases) {
  std::cout << std::format("\n{:<52} {:>10} {:>10} {:>10}\n", "notifier, us per 1,000 pages", "CPU",
                           "asleep", "call");
  const auto p50 = [](const Json& summary) {
    return summary.is_null() ? std::string("-")
                             : std::format("{:.2f}", summary["p50"].get<double>());
  };
  for (const Json& what : cases) {
    for (const Json& cost : what.at("costs")) {
      std::cout << std::format("{:<52} {:>10} {:>10} {:>10}\n",
                               std::format("{}, {} pages, {}", what["taken_by"].get<std::string>(),
                                           what["page_bytes"] == 4096 ? "4 KiB" : "2 MiB",
                                           cost["who"].get<std::string>()),
                               p50(cost["cpu_us"]), p50(cost["waited_us"]), p50(cost["call_us"]));
    }
  }
}

void print_rows(const std::vector<Row>& rows) {
  std::cout << std::format("{:<46} {:>12} {:<20} {:>12} {:>7} {:>8}\n", "measured", "value", "peer",
                           "value", "ratio", "target");
  for (const Row& row : rows) {
    std::cout << std::format(
        "{:<46} {:>7.2f} {:<4} {:<20} {:>7.2f} {:<4} {:>7.2f} {:>3} {:>4}{}\n", row.what, row.value,
        row.unit, row.peer, row.peer_value, row.unit, row.ratio(),
        !row.target   ? ""
        : row.at_most ? "<="
                      : ">=",
        row.target ? std::format("{:.2f}", *row.target) : "-", row.met() ? "" : "  missed");
  }
}

void print_model(const Json& benchmarks) {
  std::cout << std::format("\n{:<52} {:>14} {:>16}\n", "model alone", "time", "rate");
  for (const Json& entry : benchmarks) {
    std::string rate;
    if (entry.contains("items_per_second")) {
      rate = std::format("{:.2f} M/s", entry["items_per_second"].get<double>() / 1e6);
    } else if (entry.contains("bytes_per_second")) {
      rate = std::format("{:.2f} GB/s", entry["bytes_per_second"].get<double>() / 1e9);
    }
    std::cout << std::format("{:<52} {:>11.1f} {:<2} {:>16}\n", entry["name"].get<std::string>(),
                             entry["real_time"].get<double>(),
                             entry["time_unit"].get<std::string>(), rate);
  }
}

Json in_json(const Row& row) {
  return {{"what", row.what},
          {"value", row.value},
          {"unit", row.unit},
          {"peer", row.peer},
          {"peer_value", row.peer_value},
          {"ratio", row.ratio()},
          {"target", row.target ? Json(*row.target) : Json()},
          {"at_most", row.at_most},
          {"met", row.met()}};
}

}  // namespace

int bench_command(const Options& options) {
  check_parts(options);
  Workshop workshop(Places::from_environment(), options.vm.dry_run);
  if (options.vm.dry_run) {
    return print_command_line(
        prepare(workshop, options.vm,
                {.command = {}, .shares = {}, .null_nvme = true, .directory = {}})
            .guest);
  }
  constexpr std::size_t kCopyBytes = 16 << 20;
  const bool copies_wanted = wanted(options, "copy");
  std::vector<double> copies;
  if (copies_wanted) copies = memcpy_rates(kCopyBytes, 20);
  const Json guest = guest_results(workshop, options);
  // Before and after, because the machine may be busier at one of the times.
  if (copies_wanted) std::ranges::copy(memcpy_rates(kCopyBytes, 20), std::back_inserter(copies));

  std::vector<Row> rows;
  if (guest.contains("round_trip")) {
    const Json& trip = guest.at("round_trip");
    if (trip.at("disk_read_us").is_null()) {
      throw Failure("bench: no disk to compare with: " + trip.value("disk_read_why_not", ""));
    }
    rows.push_back({"empty job, submit to wait, p50", trip["empty_job_us"]["p50"], "us",
                    "NVMe read, p50", trip["disk_read_us"]["p50"], 1.0, true});
    if (!trip.value("user_queue_us", Json()).is_null()) {
      rows.push_back({"user queue, doorbell to wait, p50", trip["user_queue_us"]["p50"], "us",
                      "SUBMIT of the same", trip["user_fence_us"]["p50"], std::nullopt, true});
    }
  }
  if (copies_wanted) {
    for (const Json& copy : guest.at("copy")) {
      if (copy.at("bytes") != kCopyBytes) continue;
      rows.push_back({"COPY 16 MiB, system to " + copy.at("to").get<std::string>(),
                      copy["bytes_per_second"]["p50"].get<double>() / 1e9, "GB/s", "memcpy here",
                      median(copies) / 1e9, 0.6, false});
    }
  }
  if (guest.contains("faults")) add_fault_rows(guest.at("faults"), rows);
  if (guest.contains("engines")) add_engine_rows(guest.at("engines"), rows);
  if (guest.contains("reset")) add_reset_rows(guest.at("reset"), rows);
  const Json model = wanted(options, kModel) ? model_results(workshop) : Json::array();
  if (wanted(options, kBoot)) add_boot_rows(workshop, options.vm, rows);
  if (!rows.empty()) print_rows(rows);
  if (guest.contains("notifier")) print_notifiers(guest.at("notifier"));
  if (!model.empty()) print_model(model);
  if (!options.json.empty()) {
    Json all = {{"version", 1}, {"rows", Json::array()}, {"guest", guest}, {"model", model}};
    for (const Row& row : rows) all["rows"].push_back(in_json(row));
    write_file(visible(options.json), all.dump(1) + "\n");
  }
  return 0;
}

}  // namespace figment::host
