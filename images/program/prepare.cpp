// SPDX-License-Identifier: MIT
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <format>
#include <fstream>
#include <sstream>

#include "deterministic.h"

namespace figment::host {

namespace {

// A hypervisor below us may offer /dev/kvm and still not run a guest; the flags of the processor
// say whether there is hardware for it.
bool can_use_kvm() {
  if (access("/dev/kvm", R_OK | W_OK) != 0) return false;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == "vmx" || word == "svm") return true;
    }
    return false;
  }
  return false;
}

bool is_below(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

// The command starts where the user is, when the guest sees that folder too.
std::string guest_directory(const std::vector<Share>& shares, const fs::path& checkout) {
  const std::string here = fs::current_path();
  for (const Share& share : shares) {
    if (share.folder == share.mount && is_below(here, share.mount)) return here;
  }
  return checkout;
}

// The tools are in the image, the guest tests in the checkout.
std::vector<std::string> guest_environment(const fs::path& meson_folder, const std::string& driver) {
  std::vector<std::string> environment = {
      "PATH=/opt/figment/bin:" + (meson_folder / "tests/guest").string() +
          ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOME=/root", "LANG=C.UTF-8", "USER=root", "SHELL=/bin/bash",
      // For those who unload the driver and want it back; what it needs stays loaded.
      "FIGMENT_MODULE=" + driver};
  const char* terminal = std::getenv("TERM");
  environment.push_back(std::string{"TERM="} + (terminal ? terminal : "dumb"));
  return environment;
}

// figment-bench compares with it, and the torture table has it on the same memory.
bool uses_test_hmm(const Argv& command) {
  return names(command, "figment-bench") ||
         (names(command, "figment-stress") && names(command, "events"));
}

void check_share(const Share& share) {
  if (!fs::is_directory(share.folder)) {
    throw UsageError(std::format("--share: '{}' is not a folder", share.folder.string()));
  }
}

}  // namespace

fs::path visible(const fs::path& path) {
  constexpr std::array kSystem = {"bin",   "boot",   "etc",  "lib", "lib32",
                                  "lib64", "libx32", "sbin", "usr", "var"};
  auto part = path.begin();
  if (part == path.end() || *part != "/" || ++part == path.end()) return path;
  if (std::ranges::find(kSystem, part->string()) == kSystem.end()) return path;
  return "/host" + path.string();
}

int print_command_line(Guest guest) {
  guest.console = "CONSOLE";
  std::cout << quoted(qemu_argv(guest)) << "\n";
  return 0;
}

Judge make_judge(const Places& places) {
  return Judge(read_file(places.checkout / "images/guest/known-noise"));
}

fs::path run_folder(const Places& places) {
  constexpr std::size_t kKept = 50;
  const fs::path runs = places.build / "runs";
  fs::create_directories(runs);
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(runs)) old.push_back(entry.path());
  std::ranges::sort(old, std::greater{});
  for (std::size_t i = kKept; i < old.size(); ++i) {
    std::error_code gone;  // another run may be removing it too
    fs::remove_all(old[i], gone);
  }
  static int number = 0;
  std::array<char, 32> time{};
  const std::time_t now = std::time(nullptr);
  std::strftime(time.data(), time.size(), "%Y%m%d-%H%M%S", std::gmtime(&now));
  const fs::path folder = runs / std::format("{}-{}-{}", time.data(), getpid(), ++number);
  fs::create_directories(folder);
  return folder;
}

bool names(const Argv& command, const std::string& program) {
  return std::ranges::any_of(command,
                             [&](const std::string& word) { return word.contains(program); });
}

// Who does not name them need not wait until they are compiled.
fs::path guest_tests_in(const Argv& command, const Workshop& workshop) {
  const fs::path tests = workshop.meson_product("figment-guest-tests");
  return names(command, tests.filename()) ? tests : fs::path();
}

Prepared prepare(Workshop& workshop, const VmOptions& vm, const GuestNeeds& needs) {
  const Places& places = workshop.places();
  Prepared prepared;
  Guest& guest = prepared.guest;
  // The checkout can be read under its own name; a guest that runs wild must not write to it. It
  // comes first, because other shares may be inside of it.
  if (!vm.seed) {
    guest.shares.push_back(
        {.folder = places.checkout, .mount = places.checkout, .writable = false});
  }
  for (Share share : vm.shares) {
    share.folder = visible(share.folder);
    check_share(share);
    guest.shares.push_back(std::move(share));
  }
  std::ranges::copy(needs.shares, std::back_inserter(guest.shares));

  const std::string kernel_name = vm.kernel == "stock" || is_built_kernel(vm.kernel)
                                      ? vm.kernel
                                      : visible(fs::absolute(vm.kernel)).string();
  if (!vm.driver.empty()) workshop.use_driver(visible(fs::absolute(vm.driver)));
  const Kernel kernel = workshop.kernel(kernel_name);
  workshop.programs();
  const fs::path tests = guest_tests_in(needs.command, workshop);
  if (!tests.empty()) workshop.programs({tests.lexically_relative(workshop.meson_folder())});
  guest.qemu = workshop.qemu();
  guest.firmware = {"/usr/share/qemu", "/usr/share/seabios"};
  guest.kernel = kernel.image;
  const fs::path root = workshop.guest_root();
  guest.initramfs = workshop.initramfs(kernel);
  Tools tools = workshop.tools(kernel);
  if (!needs.driver.empty() && !tools.driver_modules.empty()) {
    tools.driver_modules.back() = needs.driver;
  }
  guest.disks = {root, kernel.modules_image, tools.image};
  std::ranges::copy(needs.disks, std::back_inserter(guest.disks));
  prepared.driver = workshop.driver_file(kernel);
  guest.append = vm.append;
  guest.cpus = vm.cpus;
  guest.memory_mib = vm.memory_mib;
  guest.nodes = vm.nodes;
  guest.gpus = vm.gpus;
  guest.gpu = vm.gpu;
  guest.inject = vm.inject;
  guest.iommu = vm.iommu;
  for (auto& [name, value] : guest.gpu) {
    if (name == "model") value = visible(fs::absolute(value));
  }
  guest.model = workshop.model();
  if (!vm.trace.empty()) guest.trace = visible(fs::absolute(vm.trace));
  guest.null_nvme = needs.null_nvme;
  guest.kvm = can_use_kvm();

  guest::Start& start = prepared.session.start;
  for (std::size_t i = 0; i < guest.shares.size(); ++i) {
    start.mounts.push_back({.tag = "share" + std::to_string(i),
                            .path = guest.shares[i].mount,
                            .writable = guest.shares[i].writable});
  }
  const auto load = [&](const std::vector<std::string>& modules) {
    for (const std::string& path : modules)
      start.modules.push_back({.path = path, .parameters = {}});
  };
  if (guest.null_nvme) load(tools.nvme_modules);
  if (guest.gpus > 0) load(tools.driver_modules);
  // A dry run has not looked into the image.
  const std::string module = tools.driver_modules.empty() ? "" : tools.driver_modules.back();
  start.environment = guest_environment(workshop.meson_folder(), module);
  if (!workshop.makes_nothing() && !vm.seed && needs.test_hmm &&
      (!tests.empty() || uses_test_hmm(needs.command))) {
    const fs::path hmm = workshop.hmm_module(kernel);
    if (!hmm.empty()) start.environment.push_back("FIGMENT_TEST_HMM=" + hmm.string());
  }
  start.arguments = needs.command;
  start.directory = needs.directory.empty() ? guest_directory(guest.shares, places.checkout)
                                            : needs.directory.string();
  prepared.session.timeout = vm.timeout;
  prepared.session.silence = vm.silence;
  prepared.session.symbols = {
      .kernel = kernel.image,
      .modules = {needs.driver.empty() ? workshop.driver_file(kernel) : needs.driver,
                  workshop.control_module_file(kernel)},
      .prefixes = {places.checkout.string() + "/", workshop.kernel_source_folder().string() + "/"}};
  if (!kernel.symbols.empty()) prepared.session.symbols.modules.push_back(kernel.symbols);
  if (vm.seed) make_deterministic(workshop, vm, kernel, prepared);
  return prepared;
}

}  // namespace figment::host
