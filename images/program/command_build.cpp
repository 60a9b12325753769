// SPDX-License-Identifier: MIT
//
// build makes parts without booting; doctor says what is there, what is missing, and why a part
// would be made again.
#include <algorithm>
#include <format>
#include <iostream>
#include <set>
#include <sys/utsname.h>
#include <unistd.h>

#include "commands.h"

namespace figment::host {

namespace {

std::string part_names() {
  std::string names;
  for (const PartInfo& info : part_infos()) names += (names.empty() ? "" : ", ") + info.name;
  return names;
}

void make(Workshop& workshop, const std::string& part, const std::string& kernel_name) {
  const auto kernel = [&] { return workshop.kernel(kernel_name); };
  if (part == "kernel") kernel();
  if (part.starts_with("kernel-")) workshop.kernel(part.substr(part.find('-') + 1));
  if (part == "qemu") workshop.qemu();
  if (part == "guest-root") workshop.guest_root();
  if (part == "igt-root") workshop.igt_root();
  if (part == "mesa-root") workshop.mesa_root();
  if (part == "selftests") workshop.selftests();
  if (part == "programs") workshop.programs({"all"});
  if (part == "fuzzers") workshop.fuzzers({"all"});
  if (part == "driver") workshop.driver(kernel());
  if (part == "test-modules") workshop.control_module(kernel());
  if (part == "initramfs" || part == "tools") workshop.programs();
  if (part == "initramfs") workshop.initramfs(kernel());
  if (part == "tools") workshop.tools(kernel());
}

std::uintmax_t size_of(const fs::path& path) {
  std::uintmax_t bytes = 0;
  for (const auto& file : fs::recursive_directory_iterator(
           path, fs::directory_options::skip_permission_denied)) {
    if (file.is_regular_file() && !file.is_symlink()) bytes += file.file_size();
  }
  return bytes;
}

std::string human(std::uintmax_t bytes) {
  if (bytes < (1u << 20)) return std::format("{} KiB", (bytes + 1023) >> 10);
  return std::format("{} MiB", bytes >> 20);
}

std::string join(const std::vector<std::string>& words, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), most); ++i) {
    text += (i ? ", " : "") + words[i];
  }
  if (words.size() > most) text += std::format(" and {} more", words.size() - most);
  return text;
}

// One line about a part: whether it is there as its inputs are now, and if not, why.
void say(const std::string& part, bool ready, const std::string& key, const std::string& about) {
  std::cout << std::format("  {:<15} {:<8} {:<16}  {}\n", part, ready ? "ready" : "missing", key, about);
}

std::string reason(const Inputs& wanted, const std::optional<Inputs>& last) {
  if (!last) return "was never made";
  return "changed since it was made: " + join(wanted.differences(*last), 4);
}

void describe_entry(const Cache& cache, const std::string& part, const Inputs& inputs) {
  const std::string key = inputs.key();
  if (const auto found = cache.find(part, key)) {
    say(part, true, key, human(size_of(*found)));
    return;
  }
  std::optional<Inputs> last;
  if (const auto others = cache.entries(part); !others.empty()) {
    last = Inputs::parse(read_file(others.front().path / "inputs"));
  }
  say(part, false, key, reason(inputs, last));
}

void describe_product(const std::string& part, const fs::path& product, const Inputs& inputs) {
  const auto last = made_of(product);
  const bool ready = last == inputs;
  say(part, ready, "", ready ? human(fs::file_size(product)) : reason(inputs, last));
}

// What ninja would do for a guest.
void describe_programs(const Workshop& workshop) {
  Argv argv{"ninja", "-n", "-C", workshop.meson_folder()};
  for (const fs::path& file : workshop.guest_targets()) {
    argv.push_back(file.lexically_relative(workshop.meson_folder()));
  }
  const std::string plan = capture(argv, {}, true).text;
  if (plan.contains("no work to do")) return say("programs", true, "", "");
  // The last line that begins with "[N/N]" has the number of steps.
  const std::size_t slash = plan.rfind('/', plan.rfind("] "));
  const std::string steps = plan.substr(slash + 1, plan.find(']', slash) - slash - 1);
  say("programs", false, "", steps + " steps to do");
}

void describe_host() {
  utsname system{};
  uname(&system);
  std::cout << "Host\n";
  std::cout << std::format("  kernel      {} {}, {} processors\n", system.sysname, system.release,
                           sysconf(_SC_NPROCESSORS_ONLN));
  std::cout << std::format("  /dev/kvm    {}\n",
                           access("/dev/kvm", F_OK) != 0          ? "not there: guests are emulated"
                           : access("/dev/kvm", R_OK | W_OK) != 0 ? "not accessible: guests are emulated"
                                                                  : "there; used if the processor has vmx or svm");
}

}  // namespace

int build_command(const Options& options) {
  for (const std::string& part : options.arguments) {
    if (std::ranges::find(part_infos(), part, &PartInfo::name) == part_infos().end()) {
      throw UsageError(std::format("build: unknown part '{}'; allowed: {}", part, part_names()));
    }
  }
  Workshop workshop(Places::from_environment());
  for (const PartInfo& info : part_infos()) {
    // Kernels that take long are made by name, or as --kernel.
    const bool wanted = (options.arguments.empty() && !info.name.starts_with("kernel-")) ||
                        std::ranges::find(options.arguments, info.name) != options.arguments.end();
    if (wanted) make(workshop, info.name, options.vm.kernel);
  }
  return 0;
}

int doctor_command(const Options& options) {
  // Looks and makes nothing.
  Workshop workshop(Places::from_environment(), true);
  const Places& places = workshop.places();
  const Cache& cache = workshop.cache();
  const std::vector<std::pair<std::string, Inputs>> kept = {
      {"kernel", workshop.stock_kernel_inputs()},
      {"kernel-debug", workshop.built_kernel_inputs("debug")},
      {"kernel-paranoid", workshop.built_kernel_inputs("paranoid")},
      {"qemu", workshop.qemu_inputs()},
      {"guest-root", workshop.guest_root_inputs()},
      {"igt-root", workshop.igt_root_inputs()},
      {"mesa-root", workshop.mesa_root_inputs()},
      {"selftests", workshop.selftest_inputs()}};
  describe_host();
  std::cout << "Cache " << places.cache.string() << "\n";
  say("build-root", true, places.build_root_id, "");
  std::set<fs::path> used = {places.build_root,
                             cache.workspace_path("qemu", workshop.qemu_workspace_inputs().key()),
                             cache.workspace_path("kernel-source",
                                                  workshop.kernel_source_inputs().key())};
  for (const auto& [part, inputs] : kept) {
    describe_entry(cache, part, inputs);
    used.insert(cache.root() / part / inputs.key());
  }
  std::vector<Entry> all = cache.entries();
  std::ranges::move(cache.workspaces(), std::back_inserter(all));
  for (const Entry& entry : all) {
    if (used.contains(entry.path)) continue;
    std::cout << std::format("  {:<15} {:<8} {:<16}  {}\n", entry.part,
                             options.prune ? "removed" : "unused", entry.key,
                             human(size_of(entry.path)));
    if (options.prune) fs::remove_all(entry.path);
  }
  for (const fs::path& path : cache.leftovers()) {
    std::cout << std::format("  {:<15} left by a run that was interrupted, or is going on\n",
                             (path.parent_path().filename() / path.filename()).string());
  }
  std::cout << "Checkout " << places.checkout.string() << ", kernel stock\n";
  describe_programs(workshop);
  const Kernel kernel = workshop.kernel("stock");
  describe_product("driver", workshop.driver_file(kernel), workshop.driver_inputs(kernel));
  describe_product("initramfs", workshop.initramfs_file(kernel), workshop.initramfs_inputs(kernel));
  describe_product("tools", workshop.tools_file(kernel), workshop.tools_inputs(kernel));
  return 0;
}

}  // namespace figment::host
