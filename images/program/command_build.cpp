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
  if (part == "qemu") workshop.qemu();
  if (part == "guest-root") workshop.guest_root();
  if (part == "programs") workshop.programs({"all"});
  if (part == "driver") workshop.driver(kernel());
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

// A part of the cache and what it is made of now.
struct Wanted {
  std::string part;
  Inputs inputs;
};

std::string join(const std::vector<std::string>& words, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), most); ++i) {
    text += (i ? ", " : "") + words[i];
  }
  if (words.size() > most) text += std::format(" and {} more", words.size() - most);
  return text;
}

void describe(const Cache& cache, const Wanted& wanted) {
  const std::string key = wanted.inputs.key();
  if (const auto found = cache.find(wanted.part, key)) {
    std::cout << std::format("  {:<11} ready    {}  {}\n", wanted.part, key, human(size_of(*found)));
    return;
  }
  const auto others = cache.entries(wanted.part);
  std::string why = "was never made";
  if (!others.empty()) {
    const Inputs last = Inputs::parse(read_file(others.front().path / "inputs"));
    why = "changed since the last: " + join(wanted.inputs.differences(last), 4);
  }
  std::cout << std::format("  {:<11} missing  {}  {}\n", wanted.part, key, why);
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
    const bool wanted = options.arguments.empty() ||
                        std::ranges::find(options.arguments, info.name) != options.arguments.end();
    if (wanted) make(workshop, info.name, options.vm.kernel);
  }
  return 0;
}

int doctor_command(const Options& options) {
  const Workshop workshop(Places::from_environment());
  const Places& places = workshop.places();
  const Cache& cache = workshop.cache();
  const std::vector<Wanted> all = {{"kernel", workshop.stock_kernel_inputs()},
                                   {"qemu", workshop.qemu_inputs()},
                                   {"guest-root", workshop.guest_root_inputs()}};
  describe_host();
  std::cout << "Cache " << places.cache.string() << "\n";
  std::cout << std::format("  {:<11} ready    {}\n", "build-root", places.build_root_id);
  for (const Wanted& wanted : all) describe(cache, wanted);

  std::set<fs::path> used;
  for (const Wanted& wanted : all) {
    if (const auto found = cache.find(wanted.part, wanted.inputs.key())) used.insert(*found);
  }
  for (const Entry& entry : cache.entries()) {
    const bool known = std::ranges::find(all, entry.part, &Wanted::part) != all.end();
    if (!known || used.contains(entry.path)) continue;
    std::cout << std::format("  {:<11} unused   {}  {}\n", entry.part, entry.key,
                             human(size_of(entry.path)));
    if (options.prune) fs::remove_all(entry.path);
  }
  for (const fs::path& path : cache.leftovers()) {
    std::cout << std::format("  {:<11} left by a run that was interrupted (or is going on)\n",
                             (path.parent_path().filename() / path.filename()).string());
  }
  std::cout << "Checkout " << places.checkout.string() << "\n";
  for (const auto& [name, file] : {std::pair{"model", workshop.model()}, {"agent", workshop.agent()}}) {
    std::cout << std::format("  {:<11} {}\n", name, fs::exists(file) ? "built" : "not built yet");
  }
  for (const char* folder : {"driver", "images"}) {
    if (!fs::exists(places.build / folder)) {
      std::cout << std::format("  {:<11} not built yet\n", folder);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(places.build / folder)) {
      std::cout << std::format("  {:<11} built    {}\n", folder, entry.path().filename().string());
    }
  }
  return 0;
}

}  // namespace figment::host
