// SPDX-License-Identifier: MIT
#include "options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <format>
#include <functional>
#include <limits>
#include <string_view>
#include <thread>

namespace figment::host {

namespace {

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string range_text(std::uint64_t min, std::uint64_t max) {
  if (max == kAny) return "a whole number from " + std::to_string(min) + " on";
  return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
}

std::uint64_t checked(const std::string& name, const std::string& text, std::uint64_t min,
                     std::uint64_t max) {
  const auto value = to_number(text);
  if (!value || *value < min || *value > max) {
    throw UsageError(name + ": '" + text + "' is not " + range_text(min, max));
  }
  return *value;
}

// What one property of the device takes. The device checks again; this is for one good line before
// anything is built or booted.
struct Property {
  enum class Kind { number, size, range, choice, path };
  std::string_view name;
  Kind kind;
  std::uint64_t min = 0;
  std::uint64_t max = kAny;
  std::string_view choices = {};  // separated by '|'
};

using enum Property::Kind;
constexpr std::array kProperties = {
    Property{"engines", number, 1, 16},
    Property{"queues", number, 1, 256},
    Property{"asids", number, 1, 1024},
    Property{"vram", size},
    Property{"va-bits", number, 48, 48},
    Property{"preempt", choice, 0, 0, "none|command|instruction"},
    Property{"faults", choice, 0, 0, "on|off"},
    Property{"inject", choice, 0, 0, "on|off"},
    Property{"executor", choice, 0, 0, "thread|clock"},
    Property{"seed", number},
    Property{"tlb-entries", number, 16, 65536},
    Property{"walk-cache-entries", number, 0, 65536},
    Property{"prefetch-pages", number, 0, 64},
    Property{"retention-ns", number},
    Property{"step-bytes", range, 64, 1 << 20},
    Property{"bytes-per-us", number},
    Property{"timeslice-ns", number},
    Property{"poll-ns", number},
    Property{"doorbell-ns", range},
    Property{"invalidate-ns", range},
    Property{"access-ns", range},
    Property{"event-ns", range},
    Property{"interrupt-ns", range},
    Property{"preempt-ns", range},
    Property{"tick-ns", range, 1, 1'000'000'000},
    Property{"model", path},
};

std::string property_names() {
  std::string names;
  for (const Property& property : kProperties) {
    names += (names.empty() ? "" : ", ") + std::string{property.name};
  }
  return names;
}

bool is_one_of(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const std::size_t bar = std::min(choices.find('|'), choices.size());
    if (choices.substr(0, bar) == value) return true;
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return false;
}

void check_property(const Property& property, const std::string& value) {
  const std::string name = "--gpu " + std::string{property.name};
  switch (property.kind) {
    case number:
      checked(name, value, property.min, property.max);
      return;
    case size: {
      std::string_view digits = value;
      if (!digits.empty() && std::string_view{"KMG"}.contains(digits.back())) digits.remove_suffix(1);
      const auto count = to_number(digits);
      if (!count || *count == 0) {
        throw UsageError(name + ": '" + value + "' is not a size such as 64M or 1G");
      }
      return;
    }
    case range: {
      const std::size_t dash = value.find('-');
      const auto min = to_number(value.substr(0, dash));
      const auto max = dash == value.npos ? min : to_number(value.substr(dash + 1));
      if (!min || !max || *min > *max || *min < property.min || *max > property.max) {
        throw UsageError(name + ": '" + value + "' is not N or MIN-MAX, each " +
                         range_text(property.min, property.max));
      }
      return;
    }
    case choice:
      if (!is_one_of(property.choices, value)) {
        throw UsageError(name + ": '" + value + "' is not one of " +
                         std::string{property.choices});
      }
      return;
    case path:
      if (value.empty()) throw UsageError(name + ": the path is empty");
      return;
  }
}

struct CommandInfo {
  CommandName name;
  const char* word;
  const char* help;
};

constexpr std::array kCommands = {
    CommandInfo{CommandName::demo, "demo", "fork stress with every strategy, one table"},
    CommandInfo{CommandName::matrix, "matrix",
                "the torture table and what fork() costs, as one page"},
    CommandInfo{CommandName::test, "test", "every test, or those that match a PATTERN"},
    CommandInfo{CommandName::run, "run", "boot, run a command in the guest, exit with its status"},
    CommandInfo{CommandName::shell, "shell", "an interactive guest"},
    CommandInfo{CommandName::explore, "explore", "run a command under many seeds until it fails"},
    CommandInfo{CommandName::bench, "bench",
                "measure, each number beside what it is compared with"},
    CommandInfo{CommandName::fuzz, "fuzz",
                "inputs that no guest should be able to hurt the device with"},
    CommandInfo{CommandName::coverage, "coverage",
                "lines of the driver that the guest tests reach"},
    CommandInfo{CommandName::build, "build", "make parts without booting: all, or those named"},
    CommandInfo{CommandName::timeline, "timeline",
                "make a timeline of a recording and traces that are there"},
    CommandInfo{CommandName::doctor, "doctor", "what is there, what is missing, and why"},
    CommandInfo{CommandName::inject, "inject", "make the GPU of a guest that runs misbehave"},
};

std::string command_words() {
  std::string words;
  for (const CommandInfo& info : kCommands) words += (words.empty() ? "" : ", ") + std::string{info.word};
  return words;
}

// The texts of the options as given; checked after parsing, so that the messages are ours.
struct Texts {
  std::string cpus, memory, nodes, gpus, timeout, silence, seconds, seed, stop, seeds, jobs, shard, limit;
  std::string rounds, stress_seed, number;
  std::vector<std::string> gpu, shares, append, inject;
};

void add_vm_options(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--kernel", options.vm.kernel, "stock, debug, paranoid, or a build tree")
      ->type_name("stock|debug|paranoid|DIR");
  app.add_option("--driver", options.vm.driver, "the driver from a changed copy of kernel-driver/")
      ->type_name("DIR");
  app.add_option("--cpus", texts.cpus, "processors of the guest (2)")->type_name("N");
  app.add_option("--mem", texts.memory, "memory of the guest, in MiB or with M or G (2G)")
      ->type_name("SIZE");
  app.add_option("--nodes", texts.nodes, "memory nodes of the guest (1)")->type_name("N");
  app.add_option("--gpus", texts.gpus, "number of GPUs (1)")->type_name("N");
  app.add_option("--gpu", texts.gpu, "properties of each GPU: " + property_names())
      ->type_name("KEY=VALUE[,...]")
      ->allow_extra_args(false);
  app.add_flag("--iommu", options.vm.iommu,
               "an IOMMU between the GPUs and memory, strict: what outlives its mapping is a report");
  app.add_option("--share", texts.shares, "a folder that the guest may read and write")
      ->type_name("DIR[:MOUNT]")
      ->allow_extra_args(false);
  app.add_option("--append", texts.append, "more words for the kernel's command line")
      ->type_name("ARGS")
      ->allow_extra_args(false);
  app.add_option("--trace", options.vm.trace, "write what the GPU does there, with virtual times")
      ->type_name("FILE");
  app.add_option("--timeout", texts.timeout, "end everything after S seconds, with status 124")
      ->type_name("S");
  app.add_option("--silence", texts.silence, "the same after S seconds without output of COMMAND")
      ->type_name("S");
  app.add_flag("--dry-run", options.vm.dry_run, "print QEMU's command line and do nothing");
}

void add_inject_option(CLI::App& app, Texts& texts) {
  app.add_option("--inject", texts.inject,
                 "a rule by which a GPU misbehaves from the start; docs/injection.md")
      ->type_name("[GPU:]RULE")
      ->allow_extra_args(false);
}

void add_gdb_options(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--gdb", options.vm.gdb, "with one seed: wait for a debugger there")
      ->type_name("PORT|SOCKET");
  app.add_option("--stop-ns", texts.stop, "with --gdb: stop when so much virtual time has passed")
      ->type_name("NS");
}

void add_seed_options(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--seed", texts.seed, "a deterministic machine: same seed, same run")->type_name("N");
  add_gdb_options(app, options, texts);
}

void add_explore_options(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--seeds", texts.seeds, "from A to B (1..100)")->type_name("A..B");
  app.add_option("--jobs", texts.jobs, "seeds at the same time (one for each processor)")
      ->type_name("N");
  app.add_option("--shard", texts.shard, "every Nth seed, beginning with number I, from 1")
      ->type_name("I/N");
  app.add_flag("--all", options.all, "do not stop at the first failure");
  app.add_option("--limit", texts.limit, "seconds of the guest's time that a seed may take (60)")
      ->type_name("S");
  app.add_option("--json", options.json, "write the results there")->type_name("FILE");
}

void add_matrix_options(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--json", options.json, "every row for programs (build/matrix.json)")
      ->type_name("FILE");
  app.add_option("--html", options.html, "the page (build/matrix.html)")->type_name("FILE");
  app.add_flag("--quick", options.quick, "few rounds and few forks, of everything");
  app.add_option("--part", options.parts, "only this one")
      ->delimiter(',')
      ->check(CLI::IsMember({"table", "growth", "compare"}));
  app.add_option("--event", options.events, "only these; figment-stress events --list")
      ->delimiter(',');
  app.add_option("--pages", options.pages, "only these kinds")->delimiter(',');
  app.add_option("--strategy", options.strategies, "only these")->delimiter(',');
  app.add_option("--rounds", texts.rounds, "how often each event is done")->type_name("N");
  app.add_option("--seed", texts.stress_seed, "of page orders and choices (1)")->type_name("N");
}

// The words of explore that belong to the machine, to be said again for one seed.
std::vector<std::string> machine_words(std::span<const std::string> words) {
  constexpr std::array kOwn = {"--seeds", "--jobs",    "--shard", "--json",
                               "--gdb",   "--stop-ns", "--timeout"};
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string name = words[i].substr(0, words[i].find('='));
    if (name == "--all") continue;
    if (std::ranges::find(kOwn, name) == kOwn.end()) {
      kept.push_back(words[i]);
    } else if (name == words[i]) {
      ++i;
    }
  }
  return kept;
}

void check_shard(const std::string& text, SeedRange& seeds) {
  const std::size_t slash = text.find('/');
  const auto shard = to_number(text.substr(0, slash));
  const auto shards = slash == text.npos ? std::nullopt : to_number(text.substr(slash + 1));
  if (!shard || !shards || *shard == 0 || *shard > *shards || *shards > 1'000'000) {
    throw UsageError("--shard: '" + text + "' is not I/N with I from 1 to N");
  }
  seeds.shard = static_cast<unsigned>(*shard);
  seeds.shards = static_cast<unsigned>(*shards);
}

// The address for QEMU's -gdb. A port is of this machine only: who can reach it owns the guest.
std::string parse_gdb(const std::string& text) {
  if (const auto port = to_number(text)) {
    if (*port == 0 || *port > 65535) throw UsageError("--gdb: '" + text + "' is not a port, 1 to 65535");
    return "tcp:127.0.0.1:" + text;
  }
  if (!text.contains('/')) {
    throw UsageError("--gdb: '" + text + "' is not a port, or the path of a socket (with a '/')");
  }
  std::string address = "unix:";
  for (const char c : std::filesystem::absolute(text).string()) address.append(c == ',' ? 2 : 1, c);
  return address + ",server=on,wait=off";
}

void check_kernel(const std::string& kernel) {
  if (kernel == "stock" || kernel == "debug" || kernel == "paranoid") return;
  if (!kernel.contains('/') && kernel != "." && kernel != "..") {
    throw UsageError("--kernel: '" + kernel +
                     "' is not stock, debug, paranoid, or the path of a kernel build tree (with a '/')");
  }
}

void check(Options& options, const Texts& texts) {
  VmOptions& vm = options.vm;
  check_kernel(vm.kernel);
  if (!texts.cpus.empty()) vm.cpus = static_cast<unsigned>(checked("--cpus", texts.cpus, 1, 64));
  if (!texts.memory.empty()) vm.memory_mib = parse_memory_mib(texts.memory);
  if (!texts.nodes.empty()) vm.nodes = static_cast<unsigned>(checked("--nodes", texts.nodes, 1, 8));
  if (!texts.gpus.empty()) vm.gpus = static_cast<unsigned>(checked("--gpus", texts.gpus, 0, 8));
  if (!texts.timeout.empty()) {
    vm.timeout = std::chrono::seconds(checked("--timeout", texts.timeout, 1, 1'000'000));
  }
  if (!texts.silence.empty()) {
    vm.silence = std::chrono::seconds(checked("--silence", texts.silence, 1, 1'000'000));
  }
  if (!texts.seconds.empty()) {
    options.seconds = static_cast<unsigned>(checked("--seconds", texts.seconds, 1, 1'000'000));
  }
  if (!texts.rounds.empty()) options.rounds = checked("--rounds", texts.rounds, 1, 1'000'000);
  if (!texts.stress_seed.empty()) {
    options.stress_seed = checked("--seed", texts.stress_seed, 0, kAny / 2);
  }
  if (!texts.seed.empty()) vm.seed = checked("--seed", texts.seed, 0, kAny - 1);
  if (!texts.stop.empty()) vm.stop_ns = checked("--stop-ns", texts.stop, 1, kAny / 2);
  if (!texts.seeds.empty()) options.seeds = parse_seeds(texts.seeds);
  if (!texts.shard.empty()) check_shard(texts.shard, options.seeds);
  if (!vm.gdb.empty()) vm.gdb = parse_gdb(vm.gdb);
  const bool deterministic = vm.seed || options.command == CommandName::explore;
  if (deterministic && vm.nodes > 1) throw UsageError("--nodes: a deterministic machine has one");
  if (vm.silence.count() > 0 && options.command != CommandName::run) {
    throw UsageError("--silence: only for run");
  }
  if (vm.seed && options.command != CommandName::run) throw UsageError("--seed: only for run");
  const bool one_seed = vm.seed || (options.command == CommandName::explore && options.seeds.count() == 1);
  if (!vm.gdb.empty() && !one_seed) throw UsageError("--gdb: only with --seed N, or --seeds N..N");
  options.jobs = texts.jobs.empty() ? std::max(1u, std::thread::hardware_concurrency())
                                    : static_cast<unsigned>(checked("--jobs", texts.jobs, 1, 1024));
  if (!texts.limit.empty()) {
    options.limit_seconds = static_cast<unsigned>(checked("--limit", texts.limit, 1, 1'000'000));
  }
  if (options.command == CommandName::explore && !vm.trace.empty()) {
    throw UsageError("--trace: explore has one for each seed that fails; see its output");
  }
  if (!vm.timeline.empty() && vm.gpus == 0) throw UsageError("--timeline: there is no GPU");
  if (options.command == CommandName::timeline && options.arguments.size() < 2) {
    throw UsageError("timeline: needs a recording, and a trace of each GPU");
  }
  if (vm.stop_ns && vm.gdb.empty()) throw UsageError("--stop-ns: only with --gdb");
  for (const std::string& text : texts.gpu) {
    std::ranges::move(parse_gpu(text), std::back_inserter(vm.gpu));
  }
  for (const std::string& text : texts.inject) {
    vm.inject.push_back(parse_injection(text));
    if (vm.inject.back().gpu >= vm.gpus) {
      throw UsageError(std::format("--inject: '{}' is for GPU {}, but there are {}", text,
                                   vm.inject.back().gpu, vm.gpus));
    }
  }
  if (!texts.number.empty()) {
    options.number = static_cast<unsigned>(checked("--gpu", texts.number, 0, 7));
  }
  for (const std::string& text : texts.shares) vm.shares.push_back(parse_share(text));
  for (const std::string& text : texts.append) vm.append += (vm.append.empty() ? "" : " ") + text;
}

std::string allowed_options(const CLI::App& app) {
  std::string names;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) continue;
    names += (names.empty() ? "" : ", ") + option->get_name(false, false);
  }
  return names;
}

}  // namespace

SeedRange parse_seeds(const std::string& text) {
  const std::size_t dots = text.find("..");
  const auto first = to_number(text.substr(0, dots));
  const auto last = dots == text.npos ? first : to_number(text.substr(dots + 2));
  if (!first || !last || *first > *last || *last >= kAny - 1) {
    throw UsageError("--seeds: '" + text + "' is not A..B, two whole numbers, A not above B");
  }
  return {.first = *first, .last = *last};
}

GpuProperties parse_gpu(const std::string& text) {
  GpuProperties properties;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, comma - at);
    at = comma + 1;
    const std::size_t equals = item.find('=');
    if (equals == item.npos) {
      throw UsageError("--gpu: '" + item + "' is not KEY=VALUE; keys: " + property_names());
    }
    const std::string name = item.substr(0, equals);
    const auto property = std::ranges::find(kProperties, name, &Property::name);
    if (property == kProperties.end()) {
      throw UsageError("--gpu: unknown key '" + name + "'; allowed: " + property_names());
    }
    check_property(*property, item.substr(equals + 1));
    properties.emplace_back(name, item.substr(equals + 1));
  }
  return properties;
}

Injection parse_injection(const std::string& text) {
  // No rule has a colon.
  const std::size_t colon = text.find(':');
  if (colon == text.npos) return {.gpu = 0, .rule = text};
  const auto gpu = to_number(std::string_view(text).substr(0, colon));
  if (!gpu || *gpu > 7) {
    throw UsageError("--inject: '" + text + "' is not [GPU:]RULE, GPU a whole number from 0 to 7");
  }
  return {.gpu = static_cast<unsigned>(*gpu), .rule = text.substr(colon + 1)};
}

Share parse_share(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Share share{.folder = text.substr(0, colon), .mount = {}, .writable = true};
  if (share.folder.empty()) throw UsageError("--share: '" + text + "' is not DIR[:MOUNT]");
  share.folder = std::filesystem::absolute(share.folder).lexically_normal();
  if (!share.folder.has_filename()) share.folder = share.folder.parent_path();
  share.mount = colon == text.npos ? share.folder.string() : text.substr(colon + 1);
  if (!share.mount.starts_with('/') || share.mount == "/") {
    throw UsageError("--share: mount point '" + share.mount +
                     "' is not an absolute path below the root");
  }
  if (share.mount.contains(' ')) {
    throw UsageError("--share: mount point '" + share.mount + "' has a blank; give another: DIR:MOUNT");
  }
  return share;
}

std::uint64_t parse_memory_mib(const std::string& text) {
  std::string_view digits = text;
  std::uint64_t unit = 1;
  if (digits.ends_with('G')) unit = 1024;
  if (digits.ends_with('G') || digits.ends_with('M')) digits.remove_suffix(1);
  const auto value = to_number(digits);
  // Below 256 MiB the stock kernel and its initramfs do not come up.
  if (!value || *value > (1 << 20) || *value * unit < 256 || *value * unit > (1 << 20)) {
    throw UsageError("--mem: '" + text + "' is not a size from 256M to 1024G, in MiB or with M or G");
  }
  return *value * unit;
}

Parsed parse_options(std::span<const char* const> arguments) {
  Options options;
  Texts texts;
  CLI::App app("Figment: a GPU that exists only in QEMU, with a real DRM driver.", "figment");
  app.require_subcommand(0, 1);
  app.set_help_flag("-h,--help", "this text");
  for (const CommandInfo& info : kCommands) {
    CLI::App& command = *app.add_subcommand(info.word, info.help);
    switch (info.name) {
      case CommandName::run:
        command.footer("The command follows '--' and runs in the guest as root.");
        add_vm_options(command, options, texts);
        add_inject_option(command, texts);
        add_seed_options(command, options, texts);
        command
            .add_option("--timeline", options.vm.timeline,
                        "write what driver and GPUs do there, on one clock, for ui.perfetto.dev")
            ->type_name("FILE");
        break;
      case CommandName::explore:
        command.footer("The command follows '--'. Each seed draws latencies of the GPU and turns of\n"
                       "the processors; docs/determinism.md.");
        add_vm_options(command, options, texts);
        add_explore_options(command, options, texts);
        add_gdb_options(command, options, texts);
        break;
      case CommandName::shell:
        add_vm_options(command, options, texts);
        add_inject_option(command, texts);
        break;
      case CommandName::demo:
        command.add_option("--seconds", texts.seconds, "of stress in all (60)")->type_name("N");
        command.add_option("--json", options.json, "write the results there")->type_name("FILE");
        add_vm_options(command, options, texts);
        break;
      case CommandName::matrix:
        add_matrix_options(command, options, texts);
        add_vm_options(command, options, texts);
        break;
      case CommandName::bench:
        command
            .add_option("--only", options.arguments,
                        "parts: round_trip, copy, fork_idle, faults, notifier, model, boot")
            ->type_name("PART[,...]")
            ->delimiter(',');
        command.add_option("--json", options.json, "write the results there")->type_name("FILE");
        add_vm_options(command, options, texts);
        break;
      case CommandName::test:
        command.add_option("PATTERN", options.arguments,
                           "part of a test's name, or a glob over the whole of it");
        command.add_flag("--list", options.list, "print the names, run nothing");
        command.add_option("--kernel", options.vm.kernel, "stock, debug, paranoid, or a build tree")
            ->type_name("stock|debug|paranoid|DIR");
        break;
      case CommandName::fuzz:
        command.add_option("INPUT", options.arguments, "files to play and tell instead");
        command.add_option("--seconds", texts.seconds, "end after so many (never)")->type_name("N");
        command.add_flag("--coverage", options.coverage, "lines of the model that the corpus reaches");
        break;
      case CommandName::coverage:
        command.footer("What follows '--' goes to the guest tests, --gtest_filter=... for one.");
        command.add_option("--kernel", options.vm.kernel, "one with gcov (debug)")
            ->type_name("debug|DIR");
        break;
      case CommandName::build:
        command.add_option("PART", options.arguments, "see doctor for the names");
        command.add_option("--kernel", options.vm.kernel, "stock, debug, paranoid, or a build tree")
            ->type_name("stock|debug|paranoid|DIR");
        break;
      case CommandName::timeline:
        command.footer(
            "RECORDING is of figment-record in the guest, each TRACE of a GPU (--trace),\n"
            "in their order; docs/timeline.md.");
        command.add_option("FILE", options.arguments, "a RECORDING, then each TRACE");
        command.add_option("--output", options.output, "the timeline (timeline.json)")
            ->type_name("FILE");
        break;
      case CommandName::doctor:
        command.add_flag("--prune", options.prune, "remove cache entries that nothing here uses");
        break;
      case CommandName::inject:
        command.footer("Rules are armed in the order given; docs/injection.md.");
        command
            .add_option("RULE", options.arguments,
                        "a rule to arm; clear: disarm all; show: those that are armed")
            ->required()
            ->type_name("RULE|clear|show");
        command
            .add_option("--guest", options.guest,
                        "folder of its logs, when more than one guest of this checkout runs")
            ->type_name("FOLDER");
        command.add_option("--gpu", texts.number, "which GPU of the guest (0)")->type_name("N");
        break;
    }
  }

  // Everything after '--' is the guest's and not looked at.
  const auto dashes = std::ranges::find(arguments, std::string_view{"--"});
  std::vector<std::string> own(arguments.begin(), dashes);
  const bool has_command = dashes != arguments.end();
  if (own.empty()) throw UsageError("no command; allowed: " + command_words());
  if (!own.front().starts_with('-') &&
      std::ranges::none_of(kCommands, [&](const auto& info) { return info.word == own.front(); })) {
    throw UsageError("unknown command '" + own.front() + "'; allowed: " + command_words());
  }
  try {
    if (own.front() == "explore") options.given = machine_words(std::span(own).subspan(1));
    if (own.front() == "run" || own.front() == "matrix")
      options.given.assign(own.begin() + 1, own.end());
    std::ranges::reverse(own);  // as CLI11 wants a vector
    app.parse(own);
  } catch (const CLI::CallForHelp&) {
    const auto used = app.get_subcommands();
    return {.options = std::nullopt, .help = (used.empty() ? app : *used.front()).help()};
  } catch (const CLI::ParseError& error) {
    const auto used = app.get_subcommands();
    const CLI::App& at = used.empty() ? app : *used.front();
    const std::string what = error.what();
    throw UsageError(at.get_name() + ": " + what.substr(0, what.find('\n')) +
                     "; options: " + allowed_options(at));
  }
  if (app.get_subcommands().empty()) throw UsageError("no command; allowed: " + command_words());
  const std::string word = app.get_subcommands().front()->get_name();
  options.command = std::ranges::find(kCommands, word, &CommandInfo::word)->name;
  check(options, texts);
  if (options.command == CommandName::run || options.command == CommandName::explore) {
    if (has_command) options.arguments.assign(dashes + 1, arguments.end());
    if (options.arguments.empty()) throw UsageError(word + ": no command; write it after '--'");
  } else if (has_command && options.command == CommandName::coverage) {
    options.arguments.assign(dashes + 1, arguments.end());
  } else if (has_command) {
    throw UsageError(word + ": takes no command after '--'; only run, explore and coverage do");
  }
  return {.options = std::move(options), .help = {}};
}

}  // namespace figment::host
